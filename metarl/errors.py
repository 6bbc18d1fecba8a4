"""Errors meant for people: each message is one sentence with the value, the rule and the remedy."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """Something the user can fix. The CLI prints the message alone, without a traceback, and exits with 2."""


class SettingError(UserError, ValueError):
    """A setting that its config refuses, wherever it is made: on the command line, in an experiment file, in Python."""


class NonFiniteError(UserError):
    """A NaN or an infinity in obs, reward, loss or parameters; the message names task, seed and step."""


class WorkerError(RuntimeError):
    """A rollout group failed in every try; the message carries the worker's traceback, task id and seed."""


class WorkerWarning(RuntimeWarning):
    """A worker was lost, or its group failed, and all goes on as it was."""


class EnvFault(Exception):
    """An environment raised: one sentence that tells what, on which task, seed and step, so that it can be replayed."""

    env = ""
    """The name of the task distribution, once that is known."""

    def __init__(
        self, task: str, seed: tuple[int, ...], step: int, error: Exception, *, beside: Path | None = None
    ) -> None:
        """`step`: 0 is its reset. `beside`: as of `place_of`."""
        super().__init__(task, seed, step)
        self._raised, self._when = sentence_of(error) + place_of(error, beside=beside), f"{seed}, step {step}"
        self._task = task
        self.traceback = "".join(traceback.format_exception(error))
        """The env's own."""

    def __str__(self) -> str:
        name = f"env {self.env!r}" if self.env else "the env"
        return f"{name} raised {self._raised} on task {self._task!r}, seed {self._when}; fix the env"


def sentence_of(error: BaseException) -> str:
    """'KeyError: 'goal'', on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def place_of(error: BaseException, *, beside: Path | None = None) -> str:
    """' (my_env.py, line 12)': where it was raised, or the last line before it went into an installed package.

    Lines of the folder `beside` are of ours, which called what raised.
    """
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent != beside]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def nearest(name: object, valid: Iterable[str]) -> str:
    """' (did you mean X?)' for the closest valid name, whatever its case; '' if none is close, as to no text."""
    known = {each.casefold(): each for each in reversed(list(valid))}  # the first of those that differ in case alone
    matches = difflib.get_close_matches(str(name).casefold(), list(known), n=1, cutoff=0.5)
    return f" (did you mean {known[matches[0]]!r}?)" if matches else ""
