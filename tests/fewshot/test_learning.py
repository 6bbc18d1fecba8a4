"""That methods learn: thresholds well below what was measured, on one core."""

from __future__ import annotations

import dataclasses
import os

import pytest

from metarl.experiments import intents, omniglot_prototypical, sinusoid_maml
from metarl.fewshot.evaluation import FewShotEvaluationConfig, few_shot_evaluate
from metarl.fewshot.experiment import FewShotExperiment
from metarl.seeding import Stream, numpy_rng


def train(experiment: FewShotExperiment, *, iterations: int, meta_batch_size: int) -> None:
    for i in range(iterations):
        tasks = experiment.sample_tasks(meta_batch_size, rng=numpy_rng((0, Stream.TASKS, i)))
        experiment.learner.meta_update(experiment.collect(tasks, seed=(0, Stream.COLLECT, i)))


@pytest.mark.slow
def test_maml_learns_sinusoids() -> None:
    """The untrained net is at about 4 after ten steps, one trained on all tasks jointly at about 3."""
    experiment = sinusoid_maml.build(sinusoid_maml.config())
    train(experiment, iterations=6000, meta_batch_size=25)
    evaluation = FewShotEvaluationConfig(suites=("10s",), num_episodes=300)
    scores = (
        few_shot_evaluate(experiment.learner.behaviour(), experiment.source, evaluation)
        .suites["10s"]
        .curve("inductive", "mse")
    )
    assert scores[0].mean > 2 and scores[1].mean < 1.5 and scores[-1].mean < 0.9


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("METARL_DATA"), reason="METARL_DATA is not set")
def test_prototypical_networks_learn_omniglot() -> None:
    experiment = omniglot_prototypical.build(omniglot_prototypical.config())
    train(experiment, iterations=300, meta_batch_size=1)
    evaluation = FewShotEvaluationConfig(suites=("5w1s",), num_episodes=200, modes=("inductive",))
    result = few_shot_evaluate(experiment.learner.behaviour(), experiment.source, evaluation)
    assert result.suites["5w1s"].of("inductive", "accuracy")[0].mean() > 0.88


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("METARL_DATA"), reason="METARL_DATA is not set")
def test_prototypical_networks_beat_the_text_classifier_on_intents_of_other_domains() -> None:
    """An MLP does not: it learns the training intents by heart, and is at 42 % where TF-IDF is at 63."""
    evaluation = FewShotEvaluationConfig(suites=("20w1s",), num_episodes=200)
    scores = {}
    for method, iterations in (("nearest_centroid", 0), ("prototypical", 200)):
        experiment = intents.build(dataclasses.replace(intents.config(), method=method))
        train(experiment, iterations=iterations, meta_batch_size=1)
        result = few_shot_evaluate(experiment.learner.behaviour(), experiment.source, evaluation)
        scores[method] = result.suites["20w1s"].of("inductive", "accuracy")[0]
    assert (scores["prototypical"] - scores["nearest_centroid"]).mean() > 0.005
