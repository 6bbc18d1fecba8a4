"""How scores are written: names of measures and conditions, and numbers with their intervals."""

from __future__ import annotations

from metarl.scores.stats import Interval

CONDITIONS = {"stochastic": "sampled", "deterministic": "mean"}
"""As a table shows them; others by their own name."""
HEADINGS = {
    "return": "return",
    "success_any": "success\nany step",
    "success_last": "success\nlast step",
    "auroc": "AUROC",
    "false_acceptance_at_95": "let through at 95 %",
}
LARGE = 1e9
SHARES = ("success_any", "success_last")


def cell(measure: str, interval: Interval) -> str:
    """'-12.3 [-14.0, -10.9]', '87% [81, 92]' of a success, '98.71 ± 0.23 %' of an accuracy."""
    mean, low, high = interval
    if measure in SHARES:
        return f"{mean:.0%} [{100 * low:.0f}, {100 * high:.0f}]"
    if measure == "return":
        digits = 0 if max(abs(low), abs(high)) >= 100 else 1
        return "{} [{}, {}]".format(*(fixed(value, digits) for value in interval))
    half = (high - low) / 2
    return f"{mean:.3g} ± {half:.2g}" if measure == "mse" else f"{100 * mean:.2f} ± {100 * half:.2f} %"


def number(measure: str, value: float) -> str:
    """A mean alone: '-12.3', '0.871' of a success, '98.71' per cent of an accuracy."""
    if measure in SHARES:
        return f"{value:.3f}"
    if measure == "return":
        return fixed(value, 0 if abs(value) >= 100 else 2)
    return f"{value:.3g}" if measure == "mse" else f"{100 * value:.2f}"


def fixed(value: float, digits: int) -> str:
    """One of 1e30, as of an env that blew up, takes no more room than others."""
    return f"{value:.{digits}f}" if abs(value) < LARGE else f"{value:.3g}"


def with_unit(measure: str, value: float) -> str:
    """As `number`, with per cent behind an accuracy: '98.71 %'."""
    return f"{number(measure, value)} %" if measure == "accuracy" else number(measure, value)
