"""Errors meant for people: each message is one sentence with the value, the rule and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can fix. The CLI prints the message alone, without a traceback, and exits with 2."""


class SettingError(UserError, ValueError):
    """A setting that its config refuses, wherever it is made: on the command line, in an experiment file, in Python."""


class NonFiniteError(UserError):
    """A NaN or an infinity in obs, reward, loss or parameters; the message names task, seed and step."""


class WorkerError(RuntimeError):
    """A rollout group failed in every try; the message carries the worker's traceback, task id and seed."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """' (did you mean X?)' for the closest valid name, or '' if none is close."""
    matches = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
