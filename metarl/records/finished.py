"""Whether a run's evaluation is that of its end: one from before a `--resume` with other settings is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarl.errors import UserError
from metarl.runs.same_config import differences, settings_of

NEEDED = ("iterations", "training_seconds", "training_env_steps", "environment", "policies")
"""Of an evaluation.json: what tables are made of."""


def check_finished(evaluation: Mapping[str, Any], stored: Mapping[str, Any], run: Path) -> None:
    """Raises UserError where an evaluation.json is not that of the run's last iteration under the run's settings, or
    lacks what tables show. `stored` is the run's config.json."""
    if missing := [name for name in NEEDED if name not in evaluation]:
        raise UserError(f"{run / 'evaluation.json'} lacks {', '.join(missing)}; evaluate the run again")
    wanted = stored["config"]["trainer"]["iterations"]
    if (found := evaluation["iterations"]) != wanted:
        raise UserError(
            f"{run} was evaluated after {found} of its {wanted} iterations; let it end with --resume, which evaluates "
            "it anew"
        )
    if "config" in evaluation:  # older ones do not say
        under = settings_of({**stored, "config": evaluation["config"]})
        if found := differences(settings_of(stored), under):
            raise UserError(
                f"{run} was evaluated with other settings than its own: {'; '.join(found)}; evaluate it anew with "
                "--resume, to which the evaluation's settings may be given"
            )
