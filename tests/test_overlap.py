"""Collecting while the learner trains: data one update old, always, so that a run repeats to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarl.agents.registry import AGENTS
from metarl.cli.main import main
from metarl.envs.navigation import Navigation
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.rollout.pool import PoolConfig
from metarl.runs.checkpoint import load_latest
from metarl.runs.directory import RunDirectory
from metarl.runs.log import Console, read_metrics
from metarl.trainer import Trainer
from tests.agents.test_contract import small
from tests.fewshot.problems import snapshot

TASKS = Navigation(num_test_tasks=2)
AGENTS_THAT_LEARN = [name for name in AGENTS if name not in ("random", "from_scratch")]


def experiment_of(agent: str, workers: int = 0) -> RLExperiment:
    return RLExperiment(
        tasks=TASKS,
        make_learner=lambda: small(agent)(TASKS.spec, 0),
        settings=RLSettings(support_episodes=2, query_episodes=2, pool=PoolConfig(workers=workers)),
    )


def train(experiment: RLExperiment, path: Path, *, iterations: int, resume: bool = False) -> dict:
    """The state that the run ends in, and what `meta_update` was given."""
    config = TrainerConfig(iterations=iterations, meta_batch_size=2, overlap=True)
    learner, versions = experiment.learner, []
    update = learner.meta_update

    def spy(batch):
        versions.append((batch[0].behaviour.version, learner.behaviour().version))
        return update(batch)

    learner.meta_update = spy
    with RunDirectory.create(path, resume=resume, experiment="x", config={}) as run:
        trainer = Trainer(experiment, config, run)
        if resume:
            trainer.resume()
        with Console(total=iterations, start=trainer.iteration, description="", columns=()) as console:
            assert trainer.run(console, resumed=resume)
        found = load_latest(run.checkpoints_path)
    experiment.close()
    assert found is not None
    return {"learner": snapshot(found[0]["learner"]), "versions": versions}


OF_A_KIND = ("maml", "sac", "pearl")
"""Those that stand for the others in the quick suite."""


@pytest.mark.parametrize(
    "agent",
    [agent if agent in OF_A_KIND else pytest.param(agent, marks=pytest.mark.thorough) for agent in AGENTS_THAT_LEARN],
)
def test_data_are_one_update_old_and_a_resumed_run_is_the_same(agent: str, tmp_path: Path) -> None:
    whole = train(experiment_of(agent), tmp_path / "whole", iterations=4)
    assert whole["versions"] == [(0, 0), (0, 1), (1, 2), (2, 3)]
    train(experiment_of(agent), tmp_path / "parts", iterations=2)
    parts = train(experiment_of(agent), tmp_path / "parts", iterations=4, resume=True)
    assert parts["learner"] == whole["learner"] and parts["versions"] == [(1, 2), (2, 3)]


@pytest.mark.parametrize("agent", [pytest.param("rl2", marks=pytest.mark.thorough), "maml"])
def test_the_number_of_workers_does_not_matter(agent: str, tmp_path: Path) -> None:
    here, there = (train(experiment_of(agent, n), tmp_path / str(n), iterations=3)["learner"] for n in (0, 2))
    assert here == there


@pytest.mark.thorough
def test_it_is_a_flag_that_evaluates_in_between_and_logs_what_it_waited(tmp_path: Path, capsys) -> None:
    small_run = ["--iterations", "3", "--meta-batch-size", "2", "--query-episodes", "2", "--workers", "1"]
    more = ["--eval-every-iterations", "1", "--max-tasks", "1", "--test-episodes", "1", "--hidden-dim", "8"]
    assert main(["train", "navigation_rl2", "--out", str(tmp_path / "run"), *small_run, *more, "--overlap"]) == 0
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert len(rows) == 3 and all("eval/stochastic/return/0" in row for row in rows)
    assert all(row["seconds/collect"] >= 0 for row in rows)


def test_data_from_a_file_have_no_overlap(tmp_path: Path, capsys) -> None:
    assert main(["train", "sinusoid_maml", "--out", str(tmp_path / "run"), "--iterations", "2", "--overlap"]) == 2
    assert "overlap=True is for data that agents collect" in capsys.readouterr().err
