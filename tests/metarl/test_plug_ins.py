"""Entry points of other packages: added, or left out with a sentence."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from metarl import plug_ins
from metarl.agents.registry import AGENTS, all_agents
from metarl.envs.navigation import Navigation
from metarl.envs.registry import ENVS, EnvEntry, all_envs

far = EnvEntry("from another package", lambda: Navigation(name="far"))
quick_agent = AGENTS["random"]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    """Make these pairs of name and value the entry points of the group asked for."""

    def install(group: str, **points: str) -> None:
        monkeypatch.setattr(
            plug_ins,
            "entry_points",
            lambda *, group: [EntryPoint(n, v, group) for n, v in points.items()] if group == wanted else [],
        )

        wanted = group

    return install


def test_distributions_and_agents_of_other_packages_join_ours(installed) -> None:
    installed("metarl.envs", far="tests.metarl.test_plug_ins:far", near="metarl.envs.navigation:Navigation")
    assert list(all_envs())[-2:] == ["far", "near"]
    assert all_envs()["far"].make().name == "far" and all_envs()["near"].description.startswith("Goals uniform")
    installed("metarl.agents", quick="tests.metarl.test_plug_ins:quick_agent")
    assert all_agents()["quick"] is quick_agent


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"broken": "no_such_module:x"}, "'broken' in group 'metarl.envs' is left out: ModuleNotFoundError"),
        (
            {"navigation": "metarl.envs.navigation:Navigation"},
            "'navigation' in group 'metarl.envs' is left out: the name is taken",
        ),
        ({"number": "math:pi"}, "neither an EnvEntry nor a callable"),
    ],
)
def test_what_cannot_be_used_is_left_out_with_a_warning(installed, point: dict[str, str], said: str) -> None:
    installed("metarl.envs", **point)
    with pytest.warns(RuntimeWarning, match=said.replace("(", r"\(")):
        assert list(all_envs()) == list(ENVS)
