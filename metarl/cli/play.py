"""`metarl play RUN_DIR --task TASK`: a trained agent on one task, before and after adaptation, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from tyro.conf import Positional

from metarl.cli.pictures.rendering import check_can_write, offscreen_gl, side_by_side, write_video
from metarl.cli.words import ExperimentFlag, TrustFlag
from metarl.config import parse_flags
from metarl.errors import UserError
from metarl.runs.log import say
from metarl.runs.progress_bar import progress_bar
from metarl.seeding import Stream
from metarl.text import printable
from metarl.validate import check_counts
from metarl.zoo.entries import output_in, run_directory


@dataclass(frozen=True)
class PlayArguments:
    """Render an episode before and one after adaptation, side by side, to a gif or mp4; no screen is needed.

    The run's own settings may be given anew, as to `metarl train`.
    """

    run_dir: Positional[Path]
    """Or zoo:NAME."""
    trust: TrustFlag = False
    experiment: ExperimentFlag = None
    task: str = "0"
    """A held-out task by number or id, or params as JSON: '{"velocity": 1.5}'."""
    out: Path | None = None
    """A .gif, or a .mp4 with the extra `video`; RUN_DIR/play.gif if not given."""
    rounds: int | None = None
    """Adaptation rounds; as many as the experiment's evaluation if not given."""
    episodes: int | None = None
    """Of each round."""
    sampled: bool = False
    """Show the policy with its noise rather than its mean action."""
    size: int = 480
    """Height of the picture, pixels."""
    every: int = 2
    """Show every so many steps."""
    seed: int = 0


def main(rest: list[str]) -> int:
    arguments, flags = tyro.cli(PlayArguments, args=rest, prog="metarl play", return_unknown_args=True)
    out = arguments.out or output_in(arguments.run_dir, "play.gif")
    check_counts(rounds=arguments.rounds, episodes=arguments.episodes, size=arguments.size, every=arguments.every)
    check_can_write(out)
    with offscreen_gl() as backend:  # before anything imports mujoco
        _play(arguments, parse_flags(flags), out, backend)
    return 0


def _play(arguments: PlayArguments, flags: list[tuple[str, str]], out: Path, backend: str | None) -> None:
    # imported here because mujoco reads at its import which GL to use
    from metarl.cli.pictures.film import Film
    from metarl.runs.load import find_task, load_trained
    from metarl.runs.trust import Trust
    from metarl.scores.rl import adapt_and_test
    from metarl.tasks import Replays

    trained = load_trained(run_directory(arguments.run_dir), flags, trust=Trust(arguments.trust, arguments.experiment))
    experiment, evaluation = trained.experiment, trained.experiment.settings.evaluation
    torch.set_num_threads(trained.config.trainer.threads)
    try:
        tasks = experiment.tasks
        if not isinstance(tasks, Replays):
            raise UserError(f"{tasks.name} has no picture of itself: its class has no method `replay`")
        task = find_task(experiment.tasks, arguments.task)
        mode = "stochastic" if arguments.sampled else "deterministic"
        with progress_bar(f"adapting to {task.id}"):
            result = adapt_and_test(
                experiment.pool,
                experiment.learner.behaviour(),
                [task],
                rounds=evaluation.adaptation_rounds if arguments.rounds is None else arguments.rounds,
                episodes=evaluation.adaptation_episodes if arguments.episodes is None else arguments.episodes,
                test_episodes=1,
                seed=(arguments.seed, Stream.EVALUATE),
                modes=[mode],
                same_start=True,
            )
    finally:
        experiment.close()
    film = Film(tasks, [task], result, mode, backend)
    with progress_bar("drawing, before"):
        before = film.frames(0, round=0, size=arguments.size, every=arguments.every)
    with progress_bar("drawing, after"):
        after = film.frames(0, round=-1, size=arguments.size, every=arguments.every)
    returns = result.returns(mode)
    captions = (f"before: {film.outcome(0, round=0)}", f"after round {len(returns) - 1}: {film.outcome(0, round=-1)}")
    frames = side_by_side(before, after, captions, printable(task.id))
    write_video(out, frames, frames_per_second=max(1.0, 30 / arguments.every))
    say(f"{task.id}: return {returns[0]:.2f} before adaptation, {returns[-1]:.2f} after; the video is {out}")
