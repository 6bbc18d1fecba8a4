"""What the rest of a sweep will take, from what its runs have taken so far."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from metarl.runs.log import format_seconds
from metarl.sweep.plan import Cost


def forecast(costs: Sequence[Cost], *, left: int, jobs: int, free_bytes: int) -> Iterator[str]:
    """Sentences; the last is a warning where so many runs at once need more memory than there is (0: not known)."""
    jobs = min(jobs, left)
    seconds = sum(cost.seconds for cost in costs) / len(costs)
    peak = max(cost.peak_bytes for cost in costs)
    memory = f" and {_mib(peak)}" if peak else ""
    yield (
        f"a run takes about {format_seconds(seconds)}{memory}; {left} more, {jobs} at once, take about "
        f"{format_seconds(seconds * math.ceil(left / jobs))}"
    )
    if peak and free_bytes and jobs * peak > free_bytes:
        fit = max(1, free_bytes // peak)
        yield (
            f"warning: {jobs} runs at once need {_mib(jobs * peak)}, and {_mib(free_bytes)} are free; "
            f"give --jobs {fit}, or some will be killed"
        )


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
