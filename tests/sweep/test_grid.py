"""Combinations of values: named, checked before anything runs, and each once."""

from pathlib import Path

import pytest

from metarl.agents.registry import AGENTS
from metarl.cli.sweep import SweepArguments
from metarl.config import apply_overrides, marks_of_types
from metarl.errors import UserError
from metarl.experiments.navigation import VARIANTS
from metarl.fewshot.registry import METHODS
from metarl.sweep.grid import Run, Setting, grid_of, parse_seeds, parse_values, runs_of
from metarl.validate import Search

CONFIG = VARIANTS["maml"].config()
CONFIGS = {name: entry.config for name, entry in {**AGENTS, **{f"few-shot {n}": e for n, e in METHODS.items()}}.items()}


@pytest.mark.parametrize("text, seeds", [("0:3", (0, 1, 2)), ("3", (3,)), ("3,5,8", (3, 5, 8)), ("0:2,7", (0, 1, 7))])
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text, said",
    [
        ("5:5", "empty range"),
        ("3:1", "empty range"),
        ("", "no seed"),
        ("-1", "no seed"),
        ("9" * 10, "to 999999999"),
        ("1,1", "twice"),
    ],
)
def test_bad_seeds(text, said):
    with pytest.raises(UserError, match=said):
        parse_seeds(text)


def test_the_grid_is_every_combination_and_its_flags_give_it_back():
    swept = parse_values(CONFIG, ["inner-lr=0.05,0.1", "agent.hidden=[16],[32,32]"])
    settings = grid_of(CONFIG, swept)
    assert [s.name for s in settings] == [
        "inner_lr=0.05,hidden=[16]",
        "inner_lr=0.05,hidden=[32,32]",
        "inner_lr=0.1,hidden=[16]",
        "inner_lr=0.1,hidden=[32,32]",
    ]
    made = [apply_overrides(CONFIG, s.values).agent for s in settings]
    assert [(a.inner_lr, a.hidden) for a in made] == [(0.05, (16,)), (0.05, (32, 32)), (0.1, (16,)), (0.1, (32, 32))]
    assert settings[0].flags == ["--agent.inner_lr=0.05", "--agent.hidden=[16]"]


@pytest.mark.parametrize(
    "given, said",
    [
        (["inner_rl=1"], "did you mean 'inner_lr'"),
        (["inner_lr="], "no value or an empty one"),
        (["inner_lr=0.1,,0.2"], "no value or an empty one"),
        (["inner_lr=0.1", "agent.inner_lr=0.2"], "set twice"),
        (["seed=1,2"], "--seeds"),
        (["agent=1"], "group of fields"),
        (["inner_lr=fast"], "must be float"),
        (["inner_lr=nan"], "must be float and NaN is none"),
        (["inner_lr=0.1:0.5"], "is a range, and those are for a search"),
        (["inner_lr=1e-1:-5E+3"], "is a range, and those are for a search"),
        (["inner_lr=-1"], "must be > 0"),
        (["inner_lr=0.1,1e-1"], "the same setting"),
    ],
)
def test_bad_values(given, said):
    with pytest.raises(UserError, match=said):
        grid_of(CONFIG, parse_values(CONFIG, given))


def test_a_value_that_makes_no_folder_has_another_name_and_stays_the_same():
    tasks = VARIANTS["maml"].config()
    (first,) = grid_of(tasks, parse_values(tasks, ["tasks.name=a/../b"]))
    assert first.name.startswith("setting-") and "/" not in first.name
    assert [first] == grid_of(tasks, parse_values(tasks, ["tasks.name=a/../b"]))


def test_all_settings_are_tried_once_before_any_is_tried_again():
    settings = [Setting("a", ()), Setting("b", ())]
    assert [run.name for run in runs_of(settings, (0, 1))] == ["a/seed0", "b/seed0", "a/seed1", "b/seed1"]
    assert Run(settings[0], 3).place(Path("x")) == Path("x/a/seed3")
    with pytest.raises(UserError, match="at most"):
        runs_of(settings, range(6000))


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_worth_searching_lies_within_its_bounds_and_about_its_default(name):
    config = CONFIGS[name]
    marks = marks_of_types(config, Search)
    assert marks or name in ("random", "few-shot nearest_centroid")  # nothing of theirs is learnt
    for path, (kind, search) in marks.items():
        assert search.low <= getattr(config, path) <= search.high
        assert search.low > 0 or not search.log
        for end in (search.low, search.high):
            apply_overrides(config, [(path, str(kind(end)))])


def test_the_directory_is_named_after_the_experiment():
    assert SweepArguments("navigation:maml").place == Path("runs/navigation_maml_sweep").absolute()
    assert SweepArguments("my/own.py").place == Path("runs/own_sweep").absolute()
