"""Settings chosen by Optuna (Akiba et al. 2019), each tried with all seeds and scored on the validation tasks alone.

Trials are proposed in rounds of four that know nothing of each other, so that what is proposed depends neither on
`--jobs` nor on which run ends first; and each with random numbers of its own, so that a search that was stopped goes on
as if it had not been. Optuna keeps them in its own journal, lines of JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.config import apply_overrides, describe_fields, marks_of_types
from metarl.errors import UserError
from metarl.files import inside
from metarl.seeding import Stream, seed_sequence
from metarl.sweep.grid import Setting, field_of, parse_values
from metarl.validate import Search

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

JOURNAL = "optuna.log"
ROUND = 4
"""Trials that are proposed together."""
_WIDE = 10.0
"""A range of your own is searched over its logarithm where its end is so many times its beginning."""


@dataclass(frozen=True)
class Range:
    """Where a search draws a field's value from."""

    low: float
    high: float
    log: bool
    whole: bool

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}{' log' if self.log else ''}"


Space = Mapping[str, Range | tuple[str, ...]]
"""By dotted name of a field, its range or the texts of its values."""


def space_of(config: Any, given: Sequence[str]) -> dict[str, Range | tuple[str, ...]]:
    """'inner_lr' is searched over its own range, 'inner_lr=0.01:0.5' over that one, 'hidden=[64,64],[128,128]' among
    those; nothing given: all settings that say a range of their own.

    Raises UserError for an unknown field, one without a range, and a range that is empty or beyond the field's bounds.
    """
    own = marks_of_types(config, Search)
    if not given and not own:
        raise UserError("this experiment has no setting that says over which range it is worth searching; give --set")
    space: dict[str, Range | tuple[str, ...]] = {}
    for word in given or own:
        name, has_value, text = word.partition("=")
        path = field_of(config, name)
        if path in space:
            raise UserError(f"--set {word!r}: {path} is set twice; give it once")
        if not has_value:
            space[path] = _own_range(path, own)
        elif ":" in text:
            space[path] = _given_range(config, path, text, own)
        else:
            values = tuple(parse_values(config, [word])[path])
            for value in values:
                apply_overrides(config, [(path, value)])
            space[path] = values
    return space


def _own_range(path: str, own: Mapping[str, tuple[Any, Search]]) -> Range:
    if path not in own:
        raise UserError(
            f"--set {path}: this setting says no range that is worth searching; give one, such as --set "
            f"{path}=LOW:HIGH, or one of {', '.join(own) or 'those of another agent'}"
        )
    kind, search = own[path]
    return Range(search.low, search.high, search.log, whole=kind is int)


def _given_range(config: Any, path: str, text: str, own: Mapping[str, tuple[Any, Search]]) -> Range:
    match = re.fullmatch(r"([^:]+):([^:]+)", text)
    try:
        low, high = (float(end) for end in match.groups()) if match else (math.nan, math.nan)
    except ValueError:
        low = high = math.nan
    if not low < high or math.isinf(high - low):
        raise UserError(f"--set {path}={text}: the range is empty or no range; write LOW:HIGH with LOW below HIGH")
    whole = _is_whole(config, path)
    if whole and not (low.is_integer() and high.is_integer()):
        raise UserError(f"--set {path}={text}: this setting is a whole number; write LOW:HIGH without a point")
    for end in (low, high):
        apply_overrides(config, [(path, _text(end, whole))])
    log = own[path][1].log and low > 0 if path in own else low > 0 and high / low >= _WIDE
    return Range(low, high, log, whole)


def _is_whole(config: Any, path: str) -> bool:
    (kind,) = [kind for name, kind, _, _ in describe_fields(config) if name == path]
    return kind.split()[0] == "int"


def _text(value: float, whole: bool) -> str:
    return str(round(value)) if whole else repr(float(value))


@dataclass(frozen=True)
class Trial:
    """One setting that a search tries."""

    number: int
    setting: Setting


class Study:
    """The trials so far and the next ones."""

    def __init__(self, sweep: Path, space: Space, *, maximize: bool, seed: int) -> None:
        """Raises UserError where Optuna is missing or its journal is damaged."""
        optuna = _optuna()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna, self._space, self._seed, self._maximize = optuna, space, seed, maximize
        self._path = inside(sweep, JOURNAL)
        inside(sweep, f"{JOURNAL}.lock")
        backend = optuna.storages.journal.JournalFileBackend(
            str(self._path), lock_obj=optuna.storages.journal.JournalFileOpenLock(str(self._path))
        )
        try:
            self._study = optuna.create_study(
                storage=optuna.storages.JournalStorage(backend),
                study_name="sweep",
                direction="maximize" if maximize else "minimize",
                load_if_exists=True,
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise UserError(f"{self._path} is damaged ({error!r:.200}); restore it, or choose another --out") from error

    def next_round(self, *, trials: int) -> list[Trial]:
        """The trials that have no result yet; of a whole round where all have one, up to so many in all."""
        found = self._study.get_trials(deepcopy=False)
        # the rest of a round that was cut off while it was proposed knows no more than its beginning did
        end = min(trials, ROUND * math.ceil((self._finished() + 1) / ROUND))
        for number in range(len(found), end):
            state = seed_sequence((self._seed, Stream.SEARCH, number)).generate_state(1)
            self._study.sampler = self._optuna.samplers.TPESampler(seed=int(state[0]))
            self._study.ask(self._distributions())
        return [self._trial(trial) for trial in self._study.get_trials() if not trial.state.is_finished()]

    def _finished(self) -> int:
        return sum(trial.state.is_finished() for trial in self._study.get_trials(deepcopy=False))

    def tell(self, trial: Trial, value: float | None) -> None:
        """None: it failed."""
        states = self._optuna.trial.TrialState
        self._study.tell(trial.number, value, state=states.FAIL if value is None else states.COMPLETE)

    def ranked(self) -> list[tuple[Trial, float]]:
        """Trials that have a value, the best first."""
        scored = [(self._trial(t), float(t.value)) for t in self._study.get_trials() if t.value is not None]
        return sorted(scored, key=lambda pair: -pair[1] if self._maximize else pair[1])

    def _distributions(self) -> dict[str, BaseDistribution]:
        kinds = self._optuna.distributions
        return {
            name: kinds.CategoricalDistribution(among)
            if isinstance(among, tuple)
            else kinds.IntDistribution(round(among.low), round(among.high), log=among.log)
            if among.whole
            else kinds.FloatDistribution(among.low, among.high, log=among.log)
            for name, among in self._space.items()
        }

    def _trial(self, found: FrozenTrial) -> Trial:
        """Raises UserError for values that this search does not propose: the journal may be anybody's."""
        values = []
        for name, among in self._space.items():
            value = found.params.get(name)
            text = None
            if isinstance(among, tuple):
                text = str(value) if value in among else None
            elif isinstance(value, (int, float)) and among.low <= value <= among.high:
                text = _text(value, among.whole)
            if text is None:
                raise UserError(
                    f"{self._path}: {name} of trial {found.number} is {value!r:.60}, which this search does not "
                    "propose; restore the file, or choose another --out"
                )
            values.append((name, text))
        return Trial(found.number, Setting(f"trial{found.number}", tuple(values)))


def check_optuna() -> None:
    """Raises UserError where it is not installed."""
    _optuna()


def _optuna() -> Any:
    try:
        import optuna
        import optuna.storages.journal
    except ImportError as error:
        raise UserError('Optuna is missing; pip install ".[search]" in the checkout, or pip install optuna') from error
    return optuna
