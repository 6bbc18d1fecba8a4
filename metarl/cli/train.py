"""`metarl train EXPERIMENT`: meta-train, evaluate on held-out tasks, leave a run directory."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console as RichConsole
from rich.text import Text
from tyro.conf import Positional, UseAppendAction, arg

from metarl.cli.evaluate import evaluate_both
from metarl.cli.process.machine import warn_if_busy
from metarl.cli.report import report_at_the_end
from metarl.cli.words import HELP, is_help
from metarl.config import (
    MAY_DIFFER,
    WITHOUT_EFFECT,
    apply_overrides,
    check_stored,
    config_from_dict,
    config_to_dict,
    describe_fields,
    marked_names,
    parse_flags,
)
from metarl.experiment import Experiment, Preset, RLExperiment, ShowsRun, find_preset, presets_of
from metarl.rollout.ray_cluster import use_address
from metarl.runs.directory import RunDirectory
from metarl.runs.find import load_experiment, stored_name
from metarl.runs.log import Console, read_metrics, say
from metarl.runs.own_experiment import read_experiment
from metarl.runs.same_config import flatten
from metarl.runs.stop import EXIT_CODE as STOPPED
from metarl.runs.stop import Stopped, StopSignal
from metarl.scores.plots import plot_training
from metarl.scores.report import save_report
from metarl.trackers.registry import find_trackers
from metarl.trackers.tracker import About, Trackers, tracked
from metarl.trainer import Trainer

PICTURES = ("adaptation", "training")


@dataclass(frozen=True)
class TrainArguments:
    """Meta-train an experiment, evaluate it on held-out tasks, and leave a run directory."""

    experiment: Positional[str]
    """A name from `metarl list`, such as navigation:anil, or the path of your own .py file with config() and
    build(config)."""
    preset: str | None = None
    """Start from published settings; `metarl train EXPERIMENT --help` lists them."""
    out: Path | None = None
    """The run directory; runs/EXPERIMENT_seedN if not given."""
    resume: bool = False
    """Go on from the newest valid checkpoint in the run directory, bit for bit."""
    ray_address: str | None = None
    """Of `--runner ray`: auto, or HOST:PORT of the head node; one is started here if not given, nor in RAY_ADDRESS."""
    report: bool = True
    """End with RUN/report.html, which takes seconds."""
    track: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAMES")] = ()
    """Tell the scores, and at the end the pictures, to tensorboard, wandb, mlflow or trackio (extras); several with
    commas between them, or one after another. All stay on this machine unless their own variables say otherwise."""


def main(rest: list[str]) -> int:
    wants_help = is_help(rest)
    if wants_help and rest[0].startswith("-"):
        tyro.cli(TrainArguments, args=["--help"], prog="metarl train")
    words = [word for word in rest if word not in HELP]
    arguments, flags = tyro.cli(TrainArguments, args=words, prog="metarl train", return_unknown_args=True)
    module = load_experiment(arguments.experiment)
    preset = None if arguments.preset is None else find_preset(module, arguments.preset)
    config = module.config() if preset is None else preset.config
    config = apply_overrides(config, parse_flags(flags))
    if wants_help:
        _print_fields(arguments.experiment, config)
        _print_presets(presets_of(module))
        return 0
    check_stored(config)  # what an experiment file sets has the types it is to have, and is what evaluate will read
    find_trackers(",".join(arguments.track))
    if arguments.ray_address is not None:
        _name_ray(arguments.ray_address, config)
    return _run_training(arguments, module.build, config)


def _run_training(arguments: TrainArguments, build: Callable[[Any], Any], config: Any) -> int:
    name = stored_name(arguments.experiment)
    stem = Path(name).stem
    out = arguments.out or Path("runs") / f"{stem}_seed{config.trainer.seed}"
    named = read_experiment(Path(name)) if name.endswith(".py") else name
    torch.set_num_threads(config.trainer.threads)
    warn_if_busy()
    experiment = build(config)  # first: what cannot be built, for want of a data file, leaves no directory behind
    try:
        run = RunDirectory.create(
            out,
            resume=arguments.resume,
            experiment=named,
            config=config_to_dict(config),
            may_differ=marked_names(config, MAY_DIFFER) | marked_names(config, WITHOUT_EFFECT),
            complete=lambda old: config_to_dict(config_from_dict(type(config), old)),
        )
        about = About(run.path.name, run.path, flatten(config_to_dict(config)))
        with run, TemporaryDirectory() as films, tracked(find_trackers(",".join(arguments.track)), about) as trackers:
            trainer = Trainer(experiment, config.trainer, run, trackers=trackers)
            if arguments.resume:
                trainer.resume()
            with Console(
                total=config.trainer.iterations,
                start=trainer.iteration,
                description=f"meta-training {stem}",
                columns=experiment.report.columns,
            ) as console:
                finished = trainer.run(console, resumed=arguments.resume)
            if not finished or not _end(arguments, config, trainer, trackers, Path(films)):
                return _say_stopped(trainer.iteration, config.trainer.iterations)
    finally:
        experiment.close()
    return 0


def _end(arguments: TrainArguments, config: Any, trainer: Trainer, trackers: Trackers, films: Path) -> bool:
    """Evaluate a trained learner, show and store its scores, draw its report. False if a signal came meanwhile.

    `films` is where trackers find those until they are closed.
    """
    experiment, path, seed = trainer.experiment, trainer.run_directory.path, config.trainer.seed
    page, filmed = None, {}
    say("evaluating on the held-out tasks, before and after meta-training ...")
    try:
        with StopSignal(cleanup=experiment.close) as stop, stop.interruptible():
            results = evaluate_both(experiment, seed)
    except Stopped:
        return False
    with StopSignal(cleanup=experiment.close) as stop:
        _report(path, experiment, results, trainer, config)
    if stop.requested:
        return False
    with StopSignal(cleanup=experiment.close) as stop:
        if arguments.report:
            page, filmed = report_at_the_end(path, experiment, seed=seed)
        for name in PICTURES:
            trackers.picture(name, path / f"{name}.png")
        if arguments.track:
            _tell_films(trackers, filmed, films)
    if stop.requested:
        return False
    say(_next_commands(path, experiment, stored_name(arguments.experiment)))
    if page is not None:
        say(f"the report is {page}")
    return True


def _tell_films(trackers: Trackers, filmed: Mapping[str, Any], folder: Path) -> None:
    """`filmed`: frames by kind of task."""
    from metarl.cli.pictures.look import FRAMES_PER_SECOND  # with all that a report is made of: a quarter of a second
    from metarl.cli.pictures.rendering import write_video

    for kind, film in filmed.items():
        write_video(path := folder / f"{kind}.gif", film, frames_per_second=FRAMES_PER_SECOND)
        trackers.film(kind, path)


def _name_ray(address: str, config: Any) -> None:
    runners = [value for name, value in flatten(config_to_dict(config)).items() if name.endswith("pool.runner")]
    use_address(address, goes_with="--runner ray", is_given=runners == ["ray"])


def _next_commands(run: Path, experiment: Any, name: str) -> str:
    """What to do with the run now, to be copied; a file of one's own is run only where it is named."""
    place = shlex.quote(str(run))
    own = f" --experiment {shlex.quote(name)}" if name.endswith(".py") else ""
    if isinstance(experiment, RLExperiment):
        commands = (
            f"play {place}{own}",
            f"report {place}{own}  # with videos",
            f"adapt {place} --task 0{own}",
            f"compare {place} OTHER_RUN",
        )
    else:
        commands = (f"explain {place}{own}", f"classify {place} --help", f"evaluate {place}{own}")
    return "next:\n" + "\n".join(f"  metarl {command}" for command in commands)


def _say_stopped(iteration: int, iterations: int) -> int:
    print(
        f"stopped after {iteration} of {iterations} iterations, all saved; "
        "the same command with --resume goes on from there",
        file=sys.stderr,
    )
    return STOPPED


def _report(directory: Path, experiment: Experiment, results: Any, trainer: Trainer, config: Any) -> None:
    report = experiment.report
    save_report(  # before anything is shown: a screen can fail
        directory,
        report,
        results,
        extra={
            "iterations": trainer.iteration,
            "training_env_steps": trainer.env_steps,
            "training_seconds": trainer.seconds,
            "config": config_to_dict(config),
        },
    )
    rows = read_metrics(directory / "metrics.jsonl")
    shown = [name for name in (*report.columns, "entropy") if any(name in row for row in rows)]
    plot_training(directory / "training.png", rows, metrics=shown)
    report.print_table(results, title="Held-out tasks: mean, and 95 % interval over tasks")
    if isinstance(experiment, ShowsRun):
        experiment.show_run(directory)
    amount = f"{trainer.env_steps:,} env steps" if trainer.env_steps else f"{trainer.iteration:,} iterations"
    say(
        f"{amount} of meta-training in {trainer.seconds:.0f} s; everything is in {directory}\n"
        "  adaptation.png, training.png, evaluation.json, metrics.jsonl, config.json, checkpoints/"
    )


def _print_presets(presets: Mapping[str, Preset]) -> None:
    for name, preset in presets.items():
        RichConsole().print(Text.assemble((f"--preset {name}", "bold"), f": {preset.source}"))
        for deviation in preset.deviations:
            RichConsole().print(f"  - {deviation}", highlight=False, markup=False)


def _print_fields(name: str, config: Any) -> None:
    """Plain lines: a table of four columns would cut names off, or leave no room for what they mean."""
    width = shutil.get_terminal_size().columns
    print("besides: --out RUN_DIR, --resume, --preset NAME, --track NAMES (metarl train --help)")
    print(f"settings of {name}: --NAME VALUE, by any unique end of the name\n")
    chosen = getattr(config, "method", None)
    if isinstance(chosen, str) and hasattr(config, "methods"):
        print(f"of the methods' settings those of {chosen}; of another: --method NAME --help\n")
    for field, kind, value, meaning in describe_fields(config):
        if field.startswith("methods.") and not field.startswith(f"methods.{chosen}."):
            continue
        print(f"{field} = {value}  ({kind})")
        for line in textwrap.wrap(
            meaning, width=min(width, 100), initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
        ):
            print(line)
