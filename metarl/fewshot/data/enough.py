"""One look at data of one's own: whether they do for the tasks that are asked for, and if not, which flags do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from metarl.errors import UserError
from metarl.fewshot.data.source import EpisodeConfig
from metarl.fewshot.data.splits import hold_out
from metarl.fewshot.data.suites import Suite, parse_suite

FEWEST_CLASSES = 4
"""Two to train on and two to test on."""


class Wanted(NamedTuple):
    """What the settings ask of the data."""

    episodes: EpisodeConfig
    suites: Sequence[str]
    test_queries: int
    test_share: float = 0.0
    split_seed: int = 0
    held_out: Collection[str] | None = None
    """Names of the test classes where the data have splits of their own; None: `test_share` of all, shuffled."""

    def num_test(self, num_classes: int) -> int:
        """The nearest to what is asked that leaves two classes on each side."""
        if self.held_out is not None:
            return len(self.held_out)
        return min(max(2, round(self.test_share * num_classes)), num_classes - 2)


def check_enough(
    sizes: Mapping[str, int], wanted: Wanted, *, where: str, left_out: Mapping[str, int] | None = None
) -> None:
    """Raises UserError that says all that the classes lack, and the flags that fit them, where any do.

    `sizes` are examples by class, and `left_out` those of classes that --min-examples leaves out.
    """
    suites = [parse_suite(suite) for suite in wanted.suites]
    faults = list(_faults(sizes, suites, wanted, where))
    if not faults:
        return
    everything = {**sizes, **(left_out or {})}
    flags = _flags_with_rare(everything, suites, wanted) if left_out else _flags_that_fit(sizes, suites, wanted)
    fit = f"give {' '.join(flags)} for tasks that fit, or" if flags else "no flags fit them:"
    told = f"{len(everything)} classes of {_range(everything)} examples in {where}"
    if left_out:
        told += f", of which --min-examples leaves {len(left_out)} out,"
    raise UserError(
        f"{told} are too few: {'; '.join(faults)}; {fit} train on a published set (`metarl list`) and let that run "
        "`metarl classify` yours, for which a few examples of each are enough"
    )


def _range(sizes: Mapping[str, int]) -> str:
    least, most = min(sizes.values(), default=0), max(sizes.values(), default=0)
    return str(least) if least == most else f"{least} ({min(sizes, key=sizes.__getitem__)!r}) to {most}"


def _flags_with_rare(everything: Mapping[str, int], suites: Sequence[Suite], wanted: Wanted) -> list[str]:
    """With the smallest --min-examples whose classes any flags fit."""
    for least in sorted(set(everything.values())):
        sizes = {name: size for name, size in everything.items() if size >= least}
        if (flags := _flags_that_fit(sizes, suites, wanted)) is not None:
            return [f"--min-examples {least}", *flags]
    return []


def _faults(sizes: Mapping[str, int], suites: Sequence[Suite], wanted: Wanted, where: str) -> Iterator[str]:
    names, episodes, held_out = sorted(sizes), wanted.episodes, wanted.held_out
    if held_out is None:
        try:
            splits = hold_out(names, test_share=wanted.test_share, split_seed=wanted.split_seed, where=where)
        except UserError:
            yield f"of {len(names)} classes that count, test_share={wanted.test_share} leaves less than two on a side"
            return
        held_out = {names[c] for c in splits["test"]}
    train, test = ([size for name, size in sizes.items() if (name in held_out) is side] for side in (False, True))
    if episodes.most_ways > len(train) or episodes.most_examples > min(train):
        yield (
            f"a training task takes {episodes.most_examples} examples of {episodes.most_ways} classes, and there are "
            f"{len(train)} of at least {min(train)}"
        )
    for name, suite in zip(wanted.suites, suites, strict=True):
        examples = suite.shots + (suite.queries or wanted.test_queries)
        if suite.ways is not None and (suite.ways > len(test) or examples > min(test)):
            yield f"suite {name} takes {examples} of {suite.ways}, and {len(test)} of at least {min(test)} are held out"


def _flags_that_fit(sizes: Mapping[str, int], suites: Sequence[Suite], wanted: Wanted) -> list[str] | None:
    """Those to be changed, as near to what was asked for as the data allow; None where nothing fits."""
    episodes, smallest = wanted.episodes, min(sizes.values(), default=0)
    num_test = wanted.num_test(len(sizes))
    num_train = len(sizes) - num_test
    if len(sizes) < FEWEST_CLASSES or smallest < 2 or min(num_test, num_train) < 2:
        return None
    ways = min(episodes.ways, num_train)
    shots = min(episodes.shots, smallest - 1)
    max_shots = episodes.max_shots and max(shots, min(episodes.max_shots, smallest - 1))
    most_shots = max_shots or shots
    fitting = [(min(s.ways or 2, num_test), min(s.shots, smallest - 1)) for s in suites]
    pairs = [
        ("--test-share", wanted.test_share, _share(num_test, len(sizes), wanted)),
        ("--ways", episodes.ways, ways),
        ("--max-ways", episodes.max_ways, episodes.max_ways and max(ways, min(episodes.max_ways, num_train))),
        ("--shots", episodes.shots, shots),
        ("--max-shots", episodes.max_shots, max_shots),
        ("--queries", episodes.queries, min(episodes.queries, smallest - most_shots)),
        ("--suites", ",".join(wanted.suites), ",".join(dict.fromkeys(f"{w}w{k}s" for w, k in fitting))),
        ("--test-queries", wanted.test_queries, min(wanted.test_queries, smallest - max(k for _, k in fitting))),
    ]
    return [f"{flag} {new}" for flag, old, new in pairs if new != old]


def _share(num_test: int, num_classes: int, wanted: Wanted) -> float:
    """The share that was asked for where it holds out so many, or one that does."""
    if wanted.held_out is not None or round(wanted.test_share * num_classes) == num_test:
        return wanted.test_share
    return round(num_test / num_classes, 3)
