"""Adam with a step size that halves now and then: the outer step of all methods but Reptile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from metarl.learn.meta_optimizer import Adam
from metarl.types import Metrics, Params
from metarl.validate import Checked, Natural, Positive, Search


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig(Checked):
    """Settings of Adam's steps on theta."""

    lr: Annotated[Positive, Search(1e-4, 1e-2)] = 1e-3
    """Adam's step size on theta."""
    lr_halve_every_iterations: Natural = 0
    """Halve `lr` after every so many meta-updates (Snell et al. 2017: 2,000); 0: never."""
    max_grad_norm: Positive | None = None


class ScheduledAdam:
    """Adam whose step size is halved from time to time."""

    def __init__(self, config: ScheduleConfig) -> None:
        self._config = config
        self._adam = Adam(lr=config.lr, max_grad_norm=config.max_grad_norm)
        self._iterations = 0

    def apply(self, grads: Params, theta: Params, *, loss: float) -> tuple[Params, Metrics]:
        """One step; the number of earlier ones decides its size."""
        every = self._config.lr_halve_every_iterations
        self._adam.lr = self._config.lr * 0.5 ** (self._iterations // every if every else 0)
        self._iterations += 1
        return self._adam.apply(grads, theta, loss=loss)

    def state_dict(self) -> dict[str, Any]:
        return {"iterations": self._iterations, "adam": self._adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._iterations = state["iterations"]
        self._adam.load_state_dict(state["adam"])
