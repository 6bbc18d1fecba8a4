"""A search: proposed by Optuna, scored on validation tasks, the same whatever stops it; and no journal is obeyed."""

from __future__ import annotations

import importlib
import sys

import pytest

from metarl.config import apply_overrides
from metarl.envs.registry import all_envs
from metarl.errors import UserError
from metarl.experiments.navigation import VARIANTS
from metarl.sweep.search import JOURNAL, Range, Study, space_of
from metarl.tasks import params_key, val_tasks

CONFIG = VARIANTS["maml"].config()
SPACE = {"agent.inner_lr": Range(0.01, 1.0, True, False), "agent.inner_steps": Range(1, 4, False, True)}
SPACE |= {"agent.hidden": ("[8]", "[16]")}


def test_a_space_is_what_is_given_or_what_the_settings_say_themselves():
    assert space_of(CONFIG, []) == {
        "agent.inner_lr": Range(0.01, 1.0, True, False),
        "agent.max_kl": Range(0.003, 0.1, True, False),
    }
    given = ["inner_lr", "inner_steps=1:4", "gamma=0.9:0.99", "cg_damping=1e-6:1e-3", "hidden=[8],[16]"]
    assert space_of(CONFIG, given) == {
        "agent.inner_lr": Range(0.01, 1.0, True, False),
        "agent.inner_steps": Range(1, 4, False, True),
        "agent.gamma": Range(0.9, 0.99, False, False),
        "agent.cg_damping": Range(1e-6, 1e-3, True, False),
        "agent.hidden": ("[8]", "[16]"),
    }


@pytest.mark.parametrize(
    "given, said",
    [
        ("inner_lr=0.5:0.1", "empty"),
        ("inner_lr=0.1:0.1", "empty"),
        ("inner_lr=a:b", "no range"),
        ("inner_lr=0:nan", "no range"),
        ("inner_lr=0:0.1", "must be > 0"),
        ("inner_steps=1:2.5", "whole number"),
        ("gamma", "no range that is worth searching"),
        ("inner_rl=1:2", "did you mean 'inner_lr'"),
        ("hidden=[8],wide", "must be"),
    ],
)
def test_bad_ranges(given, said):
    with pytest.raises(UserError, match=said):
        space_of(CONFIG, [given])


@pytest.fixture
def study(tmp_path):
    pytest.importorskip("optuna")

    def make(folder="a", *, seed=0, maximize=True):
        (tmp_path / folder).mkdir(exist_ok=True)
        return Study(tmp_path / folder, SPACE, maximize=maximize, seed=seed)

    return make


def score(trial):
    """Best at inner_lr = 0.3."""
    return -abs(float(dict(trial.setting.values)["agent.inner_lr"]) - 0.3)


def run(make, *, trials, **how):
    study = make(**how)
    while batch := study.next_round(trials=trials):
        for trial in batch:
            study.tell(trial, score(trial))
    return study


def test_a_search_that_was_stopped_proposes_what_an_undisturbed_one_does(study):
    """Also where it was stopped while a round was proposed, or while its scores were told."""
    reference = run(study, trials=14).ranked()
    assert len(reference) == 14
    assert run(study, folder="b", trials=14, seed=1).ranked() != reference
    told = 0
    while True:
        stopped = study("c")
        batch = stopped.next_round(trials=14)
        if not batch:
            break
        stopped.tell(batch[-1], score(batch[-1]))  # out of order, as runs end, and then it is stopped
        told += 1
    assert told == 14 and stopped.ranked() == reference
    for trial, _ in reference:
        assert trial.setting.name == f"trial{trial.number}"
        apply_overrides(CONFIG, trial.setting.values)


def test_it_searches_and_small_may_be_good(study):
    values = [value for _, value in run(study, trials=28).ranked()]
    assert values == sorted(values, reverse=True) and values[0] > -0.05
    assert study("d", maximize=False).next_round(trials=3)[0].number == 0
    few = study("e", maximize=False)
    for trial in few.next_round(trials=3):
        few.tell(trial, float(trial.number))
    assert [trial.number for trial, _ in few.ranked()] == [0, 1, 2]


def test_a_trial_that_failed_is_no_result(study):
    found = study()
    first, *rest = found.next_round(trials=4)
    found.tell(first, None)
    for trial in rest:
        found.tell(trial, score(trial))
    assert found.next_round(trials=4) == [] and len(found.ranked()) == 3


def test_a_journal_that_proposes_something_else_is_refused(study, tmp_path):
    study().next_round(trials=4)
    journal = tmp_path / "a" / JOURNAL
    text = journal.read_text()
    assert '"agent.hidden"' in text
    journal.write_text(text.replace("[16]", "[999]").replace("[8]", "[888]"))
    with pytest.raises(UserError, match="does not propose"):
        study().next_round(trials=4)
    journal.write_text("no JSON\n" + text)
    with pytest.raises(UserError, match="is damaged"):
        study()
    journal.unlink()
    journal.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        study()
    assert not (tmp_path / "elsewhere").exists()


def test_optuna_missing_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match="pip install optuna"):
        importlib.import_module("metarl.sweep.search").check_optuna()


# ---- validation tasks

HAVE = ["navigation", "point-robot", "bandits", "tabular-mdp", "cheetah-vel-maml-v0", "ant-goal-maml-v0", "ml1"]
HAVE_NOT = ["mt1", "cheetah-dir-maml-v0"]


@pytest.mark.parametrize("name", [*HAVE, pytest.param("ml10", marks=pytest.mark.slow)])
def test_validation_tasks_are_neither_trained_nor_tested_on(name):
    tasks = all_envs()[name].make()
    found = val_tasks(tasks)
    keys = {params_key(task) for task in found}
    assert len(keys) == len(found) >= 50 and found == val_tasks(tasks)
    others = [*tasks.meta_test(), *(tasks.meta_train() if hasattr(tasks, "meta_train") else [])]
    assert keys.isdisjoint(map(params_key, others))


@pytest.mark.parametrize("name", HAVE_NOT)
def test_where_all_tasks_are_trained_or_tested_on_there_are_none(name):
    with pytest.raises(UserError, match="has no tasks to choose settings by"):
        val_tasks(all_envs()[name].make())
