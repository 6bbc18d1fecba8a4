"""What the experiments on gymnasium's robots share."""

from __future__ import annotations

from dataclasses import replace

from metarl.agents.maml import MAMLConfig
from metarl.agents.multi_task_ppo import PPOConfig
from metarl.agents.rl2 import RL2Config
from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.experiment import RLSettings, TrainerConfig
from metarl.experiments._plug_in import ConfigAndBuild, experiment_on
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig

# A Gaussian of std 1 saturates the motors, and credit over the whole episode drowns in noise: the gradients of two
# halves of HalfCheetah's first episodes have a cosine of 0.07 then, and of 0.33 with these (experiments/LOG.md).
# Many updates on few episodes, each further than the usual 0.01: HalfCheetahVel gains 130 in 4.8M env steps, and
# nothing in as many with half the updates. An inner step five times as large is learned away.
AGENT = MAMLConfig(hidden=(100, 100), init_std=0.5, gamma=0.95, gae_lambda=0.95, max_kl=0.03)

PPO_AGENT = PPOConfig(hidden=(100, 100), init_std=0.5, gamma=0.95)
RL2_AGENT = RL2Config(
    hidden_dim=128,
    init_std=0.5,
    gamma=0.97,
    lr=1e-3,
    epochs=4,
    minibatches=4,
    chunk_steps=100,
    reward_input_scale=0.5,
    normalize_inputs=True,
    input_changes=True,
)

# as in the MAML paper: at test time 20 episodes a gradient step, up to three steps
_EVALUATION = EvaluationConfig(adaptation_episodes=20, test_episodes=20, adaptation_rounds=3)
# many light lanes a group: the policy's share of a step is then small
_POOL = PoolConfig(lanes_per_group=200)

RL = RLSettings(support_episodes=10, query_episodes=10, evaluation=_EVALUATION, pool=_POOL)
NO_SUPPORT = RLSettings(query_episodes=20, evaluation=_EVALUATION, pool=_POOL)
"""As many episodes of a task, for agents whose meta-training adapts nothing."""
# An Ant's evaluation at the paper's size would take as long as its training.
_SHORT = EvaluationConfig(adaptation_episodes=10, test_episodes=10, adaptation_rounds=2, max_tasks=20)
SLOW_RL = replace(RL, evaluation=_SHORT)
SLOW_NO_SUPPORT = replace(NO_SUPPORT, evaluation=_SHORT)
RL2_TRIALS = RLSettings(
    query_episodes=2,
    evaluation=EvaluationConfig(adaptation_episodes=1, test_episodes=20, adaptation_rounds=2),
    pool=PoolConfig(lanes_per_group=50),  # a trial is one lane: two groups of fifty keep two workers busy
)
SLOW_RL2_TRIALS = replace(RL2_TRIALS, evaluation=replace(RL2_TRIALS.evaluation, test_episodes=10, max_tasks=20))


def walk(family: str, *, iterations: int = 100) -> ConfigAndBuild:
    """RL² in trials of two episodes of 200 steps: at most 40k env steps an iteration."""
    return experiment_on(
        RobotTasks(family=family),
        "rl2",
        agent_config=RL2_AGENT,
        trainer=TrainerConfig(iterations=iterations, meta_batch_size=100),
        rl=SLOW_RL2_TRIALS,
    )
