"""Presets: each is a config of its experiment, and says where it comes from."""

from __future__ import annotations

import pytest

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.experiment import find_preset, presets_of
from metarl.runs.find import experiment_names, load_experiment

PRESETS = [(name, preset) for name in experiment_names() for preset in presets_of(load_experiment(name))]


def test_the_benchmarks_have_published_settings():
    assert {("ml1_reach_maml", "metaworld_algorithms"), ("ml10_maml", "garage"), ("ml10_rl2", "garage")} <= {*PRESETS}
    assert ("ml10_rl2", "metaworld_algorithms_ml45") in PRESETS


@pytest.mark.parametrize("name, preset", PRESETS)
def test_a_preset_is_a_config_of_its_experiment_with_a_source(name, preset):
    module = load_experiment(name)
    found = presets_of(module)[preset]
    assert type(found.config) is type(module.config()) and found.config != module.config()
    assert len(found.source) > 10 and found.deviations
    if not found.config.tasks.name.startswith(("ml45", "mt50")):  # whose goals metaworld takes long to draw
        module.build(found.config).close()


def test_the_command_line_takes_a_preset_and_overrides_it(tmp_path, capsys):
    assert main(["train", "ml10_maml", "--preset", "garage", "--help"]) == 0
    out = capsys.readouterr().out
    assert "0.0001" in out and "2000" in out and "--preset metaworld_algorithms" in out
    with pytest.raises(UserError, match="did you mean 'garage'"):
        find_preset(load_experiment("ml10_maml"), "garrage")
    assert main(["train", "ml10_maml", "--preset", "garrage"]) == 2
    assert main(["train", "navigation_maml", "--preset", "garage"]) == 2
    assert "it has none" in capsys.readouterr().err
