"""The `metarl` command. What it runs lies elsewhere; here are words, files and exit codes.

Exit codes: 0 done, 1 a run failed, 2 something the user can mend, 130 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich import box
from rich.console import Console as RichConsole
from rich.table import Table
from tyro.conf import Positional

from metarl.errors import UserError, WorkerError, nearest
from metarl.find_experiment import experiments_directory
from metarl.stop import EXIT_CODE as STOPPED


@dataclass(frozen=True)
class TrainArguments:
    """Meta-train an experiment, evaluate it on held-out tasks, and leave a run directory."""

    experiment: Positional[str]
    """A name from `metarl list`, or the path of your own .py file with config() and build(config)."""
    out: Path | None = None
    """The run directory; runs/EXPERIMENT_seedN if not given."""
    resume: bool = False
    """Go on from the newest valid checkpoint in the run directory, bit for bit."""
    tensorboard: bool = False
    """Also write TensorBoard files into the run directory (needs the extra)."""


@dataclass(frozen=True)
class EvaluateArguments:
    """Evaluate a run's newest checkpoint on its held-out tasks, beside its policy before meta-training."""

    run_dir: Positional[Path]
    json: Path | None = None
    """Also write all outcomes to this file."""


@dataclass(frozen=True)
class ResultsArguments:
    """Add finished runs to experiments/results/ and rewrite the table in experiments/README.md."""

    run_dirs: Positional[tuple[Path, ...]] = ()
    name: str | None = None
    """Store the runs under this name instead of their experiment's."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except WorkerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return STOPPED


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        _print_help()
        return 0
    if arguments[0] == "--version":
        import metarl

        print(f"metarl {metarl.__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        raise UserError(f"unknown command {command!r}{nearest(command, COMMANDS)}; see metarl --help")
    function, _ = COMMANDS[command]
    return function(rest)


def _print_help() -> None:
    print("usage: metarl COMMAND ...\n\ncommands:")
    for name, (_, summary) in COMMANDS.items():
        print(f"  {name:<10} {summary}")
    print("\n`metarl COMMAND --help` tells more, `metarl train EXPERIMENT --help` lists its settings.")


# ---- train


def _train(rest: list[str]) -> int:
    from metarl.config import apply_overrides, parse_flags
    from metarl.find_experiment import load_experiment

    wants_help = any(word in ("-h", "--help") for word in rest)
    if wants_help and rest[0].startswith("-"):
        tyro.cli(TrainArguments, args=["--help"], prog="metarl train")
    words = [word for word in rest if word not in ("-h", "--help")]
    arguments, flags = tyro.cli(TrainArguments, args=words, prog="metarl train", return_unknown_args=True)
    module = load_experiment(arguments.experiment)
    config = _user_config(module.config)
    if wants_help:
        _print_fields(arguments.experiment, config)
        return 0
    config = apply_overrides(config, parse_flags(flags))
    return _run_training(arguments, module.build, config)


def _user_config(make: Callable[[], Any]) -> Any:
    """A range error in the experiment file itself is the user's to mend as well."""
    try:
        return make()
    except ValueError as error:
        raise UserError(str(error)) from error


def _run_training(arguments: TrainArguments, build: Callable[[Any], Any], config: Any) -> int:
    from metarl.config import config_to_dict
    from metarl.log import Console
    from metarl.run_directory import RunDirectory
    from metarl.stop import Stopped, StopSignal
    from metarl.trainer import MAY_DIFFER, Trainer

    stem = Path(arguments.experiment).stem
    out = arguments.out or Path("runs") / f"{stem}_seed{config.trainer.seed}"
    run = RunDirectory.create(
        out,
        resume=arguments.resume,
        experiment=arguments.experiment,
        config=config_to_dict(config),
        may_differ=MAY_DIFFER,
    )
    with run:
        experiment = build(config)
        try:
            trainer = Trainer(experiment, config.trainer, run, tensorboard=arguments.tensorboard)
            if arguments.resume:
                trainer.resume()
            with Console(
                total=config.trainer.iterations,
                start=trainer.iteration,
                description=f"meta-training {stem}",
                columns=COLUMNS,
            ) as console:
                finished = trainer.run(console, resumed=arguments.resume)
            if not finished:
                return _say_stopped(trainer.iteration, config.trainer.iterations)
            print("evaluating on the held-out tasks, before and after meta-training ...", flush=True)
            try:
                with StopSignal(cleanup=experiment.close) as stop, stop.interruptible():
                    results = _evaluate_both(experiment, config.trainer.seed)
            except Stopped:
                return _say_stopped(trainer.iteration, config.trainer.iterations)
        finally:
            experiment.close()
        _report(run.path, results, trainer)
    return 0


def _evaluate_both(experiment: Any, run_seed: int) -> dict[str, Any]:
    """The learner and its own beginning, on the same tasks with the same seeds."""
    from metarl.seeding import Stream

    seed = (run_seed, Stream.EVALUATE)
    return {
        "meta-trained": experiment.evaluate(seed=seed),
        "untrained": experiment.evaluate_untrained(seed=seed),
    }


COLUMNS = ("return/pre", "return/post", "success/pre", "success/post", "kl")
"""Metrics that the console shows; metrics.jsonl has them all."""


def _say_stopped(iteration: int, iterations: int) -> int:
    print(
        f"stopped after {iteration} of {iterations} iterations, all saved; "
        "the same command with --resume goes on from there",
        file=sys.stderr,
    )
    return STOPPED


def _report(directory: Path, results: Any, trainer: Any) -> None:
    from metarl.log import read_metrics
    from metarl.plots import plot_training
    from metarl.report import print_table, save_report

    print_table(results, title="Held-out tasks: mean [95 % interval over tasks]")
    save_report(
        directory,
        results,
        extra={
            "iterations": trainer.iteration,
            "training_env_steps": trainer.env_steps,
            "training_seconds": trainer.seconds,
        },
    )
    rows = read_metrics(directory / "metrics.jsonl")
    shown = [name for name in (*COLUMNS, "entropy") if any(name in row for row in rows)]
    plot_training(directory / "training.png", rows, metrics=shown)
    print(
        f"{trainer.env_steps:,} env steps of meta-training in {trainer.seconds:.0f} s; everything is in {directory}\n"
        "  adaptation.png, training.png, evaluation.json, metrics.jsonl, config.json, checkpoints/"
    )


def _print_fields(name: str, config: Any) -> None:
    from metarl.config import describe_fields

    table = Table(title=f"settings of {name}: --NAME VALUE, by any unique end of the name", title_justify="left")
    for heading in ("name", "type", "value", "meaning"):
        table.add_column(heading)
    for row in describe_fields(config):
        table.add_row(*row)
    RichConsole().print(table)


# ---- evaluate


def _evaluate(rest: list[str]) -> int:
    from metarl.checkpoint import load_latest
    from metarl.config import apply_overrides, config_from_dict, parse_flags
    from metarl.files import replace_file
    from metarl.find_experiment import load_experiment
    from metarl.report import print_table
    from metarl.run_directory import CHECKPOINTS, environment, read_run_config

    arguments, flags = tyro.cli(EvaluateArguments, args=rest, prog="metarl evaluate", return_unknown_args=True)
    name, stored = read_run_config(arguments.run_dir)
    module = load_experiment(name)
    config = config_from_dict(type(module.config()), stored)
    config = apply_overrides(config, parse_flags(flags))
    found = load_latest(arguments.run_dir / CHECKPOINTS)
    if found is None:
        raise UserError(f"{arguments.run_dir} holds no checkpoint yet; train it first, or go on with --resume")
    state, path = found
    experiment = module.build(config)
    try:
        experiment.learner.load_state_dict(state["learner"])
        results = _evaluate_both(experiment, config.trainer.seed)
    finally:
        experiment.close()
    print_table(results, title=f"{path}: mean [95 % interval over tasks]")
    if arguments.json is not None:
        content = {
            "checkpoint": str(path),
            "iterations": state["iteration"],
            "training_env_steps": state["env_steps"],
            "environment": environment(),
            "policies": {policy: result.to_json() for policy, result in results.items()},
        }
        try:
            replace_file(arguments.json, json.dumps(content, indent=1).encode())
        except OSError as error:
            raise UserError(f"cannot write {arguments.json}: {error.strerror}; give another --json") from error
    return 0


# ---- list, doctor


def _list(rest: list[str]) -> int:
    from metarl.find_experiment import experiment_names, first_line

    _no_arguments("list", rest)
    agents = importlib.import_module("agents.registry").AGENTS
    envs = importlib.import_module("envs.registry").ENVS
    rows = {
        "experiments: metarl train NAME": {name: first_line(name) for name in experiment_names()},
        "agents (agents/)": {name: entry.description for name, entry in agents.items()},
        "task distributions (envs/)": {name: entry.description for name, entry in envs.items()},
    }
    for title, descriptions in rows.items():
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
        for name, description in descriptions.items():
            table.add_row(name, description)
        RichConsole().print(table)
    return 0


def _doctor(rest: list[str]) -> int:
    from metarl.doctor import report

    _no_arguments("doctor", rest)
    colors = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = Table("what", "found", "")
    for name, value, status in report():
        table.add_row(name, value, f"[{colors[status]}]{status}[/]")
    RichConsole().print(table)
    return 0


def _bench(rest: list[str]) -> int:
    names = [path.stem for path in (experiments_directory() / "bench").glob("*.py") if path.stem != "__init__"]
    if not rest or rest[0] not in names:
        given = f"{rest[0]!r} is not one of them{nearest(rest[0], names)}" if rest else "none was named"
        raise UserError(f"metarl bench takes one of {', '.join(sorted(names))}; {given}")
    return importlib.import_module(f"experiments.bench.{rest[0]}").main(rest[1:])


def _results(rest: list[str]) -> int:
    from metarl.results import add_result, write_table

    arguments = tyro.cli(ResultsArguments, args=rest, prog="metarl results")
    directory = experiments_directory()
    for run in arguments.run_dirs:
        print(f"stored {add_result(directory / 'results', run, name=arguments.name)}")
    write_table(directory / "results", directory / "README.md")
    print(f"wrote {directory / 'README.md'}")
    return 0


def _no_arguments(command: str, rest: list[str]) -> None:
    if rest and rest != ["--help"]:
        raise UserError(f"metarl {command} takes no arguments, got {' '.join(rest)!r}; leave them out")


COMMANDS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "list": (_list, "experiments, agents and task distributions by name"),
    "train": (_train, "meta-train an experiment and evaluate it on held-out tasks"),
    "evaluate": (_evaluate, "evaluate a run's newest checkpoint again"),
    "results": (_results, "store finished runs as records and remake the results table"),
    "bench": (_bench, "measure speed side by side with other samplers"),
    "doctor": (_doctor, "what this machine has, and what may bite"),
}


if __name__ == "__main__":
    sys.exit(main())
