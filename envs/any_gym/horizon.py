"""How long an env's episodes are: by the limit that it is registered with, or else by some that were seen."""

from __future__ import annotations

from typing import NamedTuple

from metarl.envs.any_gym.checked_calls import checked_reset, checked_step
from metarl.envs.any_gym.lane import GymLane
from metarl.envs.any_gym.make import registered_horizon

GUESSED = 200
"""Steps of an episode that shows no end of its own: enough to look at an env, for want of a better guess."""
_EPISODES, _MOST_STEPS = 4, 1000


class Horizon(NamedTuple):
    """Of an env by itself."""

    steps: int
    seen: str
    """What it was taken from, in words; empty where a limit is registered."""


def horizon_of(reference: str) -> Horizon:
    """Raises UserError for an env that does not keep to gymnasium's rules."""
    limit = registered_horizon(reference)
    if limit is not None:
        return Horizon(limit, "")
    lengths = []
    with GymLane(reference, {}) as lane:
        for seed in range(_EPISODES):
            lengths.append(_length(reference, lane, seed))
            if lengths[-1] is None:
                return Horizon(GUESSED, f"an episode of random actions has not ended after {_MOST_STEPS} steps")
    shortest, longest = min(lengths), max(lengths)
    if shortest == longest:
        return Horizon(longest, f"each of {_EPISODES} episodes of random actions ended after {longest} steps")
    return Horizon(
        max(GUESSED, longest),
        f"{_EPISODES} episodes of random actions ended after {shortest} to {longest} steps, and a trained policy's may "
        "last longer",
    )


def _length(reference: str, lane: GymLane, seed: int) -> int | None:
    """Steps of one episode of random actions, None if it goes on."""
    env = lane.become({})
    checked_reset(reference, env, seed, None)
    env.action_space.seed(seed)
    for t in range(1, _MOST_STEPS + 1):
        step = checked_step(reference, env, env.action_space.sample())
        if step.terminated or step.truncated:
            return t
    return None
