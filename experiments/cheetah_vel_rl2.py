"""RL² on HalfCheetah at a hidden speed of 0 to 3 m/s, as PEARL defines it: trials of two episodes.

The memory finds out within the first episode which speed is wanted, and later episodes add nothing. A "step" of the
results is an episode that the memory has seen.

Record: return -45.7 [-54.6, -36.8], -44.0 [-55.3, -32.8] before adaptation; 6.0M env steps, 15 minutes, 2 seeds.
"""

from __future__ import annotations

from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.experiment import TrainerConfig
from metarl.experiments import experiment_on
from metarl.experiments._robots import RL2_AGENT, RL2_TRIALS

config, build = experiment_on(
    RobotTasks(family="cheetah-vel-pearl-v0"),
    "rl2",
    agent_config=RL2_AGENT,
    # trials of two episodes of 200 steps: 40k env steps an iteration
    trainer=TrainerConfig(iterations=150, meta_batch_size=100),
    rl=RL2_TRIALS,
)
