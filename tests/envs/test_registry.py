"""Every registered distribution can be made, names itself, and survives the way to a worker."""

from __future__ import annotations

import pickle

import pytest

from metarl.cli.main import main
from metarl.envs.registry import ENVS

NEEDS_LONG_LISTS = {"ml10", "ml25", "ml45", "mt10", "mt25", "mt50", "cw10", "cw20"}
"""Building their goal lists takes 9 to 37 s where no cache is warm."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in NEEDS_LONG_LISTS)) for name in ENVS]
)
def test_a_registered_distribution_is_whole(name: str) -> None:
    entry = ENVS[name]
    tasks = entry.make()
    assert tasks.name and entry.description
    assert entry.parameters and entry.split and entry.source
    copy = pickle.loads(pickle.dumps(tasks))
    assert copy.spec == tasks.spec
    test = tasks.meta_test()
    assert len(test) == len({task.id for task in test}) > 0
    assert test == tasks.meta_test()


def test_distributions_have_names_of_their_own() -> None:
    names = [entry.make().name for entry in ENVS.values()]
    assert len(set(names)) == len(names)


def test_list_verbose_tells_what_each_distribution_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--verbose"]) == 0
    out = capsys.readouterr().out
    assert "cheetah-vel-pearl-v0: HalfCheetah runs at a speed" in out
    assert "tasks: velocity U[0, 3] m/s" in out and "split: train 100 fixed tasks, test 30 others" in out
    assert "source: Rakelly et al. 2019; code katerakelly/oyster" in out and "horizon 200 steps, 17 observations" in out
    assert main(["list", "--verbos"]) == 2
