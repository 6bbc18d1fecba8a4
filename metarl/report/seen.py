"""What came of looking at an agent itself: films, pictures of tasks, its memory, an episode of few-shot learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from metarl.report.page import Picture, Section


@dataclass(frozen=True, kw_only=True)
class Seen:
    sections: Sequence[Section] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    """Of tasks, by their id."""


NOTHING = Seen()
