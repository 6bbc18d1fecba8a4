"""The `metarl` command: which commands there are, and exit codes. What each does is in the file of its name.

Exit codes: 0 done, 1 a run failed, 2 something the user can fix, 130 stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence

from metarl.cli.process.allocator import keep_freed_memory
from metarl.cli.process.gl import check_gl
from metarl.cli.process.streams import lost_output, ready_streams
from metarl.cli.process.threads import wait_briefly
from metarl.cli.process.warn import plain_warnings
from metarl.cli.words import HELP, check_places
from metarl.errors import EnvFault, UserError, WorkerError, nearest
from metarl.runs.stop import EXIT_CODE as STOPPED
from metarl.text import printable_lines, sentence

FIRST = {
    "metarl play zoo:skill_open_drawer": "see a trained agent before and after it adapts",
    "metarl train ml1_reach_maml": "meta-train an arm to reach goals it has never seen: 5 minutes",
    "metarl train skill_insert_peg": "a robot skill; `metarl list` has the others",
    "metarl train mt10_sac": "ten Meta-World tasks by one agent: 25 minutes",
    "metarl train digits_prototypical": "few-shot learning: seconds, no data file",
    "metarl check-env my_module:MyEnv-v0": "your own gymnasium env as a task distribution",
}
"""What a newcomer may call."""
COMMANDS: dict[str, str] = {
    "list": "experiments, agents and task distributions by name",
    "train": "meta-train an experiment and evaluate it on held-out tasks",
    "evaluate": "evaluate a run's newest checkpoint again",
    "compare": "runs compared: means with intervals, IQM, probability of improvement",
    "continual": "what runs of a sequence of tasks learned, kept and passed on",
    "sweep": "several settings and seeds side by side, or a search, compared at the end",
    "oracle": "stable-baselines3 from scratch on one held-out task, for comparison",
    "report": "a page about runs: curves, tasks, videos, how to repeat them",
    "results": "store finished runs as records and remake the results table",
    "data": "build the few-shot data files",
    "classify": "name new examples by a few-shot run, from a few of each class",
    "explain": "a few-shot run on one held-out task: answers, attention, which layers moved",
    "fewshot": "the few-shot results side by side",
    "bench": "measure speed side by side with other samplers",
    "check-env": "what is wrong with an environment, in sentences",
    "adapt": "adapt a trained agent to one new task and save the adapted policy",
    "play": "render a trained agent before and after adaptation, side by side",
    "export": "a policy as an ONNX file for your robot",
    "zoo": "trained agents by name: play, evaluate and adapt them at once",
    "doctor": "what this machine has, and what it lacks",
}
"""Name and summary; `check-env` is metarl/cli/check_env.py, imported only when it is called."""

MACHINE = {
    errno.ENOSPC: "free some space on that disk, and call the same command again",
    errno.EDQUOT: "free some of your quota on that disk, and call the same command again",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f), and call the same command again",
    errno.EROFS: "write to another place: that disk is read-only",
    errno.EIO: "look after that disk, which does not read or write",
    errno.EMFILE: "raise the limit on open files (ulimit -n 1024), or take fewer --workers",
    errno.ENFILE: "end some programs, or take fewer --workers",
    errno.ENOMEM: "free some memory, or take fewer --workers",
    errno.EACCES: "look at whose it is and who may read or write there, or give another place",
    errno.EPERM: "look at whose it is and who may read or write there, or give another place",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "it is a link that leads to itself; remove it, or give another place",
}
"""What a machine may lack at any moment of any command, or a place that was named, with the remedy; elsewhere an
OSError is a fault of ours."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    ready_streams()
    with plain_warnings():
        code = _run(arguments)
    if lost := lost_output():
        print(f"error: standard output could not be written ({lost}), and all later lines are lost", file=sys.stderr)
    return 1 if lost and code == 0 else code


def _run(arguments: list[str]) -> int:
    try:
        return _dispatch(arguments)
    except UserError as error:
        print(f"error: {sentence(error)}", file=sys.stderr)
        return 2
    except WorkerError as error:
        print(f"error: {printable_lines(error)}", file=sys.stderr)  # with a worker's traceback
        return 1
    except EnvFault as fault:  # of an env in this process
        print(f"error: {sentence(fault)}\n{printable_lines(fault.traceback.rstrip())}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in MACHINE:
            raise
        print(f"error: {sentence(_of_the_machine(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return STOPPED


def _of_the_machine(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; {MACHINE[error.errno or 0]}"


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in HELP:
        _print_help()
        return 0
    if arguments[0] == "--version":
        import metarl

        print(f"metarl {metarl.__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        raise UserError(f"unknown command {command!r}{nearest(command, COMMANDS)}; see metarl --help")
    check_places(rest)
    check_gl()
    wait_briefly()
    keep_freed_memory()
    return importlib.import_module(f"metarl.cli.{command.replace('-', '_')}").main(rest)


def _print_help() -> None:
    print("usage: metarl COMMAND ...\n\nto begin with:")
    for command, what in FIRST.items():
        print(f"  {command:<36} {what}")
    print("\ncommands:")
    for name, summary in COMMANDS.items():
        print(f"  {name:<10} {summary}")
    print("\n`metarl COMMAND --help` tells more, `metarl train EXPERIMENT --help` lists its settings.")
