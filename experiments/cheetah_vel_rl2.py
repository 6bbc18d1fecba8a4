"""RL² on HalfCheetah at a hidden speed of 0 to 3 m/s, as PEARL defines it: trials of two episodes.

Return on the 30 held-out speeds in the first episode: -44.8 and -43.3 with sampled actions, -35.4 and -35.8 with the
mean action (6M env steps, seeds 1 and 2; 15 minutes on one core, the other one busy), where a policy that does not
adapt has -189 and MAML -170 after three steps (two seeds each). The memory finds out within the first episode which
speed is wanted, so later ones add nothing; with seed 2's mean action they fall, to -65 in the second and -87 in the
third.
A "step" is an episode that the memory has seen.
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
