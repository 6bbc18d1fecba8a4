"""Figures in README and docs that come from records: `<!--=NAME/SUITE/CONDITION/STEP/MEASURE-->97<!---->`.

The number between the marks is the mean over seeds and held-out tasks of the meta-trained policy, in per cent where
the measure is a share, with as many decimals as stand there. STEP is a number of adaptation steps, or `last`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from metarl.errors import UserError
from metarl.fewshot.results import TRAINED
from metarl.runs.compact import Record

MARKED = re.compile(r"<!--=(?P<figure>[^>]*)-->(?P<shown>[^<]*)<!---->")
IN_PER_CENT = ("success_any", "success_last", "accuracy", "auroc", "false_acceptance_at_95")


def documents(experiments: Path) -> list[Path]:
    """README.md and docs/*.md of the checkout that the experiments lie in; none where metarl is installed alone."""
    root = experiments.resolve().parent
    return [path for path in (root / "README.md", *sorted((root / "docs").glob("*.md"))) if path.is_file()]


def filled_in(text: str, records: Mapping[str, Record]) -> str:
    """Raises UserError for a figure that no record has."""
    return MARKED.sub(lambda m: f"<!--={m['figure']}-->{_figure(m['figure'], m['shown'], records)}<!---->", text)


def _figure(figure: str, shown: str, records: Mapping[str, Record]) -> str:
    try:
        name, suite, condition, step, measure = figure.split("/")
        record = records[name]
        steps = record.seeds[0].suites(TRAINED)[suite].steps
        means = record.curves[TRAINED, suite, condition, measure][-1 if step == "last" else steps.index(int(step))]
    except (KeyError, ValueError) as error:
        raise UserError(
            f"no record has the figure {figure!r:.200} ({error}); mark one that `metarl results --show NAME` prints"
        ) from error
    decimals = len(shown.partition(".")[2])
    return f"{(100 if measure in IN_PER_CENT else 1) * means[0].mean:.{decimals}f}"
