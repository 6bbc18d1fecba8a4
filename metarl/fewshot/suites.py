"""Names of evaluation settings: '5w1s' is 5-way 1-shot, '10s' a regression from 10 points."""

from __future__ import annotations

import re

from metarl.errors import UserError

_SUITE = re.compile(r"(?:(\d+)w)?(\d+)s")


def parse_suite(suite: str) -> tuple[int | None, int]:
    """Ways (None for a regression) and shots. Raises UserError for another form."""
    match = _SUITE.fullmatch(suite)
    if match is None or int(match[2]) < 1 or (match[1] is not None and int(match[1]) < 2):
        raise UserError(
            f"unknown suite {suite!r}; give ways and shots as in '5w1s' (at least 2 ways and 1 shot), points as in "
            "'10s' for a regression, or 'lake' for Omniglot's own 20-way one-shot benchmark"
        )
    return (int(match[1]) if match[1] else None), int(match[2])
