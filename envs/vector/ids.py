"""The ids under which gymnasium knows our environments; nothing else is imported for it, so that it takes milliseconds.

gymnasium 1 looks for no plug-ins of its own accord: either `import metarl.envs` stands somewhere, or the id names the
module too, `gymnasium.make_vec("metarl.envs:metarl/MT10", num_envs=10)`.
"""

from __future__ import annotations

import gymnasium as gym

from metarl.envs.metaworld.names import TASK_NAMES
from metarl.envs.mujoco_v5.names import FAMILY_NAMES

NAMESPACE = "metarl"
SMALL = (
    "navigation",
    "navigation-sparse",
    "navigation-wind",
    "point-robot",
    "point-robot-sparse",
    "bandits",
    "bandits-gaussian",
    "tabular-mdp",
)


def settings_by_id() -> dict[str, dict[str, str]]:
    """Of each id, what `metarl.envs.vector.make` is called with: the registry's name, and settings."""
    ids = {name: {"name": name} for name in (*SMALL, *FAMILY_NAMES)}
    for benchmark in ("MT1", "MT10", "MT25", "MT50", "CW10", "CW20", "ML1", "ML10", "ML25", "ML45"):
        ids[benchmark] = {"name": benchmark.lower()}
        if benchmark.startswith("ML"):
            for split in ("train", "test"):
                ids[f"{benchmark}-{split}"] = {"name": benchmark.lower(), "split": split}
    for env_name in TASK_NAMES:
        for benchmark in ("MT1", "ML1"):
            ids[f"{benchmark}-{env_name}"] = {"name": benchmark.lower(), "env_name": env_name}
    return {f"{NAMESPACE}/{name}": settings for name, settings in ids.items()}


def register_ids() -> None:
    """Each id once, however often this is called."""
    for name, settings in settings_by_id().items():
        if name not in gym.registry:
            gym.register(
                name,
                entry_point="metarl.envs.vector.make:make_one",
                vector_entry_point="metarl.envs.vector.make:make_vector",
                kwargs=settings,
            )
