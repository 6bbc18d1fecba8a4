"""The robot families' names, known without importing MuJoCo."""

from __future__ import annotations

FAMILY_NAMES: tuple[str, ...] = (
    "cheetah-dir-maml-v0",
    "cheetah-dir-promp-v0",
    "cheetah-dir-pearl-v0",
    "cheetah-vel-maml-v0",
    "cheetah-vel-promp-v0",
    "cheetah-vel-pearl-v0",
    "ant-dir-maml-v0",
    "ant-dir-pearl-v0",
    "ant-vel-maml-v0",
    "ant-goal-maml-v0",
    "ant-goal-pearl-v0",
    "humanoid-dir-pearl-v0",
    "walker-params-v0",
    "hopper-params-v0",
    "reacher-goal-v0",
    "pusher-goal-v0",
)
