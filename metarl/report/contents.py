"""A report of finished runs, put together: what they left, and what was looked at in the agent itself, if it was."""

from __future__ import annotations

from collections.abc import Sequence

import metarl
from metarl.records.compare import Group
from metarl.records.stored import same_scores
from metarl.report.page import Page
from metarl.report.repeat import repeat_section, settings_section, versions_section
from metarl.report.results import adaptation_section, scores_section, tasks_section
from metarl.report.seen import Seen
from metarl.report.training import time_section, training_section
from metarl.report.words import cards, description, sentence


def page_of(groups: Sequence[Group], seen: Seen) -> Page:
    """Raises UserError where runs of one group, or of several, do not hold the same scores."""
    with same_scores(", ".join(str(path) for group in groups for path in group.paths)):
        sections = [
            adaptation_section(groups),
            *seen.sections,
            tasks_section(groups, seen.pictures),
            training_section(groups),
            time_section(groups),
            repeat_section(groups),
            scores_section(groups),
            settings_section(groups),
            versions_section(groups),
        ]
        return Page(
            title=" and ".join(group.label for group in groups[:4]) + (" and others" if len(groups) > 4 else ""),
            about=description(groups),
            sentence=sentence(groups),
            cards=cards(groups),
            sections=[section for section in sections if not section.is_empty],
            made_by=f"Made by metarl {metarl.__version__} from {', '.join(str(p) for g in groups for p in g.paths)}",
        )
