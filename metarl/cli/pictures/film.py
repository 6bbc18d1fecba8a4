"""Episodes that were tested, as frames: a task before adaptation and after it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metarl.cli.pictures.rendering import Frame
from metarl.errors import UserError, sentence_of
from metarl.progress import tell_progress
from metarl.runs.load import actions_of
from metarl.scores.rl import Adaptation, Mode
from metarl.types import Episodes, Task


@dataclass(frozen=True)
class Film:
    """Of `adapt_and_test` on some tasks of a distribution that replays."""

    tasks: Any
    """A TaskDistribution that `Replays`."""
    shown: Sequence[Task]
    result: Adaptation
    mode: Mode
    backend: str | None
    """Which GL there is, for an error."""

    @property
    def rounds(self) -> int:
        """Of adaptation."""
        return len(self.result.tests[self.mode]) - 1

    def frames(self, number: int, *, round: int, size: int, every: int) -> list[Frame]:
        """Of the first test episode of task `number` after a round. Raises UserError where it cannot be drawn."""
        task, actions = self.shown[number], actions_of(self._episode(number, round), 0)
        try:
            # a lane's seed: that of the job, the episode, and 0 for the env's own luck
            seed = (*self.result.test_seeds[self.mode][round], number, 0, 0)
            frames = []
            for frame in self.tasks.replay(task, seed, actions, size=size, every=every):
                frames.append(frame)
                tell_progress(min(1.0, len(frames) * every / len(actions)))
        except UserError:
            raise
        except Exception as error:
            where, remedy = self._gl()
            raise UserError(f"{task.id} cannot be rendered ({where}): {sentence_of(error)}; {remedy}") from error
        if not frames:
            raise UserError(f"{task.id}: nothing was rendered; look at its `replay`")
        return frames

    def _gl(self) -> tuple[str, str]:
        """What there is to draw with, and what to do where that fails."""
        install = "install libegl1 (or libosmesa6 and set MUJOCO_GL=osmesa)"
        if self.backend is not None:
            return f"MUJOCO_GL={self.backend}", install
        if given := os.environ.get("MUJOCO_GL"):
            return f"nothing is drawn by MUJOCO_GL={given} here", f"unset it, or {install}"
        return "there is neither EGL nor OSMesa on this machine", install

    def steps(self, number: int, *, round: int) -> int:
        """Of the episode that is shown."""
        return len(actions_of(self._episode(number, round), 0))

    def outcome(self, number: int, *, round: int) -> str:
        """Of the episode that is shown: its return and, where success is measured, when it came."""
        told = f"return {self.result.returns(self.mode, number)[round]:.1f}"
        if not self.tasks.spec.measures_success:
            return told
        step = int(self._episode(number, round).steps_to_success()[0])
        return f"{told}, {f'success at step {step}' if step else 'no success'}"

    def _episode(self, number: int, round: int) -> Episodes:
        return self.result.tests[self.mode][round][number]
