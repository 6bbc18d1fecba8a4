"""The protocol of few-shot methods: a behaviour whose phi answers queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, get_args

from torch import Tensor

from metarl.errors import UserError, nearest
from metarl.fewshot.examples import Examples
from metarl.learner import Behaviour, MetaLearner
from metarl.types import Phi

Mode = Literal["inductive", "single", "transductive"]
"""Whose statistics normalise a query.

inductive: the support set's (gradient methods) or meta-training's (metric methods); queries do not see each other.
single: those of the support set with that one query in it: Reptile's figures that are not transductive.
transductive: those of all queries of the task together, which tell of the classes before any answer: MAML's figures.
"""


def check_mode(mode: str) -> None:
    """Raises UserError: a misspelt mode would be answered in another one."""
    if mode not in (known := get_args(Mode)):
        raise UserError(
            f"mode={mode!r}{nearest(str(mode), known)} must be one of {', '.join(known)}; give one of those"
        )


class FewShotBehaviour(Behaviour, Protocol):
    """A Behaviour whose data are examples, and whose phi answers queries."""

    @property
    def max_ways(self) -> int | None:
        """Classes of a task at most, where a head was built for so many; None: any number, or a regression."""
        ...

    @property
    def has_statistics(self) -> bool:
        """Whether the modes differ at all: there is batch normalisation."""
        ...

    def adapt_curve(self, supports: Sequence[Examples]) -> dict[int, list[Phi]]:
        """phi of each task after some numbers of inner steps, the last being that of `adapt` from the prior.

        A method without inner steps gives {1: phis}.
        """
        ...

    def predict(self, phis: Sequence[Phi], queries: Sequence[Tensor], *, mode: Mode = "inductive") -> list[Tensor]:
        """Class scores (Q, ways or more) of each task's queries (Q, ...), or a regression's values (Q, O).

        exp(scores) are proportional to the probabilities; columns past the task's ways are of no meaning.
        """
        ...


FewShotLearner = MetaLearner[FewShotBehaviour]
