"""What the experiments on 2D navigation share."""

from __future__ import annotations

from metarl.experiment import RLSettings
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig

# Table 4 of the MAML paper: 20 episodes an inner step, and three steps at test time
EVALUATION = EvaluationConfig(adaptation_episodes=20, test_episodes=20, adaptation_rounds=3)
# one NumPy call steps all lanes: more lanes are nearly free, more processes are not
POOL = PoolConfig(workers=0, lanes_per_group=400)

ONE_STEP = RLSettings(support_episodes=20, query_episodes=20, evaluation=EVALUATION, pool=POOL)
"""Meta-training as in the paper: one inner step on 20 episodes, 20 to judge it."""
THREE_STEPS = RLSettings(support_episodes=10, query_episodes=10, evaluation=EVALUATION, pool=POOL)
"""As many episodes of a task, for three inner steps and the judge of the last."""
NO_SUPPORT = RLSettings(query_episodes=40, evaluation=EVALUATION, pool=POOL)
"""As many episodes of a task, for agents whose meta-training adapts nothing."""
