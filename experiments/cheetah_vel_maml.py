"""MAML on HalfCheetah at a hidden speed of 0 to 3 m/s, as PEARL defines it: 100 tasks to train on, 30 to test on.

The policy has to find out from twenty episodes, by the reward alone, which speed is wanted. Compare
`cheetah_vel_multi_task_ppo`, which does not adapt, and `cheetah_vel_rl2`. Standing still has a return of -300.

Record: return -170 [-441, 100], -223 [-299, -148] before adaptation; 10.0M env steps, 18 minutes, 2 seeds.
"""

from __future__ import annotations

from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.experiment import TrainerConfig
from metarl.experiments import experiment_on
from metarl.experiments._robots import AGENT, RL

config, build = experiment_on(
    RobotTasks(family="cheetah-vel-pearl-v0"),
    "maml",
    agent_config=AGENT,
    trainer=TrainerConfig(iterations=125, meta_batch_size=20),
    rl=RL,
)
