"""`metarl sweep EXPERIMENT`: several settings of an experiment with several seeds, compared at the end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, UseAppendAction, arg

from metarl.cli.process.machine import usable_cpus
from metarl.cli.words import is_help
from metarl.config import apply_overrides, check_stored, config_to_dict, fields_named, parse_flags
from metarl.errors import UserError, nearest
from metarl.experiment import find_preset, resolve_device
from metarl.records.compact import Seed
from metarl.rollout.ray_cluster import use_address
from metarl.runs.find import load_experiment, stored_name
from metarl.runs.log import say
from metarl.runs.own_experiment import read_experiment
from metarl.runs.same_config import flatten
from metarl.runs.stop import EXIT_CODE as STOPPED
from metarl.runs.stop import StopSignal
from metarl.scores.format import cell as score_cell
from metarl.sweep.files import write_comparison, write_runs
from metarl.sweep.grid import SEED, Run, grid_of, parse_seeds, parse_values, runs_of
from metarl.sweep.plan import Plan
from metarl.sweep.ray_runs import places, start_on_ray
from metarl.sweep.results import compare, last_of, last_score, measure_of
from metarl.sweep.search import Study, Trial, check_optuna, space_of
from metarl.sweep.slurm import submit_file
from metarl.sweep.sweep import Launch, Sweep
from metarl.sweep.view import View
from metarl.text import cell
from metarl.validate import check_counts

HELD_OUT = "held_out"
AUTO_MEASURE = "auto"
SHOWN_TRIALS = 10
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from metarl.cli.swept import main; sys.exit(main(sys.argv[2:]))"
)
"""With this process's own sys.path, as multiprocessing does it."""


@dataclass(frozen=True)
class SweepArguments:
    """Train settings of an experiment with several seeds, each run in a process of its own, and compare them.

    Any other setting may be given as to `metarl train`, and is that of all runs. With `--sampler optuna` settings are
    searched, scored on the validation tasks alone. The same command with --resume goes on after any stop.
    """

    experiment: Positional[str]
    """A name from `metarl list`, or the path of your own .py file."""
    seeds: str = "0"
    """0:10 for 0 to 9, or 3,5,8."""
    settings: Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="NAME=VALUE,VALUE")] = ()
    """Values of a setting, a list in brackets; once for each setting. In a search also NAME=LOW:HIGH, or NAME alone for
    its own range; without any --set, all settings that have one."""
    preset: str | None = None
    """Start from published settings, as `metarl train` does."""
    out: Path | None = None
    """The directory of all runs; runs/EXPERIMENT_sweep if not given."""
    resume: bool = False
    """Go on with what has not ended, or failed. Seeds and values may be added."""
    jobs: int | None = None
    """Runs at once; as many as there are CPUs for if not given."""
    on: Literal["processes", "ray"] = "processes"
    """Where runs are: processes of this machine, or of any node of a Ray cluster that shares the directory
    (docs/scale.md)."""
    ray_address: str | None = None
    """Of `--on ray`: as of `metarl train`."""
    nice: int = 10
    """How far the runs let other programs go first, 0 to 19."""
    measure: str = "auto"
    """What is compared at the end. auto: success at any step where there is such a thing, else the return."""
    sampler: Literal["grid", "optuna"] = "grid"
    """All combinations of the values, or Optuna's choice."""
    trials: int = 40
    """Of a search: settings to try, each with all seeds."""
    maximize: str | None = None
    """Of a search: the measure to make large, such as success_last."""
    minimize: str | None = None
    """Or the one to make small, such as mse."""
    sampler_seed: int = 0
    """Of a search: what it proposes follows from it and from the scores."""
    print_slurm: bool = False
    """Print a submit file of Slurm with a job for each run, and run nothing."""

    @property
    def goal(self) -> str:
        """The measure that is compared, or chosen by."""
        return self.maximize or self.minimize or self.measure

    @property
    def place(self) -> Path:
        stem = Path(stored_name(self.experiment)).stem
        return (self.out or Path("runs") / f"{stem}_sweep").absolute()


def main(rest: list[str]) -> int:
    if is_help(rest):
        tyro.cli(SweepArguments, args=["--help"], prog="metarl sweep")
    arguments, flags = tyro.cli(SweepArguments, args=rest, prog="metarl sweep", return_unknown_args=True)
    _check(arguments)
    module = load_experiment(arguments.experiment)
    config = module.config() if arguments.preset is None else find_preset(module, arguments.preset).config
    pairs = parse_flags(flags)
    if SEED in fields_named(config, pairs):
        raise UserError("--seed is that of one run; give --seeds, such as --seeds 0:10")
    if arguments.sampler == "optuna":
        path = _check_search(config, pairs)
        pairs, flags = [*pairs, (path, "val")], [*flags, f"--{path}=val"]
    config = apply_overrides(config, pairs)
    check_stored(config)
    seeds = parse_seeds(arguments.seeds)
    if arguments.sampler == "optuna":
        _check_first(arguments, module, config)
        return _search(arguments, config, pairs, flags, seeds)
    swept = parse_values(config, arguments.settings)
    _check_once(config, pairs, swept)
    runs = runs_of(grid_of(config, swept), seeds)
    if arguments.print_slurm:
        print(_slurm(arguments, config, flags, runs), end="")
        return 0
    if arguments.on == "processes":  # on a cluster the data and the GPU may be the nodes' alone
        _check_first(arguments, module, apply_overrides(config, runs[0].setting.values))
    return _grid(arguments, config, flags, _plan(arguments, config, swept, seeds), runs)


def _check(arguments: SweepArguments) -> None:
    check_counts(jobs=arguments.jobs, trials=arguments.trials)
    if not 0 <= arguments.nice <= 19:
        raise UserError(f"--nice {arguments.nice} must be from 0 to 19; 10 is a good value")
    if arguments.ray_address is not None:
        use_address(arguments.ray_address, goes_with="--on ray", is_given=arguments.on == "ray")
    if arguments.sampler_seed < 0:
        raise UserError(f"--sampler-seed {arguments.sampler_seed} must be >= 0; raise it")
    goals = [goal for goal in (arguments.maximize, arguments.minimize) if goal is not None]
    if arguments.sampler == "grid" and goals:
        raise UserError(f"a grid has nothing to choose by {goals[0]}; give --sampler optuna, or --measure {goals[0]}")
    if arguments.sampler == "optuna" and len(goals) != 1:
        raise UserError("a search wants one measure; give --maximize or --minimize, such as --maximize success_last")
    if arguments.sampler == "optuna" and arguments.print_slurm:
        raise UserError("a search proposes its settings as it goes, so that no submit file can name them; run it")


def _check_search(config: Any, pairs: list[tuple[str, str]]) -> str:
    """The field that says whose tasks are scored. Raises UserError where the test would be chosen by."""
    check_optuna()
    try:
        (path,) = fields_named(config, [(HELD_OUT, "val")])
    except UserError as error:
        raise UserError("this experiment has no validation tasks to choose settings by; leave out --sampler") from error
    if any(fields_named(config, [pair]) == {path} and pair[1] != "val" for pair in pairs):
        raise UserError("a search is scored on the validation tasks alone; leave out --held-out")
    return path


def _check_once(config: Any, pairs: list[tuple[str, str]], swept: Collection[str]) -> None:
    """Raises UserError for a field that is swept and is set for all runs as well."""
    for path in fields_named(config, pairs) & set(swept):
        raise UserError(f"{path} is swept and is given for all runs as well; leave one of the two out")


def _check_first(arguments: SweepArguments, module: Any, config: Any) -> None:
    """Raises UserError, before anything is trained, for a GPU that is not there, and for a measure that no run will
    have at its end; of a search also where there are no validation tasks."""
    if arguments.on == "processes":
        resolve_device(config.trainer.device)
    if arguments.goal == AUTO_MEASURE:  # the envs of 50 tasks take seconds to make
        return
    experiment = module.build(apply_overrides(config, [("trainer.device", "cpu")]))  # the GPU's memory is the runs'
    experiment.close()
    wanted, known = arguments.goal, experiment.report.measures
    if known and wanted not in known:
        flag = "maximize" if arguments.maximize else "minimize" if arguments.minimize else "measure"
        raise UserError(f"--{flag} {wanted!r:.60}{nearest(wanted, known)} is none of {', '.join(known)}; give one")


def _plan(
    arguments: SweepArguments,
    config: Any,
    swept: dict[str, list[str]],
    seeds: Sequence[int],
    search: dict[str, str] | None = None,
) -> Plan:
    name = stored_name(arguments.experiment)
    sha256 = read_experiment(Path(name)).sha256 if name.endswith(".py") else None
    return Plan(Path(name).name, sha256, config_to_dict(config), swept, list(seeds), search)


# ---- the processes


def _launch(arguments: SweepArguments, config: Any, flags: Sequence[str]) -> Launch:
    parent = str(os.getpid()) if arguments.on == "processes" else "0"

    def command(run: Run, place: Path, resume: bool) -> list[str]:
        start = [sys.executable, "-P", "-c", _START, json.dumps(sys.path), parent, str(arguments.nice)]
        return [*start, *_words(arguments, flags, run, place), *(["--resume"] if resume else [])]

    def check(seed: Seed) -> None:
        if arguments.goal != AUTO_MEASURE:
            last_score(seed, arguments.goal)

    cores = _cores(config)
    if arguments.on == "ray":
        start = start_on_ray(cores=cores)
        return Launch(config, command, arguments.jobs or places(cores=cores), start, check, lambda: 0)
    return Launch(config, command, arguments.jobs or max(1, usable_cpus() // cores), check=check)


def _words(arguments: SweepArguments, flags: Sequence[str], run: Run, place: Path) -> list[str]:
    """Of `metarl`, for a run from its beginning."""
    preset = [] if arguments.preset is None else [f"--preset={arguments.preset}"]
    named = [arguments.experiment, f"--out={place}", *preset]
    return ["train", *named, "--no-report", *flags, *run.setting.flags, f"--{SEED}={run.seed}"]


def _cores(config: Any) -> int:
    """Of a run: its workers and its learner are busy in turn."""
    flat = flatten(config_to_dict(config))
    workers = [value for name, value in flat.items() if name.endswith("pool.workers")]
    return max(1, config.trainer.threads, *workers)


def _slurm(arguments: SweepArguments, config: Any, flags: list[str], runs: Sequence[Run]) -> str:
    places = [run.place(arguments.place) for run in runs]
    commands = [
        (str(place), ["metarl", *_words(arguments, flags, run, place)]) for run, place in zip(runs, places, strict=True)
    ]
    return submit_file(commands, name=arguments.place.name, cores=_cores(config), at_once=arguments.jobs)


# ---- all combinations


def _grid(arguments: SweepArguments, config: Any, flags: list[str], plan: Plan, runs: Sequence[Run]) -> int:
    launch = _launch(arguments, config, flags)
    with StopSignal() as stop, Sweep(arguments.place, plan, launch, stop, resume=arguments.resume) as sweep:
        with View(sweep.out, total=len(runs), iterations=config.trainer.iterations) as view:
            sweep.run(runs, view)
        write_runs(sweep.out, runs, sweep.done, sweep.stored.costs, sweep.failed)
        if sweep.done:
            _compare(sweep, [run for run in runs if run in sweep.done], arguments.measure)
        return _exit_code(sweep, total=len(runs))


def _compare(sweep: Sweep, runs: Sequence[Run], wanted: str) -> None:
    """The table, on the screen and as files; `runs` in their order, of which the first setting is compared with."""
    done = {run: sweep.done[run] for run in runs}
    measure = measure_of(done, wanted)
    rows = compare(done, measure)
    title = f"{sweep.stored.plan.experiment}: {measure.replace('_', ', ')} on {_scored_on(sweep.launch.config)} tasks"
    write_comparison(sweep.out, rows, measure=measure, title=title)
    last = last_of(rows)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), title=cell(title), title_justify="left")
    for heading in ("setting", "seeds", "mean [95 %]", "IQM [95 %]", "P(better than 1st)"):
        table.add_column(heading, justify="left" if heading == "setting" else "right", no_wrap=True)
    for row in last:
        better = "" if row.better is None else "{:.2f} [{:.2f}, {:.2f}]".format(*row.better)
        cells = (row.setting.name, str(row.seeds), score_cell(measure, row.mean), score_cell(measure, row.iqm), better)
        table.add_row(*map(cell, cells))
    console = Console()
    # in a pipe rich takes 80 columns, and would cut numbers off
    console.print(table, width=None if console.is_terminal else 120)
    say(
        f"{last[0].condition}, after {last[0].step} step(s); everything is in {sweep.out}\n"
        "  runs.csv, comparison.csv, comparison.tex, comparison.png, and a folder of runs for each setting"
    )
    if len(last) > 1 and _scored_on(sweep.launch.config) == "held-out":
        say("to choose a setting, sweep with --held-out val: what is chosen by the test scores better there than it is")


def _scored_on(config: Any) -> str:
    flat = flatten(config_to_dict(config))
    return "validation" if "val" in [flat[name] for name in flat if name.endswith(HELD_OUT)] else "held-out"


def _exit_code(sweep: Sweep, *, total: int) -> int:
    again = "the same command with --resume"
    if sweep.stop.requested:
        say(f"stopped after {len(sweep.done)} of {total} runs, all saved; {again} goes on from there", sys.stderr)
        return STOPPED
    if sweep.failed:
        say(f"{len(sweep.failed)} of {total} runs failed; {again} tries them anew", sys.stderr)
    return 1 if sweep.failed else 0


# ---- a search


def _search(
    arguments: SweepArguments, config: Any, pairs: list[tuple[str, str]], flags: list[str], seeds: Sequence[int]
) -> int:
    measure, maximize = arguments.maximize or arguments.minimize or "", arguments.maximize is not None
    space = space_of(config, arguments.settings)
    _check_once(config, pairs, space)
    swept = {name: [str(among)] if not isinstance(among, tuple) else list(among) for name, among in space.items()}
    goal = {"goal": f"{'maximize' if maximize else 'minimize'} {measure}", "seed": str(arguments.sampler_seed)}
    plan = _plan(arguments, config, swept, seeds, goal)
    launch, total = _launch(arguments, config, flags), arguments.trials * len(seeds)
    with StopSignal() as stop, Sweep(arguments.place, plan, launch, stop, resume=arguments.resume) as sweep:
        study = Study(sweep.out, space, maximize=maximize, seed=arguments.sampler_seed)
        with View(sweep.out, total=total, iterations=config.trainer.iterations) as view:
            while not stop.requested and (proposed := study.next_round(trials=arguments.trials)):
                sweep.run(runs_of([trial.setting for trial in proposed], seeds), view)
                if not stop.requested:
                    for trial in proposed:
                        study.tell(trial, _value(sweep, trial, seeds, measure))
        _say_best(sweep, study, seeds, measure)
        return _exit_code(sweep, total=total)


def _value(sweep: Sweep, trial: Trial, seeds: Sequence[int], measure: str) -> float | None:
    """Mean over the seeds; None where one of them failed."""
    found = [sweep.done.get(run) for run in runs_of([trial.setting], seeds)]
    scores = [last_score(seed, measure) for seed in found if seed is not None]
    return sum(scores) / len(scores) if len(scores) == len(found) else None


def _say_best(sweep: Sweep, study: Study, seeds: Sequence[int], measure: str) -> None:
    """The best trials compared with the very best, and how to train with its settings."""
    ranked = study.ranked()
    for run in runs_of([trial.setting for trial, _ in ranked], seeds):
        if run not in sweep.done and (seed := sweep.read(run)) is not None:
            sweep.done[run] = seed
    runs = [run for trial, _ in ranked for run in runs_of([trial.setting], seeds) if run in sweep.done]
    if not runs:
        return
    write_runs(sweep.out, runs, sweep.done, sweep.stored.costs, sweep.failed)
    shown = {trial.setting for trial, _ in ranked[:SHOWN_TRIALS]}
    _compare(sweep, [run for run in runs if run.setting in shown], measure)
    for trial, value in ranked[:SHOWN_TRIALS]:
        say(f"{trial.setting.name}: {measure} {value:.4g} with {' '.join(trial.setting.flags)}")
    say(f"next:\n  metarl train {sweep.stored.plan.experiment} {' '.join(ranked[0][0].setting.flags)}")
