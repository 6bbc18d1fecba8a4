"""Names of evaluation settings: '5w1s' is 5-way 1-shot, '5w1s1q' with one query a class, '10s' a regression."""

from __future__ import annotations

import re
from typing import NamedTuple

from metarl.errors import UserError

_SUITE = re.compile(r"(?:(\d+)w)?(\d+)s(?:(\d+)q)?")


class Suite(NamedTuple):
    """A kind of held-out tasks, such as 5-way 1-shot."""

    ways: int | None
    """None of a regression."""
    shots: int
    """Of each class; of a regression the points."""
    queries: int | None
    """Of each class; None: as many as the data set's settings say."""


def parse_suite(suite: str) -> Suite:
    """Raises UserError for another form."""
    match = _SUITE.fullmatch(suite)
    ways, shots, queries = (int(digits) if digits else None for digits in (match.groups() if match else (None,) * 3))
    if not shots or queries == 0 or ways in (0, 1):
        raise UserError(
            f"unknown suite {suite!r}; give ways and shots as in '5w1s' (at least 2 ways and 1 shot), with queries a "
            "class as in '5w1s1q', points as in '10s' for a regression, or with `--split lake` of Omniglot 'lake', its "
            "20-way one-shot benchmark"
        )
    return Suite(ways, shots, queries)
