"""RL² on the Ant in a hidden direction of the whole circle, as PEARL defines it: trials of two episodes.

Return on 20 held-out directions in the first episode: 315 with the mean action, 232 with sampled ones (3.6M env steps,
seed 1; 24 minutes on one core, the other one busy), and still rising. Untrained, the mean action stands still and has
196 for being alive; sampled ones have 9. Later episodes add nothing: the memory needs a part of the first.
A "step" is an episode that the memory has seen.
"""

from __future__ import annotations

from envs.mujoco_v5.tasks import RobotTasks
from experiments import experiment_on
from experiments._robots import RL2_AGENT, SLOW_RL2_TRIALS
from metarl.experiment import TrainerConfig

config, build = experiment_on(
    RobotTasks(family="ant-dir-pearl-v0"),
    "rl2",
    agent_config=RL2_AGENT,
    # trials of two episodes of 200 steps: 40k env steps an iteration
    trainer=TrainerConfig(iterations=100, meta_batch_size=100),
    rl=SLOW_RL2_TRIALS,
)
