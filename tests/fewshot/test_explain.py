"""One held-out task looked at: the scores are those of the evaluation, the tables those of the answers."""

from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.data.sinusoid import Sinusoid, SinusoidConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig, few_shot_evaluate, held_out_task
from metarl.fewshot.explain import answers_by_class, draw, explain
from metarl.fewshot.methods.maml import MAMLConfig
from metarl.fewshot.methods.matching import MatchingConfig
from metarl.fewshot.methods.siamese import SiameseConfig
from metarl.fewshot.nets.make import NetConfig
from metarl.fewshot.registry import METHODS
from metarl.seeding import torch_rng
from tests.fewshot.problems import SMALL_IMAGE_NET, image_source

SOURCE = image_source()
EVALUATION = FewShotEvaluationConfig(suites=("3w2s",), num_episodes=30)
CONFIGS = {
    "maml": MAMLConfig(net=SMALL_IMAGE_NET),
    "matching": MatchingConfig(net=SMALL_IMAGE_NET),
    "siamese": SiameseConfig(net=SMALL_IMAGE_NET),
}
PICTURES = {
    "maml": {"answers.png", "layers.png"},
    "matching": {"answers.png", "attention.png", "nearest.png"},
    "siamese": {"answers.png", "nearest.png"},
    "nearest_centroid": {"answers.png"},
}


def learner_of(method: str):
    return METHODS[method].make(SOURCE.spec, torch_rng((0,)), config=CONFIGS.get(method))


@pytest.mark.parametrize("method", PICTURES)
def test_a_task_scores_as_it_does_in_the_evaluation(method: str, tmp_path: Path) -> None:
    learner = learner_of(method)
    evaluated = few_shot_evaluate(learner.behaviour(), SOURCE, EVALUATION).suites["3w2s"]
    for index in (0, 28):
        explanation = explain(learner.behaviour(), held_out_task(SOURCE, EVALUATION, "3w2s", index))
        rows = zip(evaluated.steps, evaluated.of("inductive", "accuracy"), strict=True)
        assert explanation.scores == {steps: pytest.approx(scores[index]) for steps, scores in rows}
        rows = answers_by_class(explanation, {0: "a", 1: "b", 2: "c"})
        assert [row.queries for row in rows] == [3, 3, 3] and [row.name for row in rows] == ["a", "b", "c"]
        assert sum(row.right for row in rows) == round(9 * explanation.scores[max(explanation.scores)])
        assert all(row.right + sum(count for _, count in row.taken_for) == 3 for row in rows)
        assert all(row.name not in dict(row.taken_for) for row in rows)
    drawn = draw(explanation, learner.behaviour(), tmp_path / "new" / "folder", queries=4)
    assert {path.name for path in drawn} == PICTURES[method] and all(path.stat().st_size > 2000 for path in drawn)


def test_a_sinusoid_is_the_one_that_is_scored_and_is_drawn(tmp_path: Path) -> None:
    """Its points are drawn for a batch of tasks together: the 27th is the second of the second batch."""
    source, config = Sinusoid(SinusoidConfig()), FewShotEvaluationConfig(suites=("5s",), num_episodes=30)
    learner = METHODS["maml"].make(source.spec, torch_rng((0,)), config=MAMLConfig(net=NetConfig(norm="none")))
    evaluated = few_shot_evaluate(learner.behaviour(), source, config).suites["5s"]
    explanation = explain(learner.behaviour(), held_out_task(source, config, "5s", 26))
    rows = zip(evaluated.steps, evaluated.of("inductive", "mse"), strict=True)
    assert explanation.scores == {steps: pytest.approx(scores[26]) for steps, scores in rows}
    assert {path.name for path in draw(explanation, learner.behaviour(), tmp_path)} == {"layers.png", "fit.png"}
    with pytest.raises(UserError, match="a regression has no classes"):
        answers_by_class(explanation, {})


def test_what_adaptation_changed() -> None:
    """With steps of almost nothing nothing moves, and the features are what they were."""
    data = held_out_task(SOURCE, EVALUATION, "3w2s", 1)
    explanations = []
    for inner_lr in (1e-9, 1.0):
        config = MAMLConfig(net=SMALL_IMAGE_NET, inner_lr=inner_lr, test_steps=(3,))
        explanations.append(
            explain(METHODS["maml"].make(SOURCE.spec, torch_rng((0,)), config=config).behaviour(), data)
        )
    still, moved = explanations
    assert still.features_cka == pytest.approx(1, abs=1e-6) and 0 < moved.features_cka < 0.999
    assert max(still.changes[name] for name in ("conv0", "conv1")) < 1e-6 < 0.1 < moved.changes["conv1"]
    assert explain(learner_of("siamese").behaviour(), data).changes is None


def test_the_command(tmp_path: Path, capsys) -> None:
    run = str(tmp_path / "run")
    train = ["train", "digits_prototypical", "--iterations", "2", "--out", run, "--num-episodes", "4"]
    assert main(train) == 0
    capsys.readouterr()
    assert main(["explain", run, "--task", "2", "--queries", "3"]) == 0
    said = capsys.readouterr().out
    assert "task 2, inductive" in said and "nearest.png in" in said and "turned" in said
    assert (tmp_path / "run" / "explained").is_dir()
    for arguments, words in (
        (["--task", "4"], "it has 4 tasks; give 0 to 3"),
        (["--suite", "50w1s"], "a 50-way task needs 50 classes"),
        (["--suite", "best"], "unknown suite 'best'"),
        (["--queries", "0"], "--queries 0 must be >= 1"),
    ):
        assert main(["explain", run, *arguments]) == 2
        assert words in capsys.readouterr().err
