"""Few-shot learning in about a minute: five methods on scikit-learn's digits, as a table and three pictures.

Run by `make fewshot-demo`. Meta-trained on the digits 0 to 5 and their rotations, tested on 6 to 9 and theirs. Each
digit of 8 pixels lies somewhere on a canvas of 12: on one of 8 the digits are centred, raw pixels are hard to beat, and
six digits are few to learn from.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from metarl.fewshot.data.digits import DigitsConfig, digits
from metarl.fewshot.data.source import EpisodeConfig, EpisodeSource
from metarl.fewshot.evaluation import FewShotEvaluationConfig, few_shot_evaluate, held_out_task
from metarl.fewshot.explain import draw, explain
from metarl.fewshot.learner import FewShotLearner
from metarl.fewshot.methods.maml import MAMLConfig
from metarl.fewshot.methods.matching import MatchingConfig
from metarl.fewshot.methods.nearest_centroid import NearestCentroidConfig
from metarl.fewshot.methods.prototypical import PrototypicalConfig
from metarl.fewshot.methods.transfer import TransferConfig
from metarl.fewshot.nets.make import NetConfig
from metarl.fewshot.registry import METHODS
from metarl.scores.format import cell
from metarl.seeding import Stream, numpy_rng, torch_rng

NET = NetConfig(filters=32, layers=3, pool="max")
DATA = DigitsConfig(canvas=12)
CONFIGS = {
    "nearest_centroid": NearestCentroidConfig(),
    "transfer": TransferConfig(net=NET),
    "prototypical": PrototypicalConfig(net=NET),
    "matching": MatchingConfig(net=NET),
    "maml": MAMLConfig(net=NET, inner_lr=0.1, inner_steps=2, lr=3e-3, test_steps=(2,)),
}
EPISODES = EpisodeConfig(ways=5, shots=1, queries=5)
EVALUATION = FewShotEvaluationConfig(suites=("5w1s", "5w5s"), num_episodes=200, modes=("inductive", "transductive"))


def train(name: str, source: EpisodeSource, *, iterations: int, tasks: int = 4) -> FewShotLearner:
    """The whole of meta-training: draw tasks, take their data, update."""
    learner = METHODS[name].make(source.spec, torch_rng((0, Stream.INIT)), config=CONFIGS[name])
    for iteration in track(range(iterations), description=name, transient=True):
        rng = numpy_rng((0, Stream.TASKS, iteration))
        batch = source.data(source.sample_tasks(tasks, split="train", rng=rng), rng=rng)
        learner.meta_update(batch)
    return learner


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path("runs") / time.strftime("fewshot-demo-%Y%m%d-%H%M%S"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    source, console = digits(DATA, EPISODES), Console()
    console.print(
        f"{len(CONFIGS)} methods learn to tell digits apart from one example or five; each is meta-trained on "
        "the digits 0 to 5 and tested on 6 to 9: about a minute",
        soft_wrap=True,
    )
    table = Table(title="digits 6 to 9, turned ones as classes of their own: 5-way accuracy", title_justify="left")
    for heading in ("method", "queries", "1 shot", "5 shots", "seconds"):
        table.add_column(heading, justify="left" if heading in ("method", "queries") else "right", no_wrap=True)
    learners = {}
    for name in CONFIGS:
        started = time.perf_counter()
        learners[name] = train(name, source, iterations=arguments.iterations)
        seconds = time.perf_counter() - started
        result = few_shot_evaluate(learners[name].behaviour(), source, EVALUATION)
        for mode in result.suites["5w1s"].conditions:
            cells = [cell("accuracy", suite.curve(mode, "accuracy")[-1]) for suite in result.suites.values()]
            table.add_row(name, mode, *cells, f"{seconds:.0f}")
    console.print(table)
    data = held_out_task(source, EVALUATION, "5w1s", 0)
    drawn = [
        path
        for name in ("matching", "maml")  # what Matching attends to, which layers MAML moved
        for path in draw(explain(learners[name].behaviour(), data), learners[name].behaviour(), arguments.out)
    ]
    made = ", ".join(sorted({path.name for path in drawn}))  # the answers are those of the last method
    console.print(f"{made} are in {arguments.out}; chance is {100 / EPISODES.ways:.0f} %", soft_wrap=True)


if __name__ == "__main__":
    main()
