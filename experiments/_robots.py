"""What the experiments on gymnasium's robots share."""

from __future__ import annotations

from agents.maml import MAMLConfig
from metarl.evaluation import EvaluationConfig
from metarl.experiment import RLSettings
from metarl.rollout.pool import PoolConfig

# A Gaussian of std 1 saturates the motors, and credit over the whole episode drowns in noise: the gradients of two
# halves of HalfCheetah's first episodes have a cosine of 0.07 then, and of 0.33 with these (docs/LOG.md).
AGENT = MAMLConfig(hidden=(100, 100), init_std=0.5, gamma=0.95, gae_lambda=0.95)

# as in the MAML paper: 20 episodes a gradient step, up to three steps at test time
RL = RLSettings(
    support_episodes=20,
    query_episodes=20,
    evaluation=EvaluationConfig(adaptation_episodes=20, test_episodes=20, adaptation_rounds=3),
    # many light lanes a group: the policy's share of a step is then small
    pool=PoolConfig(lanes_per_group=100),
)
