"""Soft actor-critic (Haarnoja et al. 2018) as stable-baselines3 2.9 sets it: the reference for our own settings."""

from __future__ import annotations

from metarl.agents.sac import SACConfig
from metarl.rl.exploration_noise import ExplorationConfig

PLAIN = SACConfig(
    actor_hidden=(256, 256),
    critic_hidden=(256, 256),
    layer_norm=False,
    value="scalar",
    actor_value="least",
    return_scale=False,
    normalize_obs_steps=0,
    lr=3e-4,
    batch_size=256,
    replay_ratio=256,
    warmup_steps=100,
    n_step=1,
    target_step=0.005,
    actor_every=1,
    first_temperature=1.0,
    precision="float32",
    exploration=ExplorationConfig(),
)
