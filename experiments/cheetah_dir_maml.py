"""MAML on HalfCheetah forward/backward: one policy that runs either way after a gradient step (Finn et al. 2017).

The paper's experiment (figure 5 and Table 5): 20 episodes of 200 steps a gradient step, two hidden layers of 100, up
to three steps at test time. The two directions are the only tasks, trained on and tested on, as there. The paper's
meta-batch is 40 and its code takes 256M env steps; its model steps 0.01 s, ours 0.05 s (envs/mujoco_v5/cheetah.py).
The paper has returns of -50.69 / 293.19 / 313.48 / 315.65 after 0/1/2/3 steps. Our record was made before the robots'
settings changed, with `--max-kl 0.01 --support-episodes 20 --query-episodes 20`; no run has those of today.

Record: return 363 [121, 604], -24 [-111, 62] before adaptation; 16.0M env steps, 14 minutes, 1 seed.
"""

from __future__ import annotations

from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.experiment import TrainerConfig
from metarl.experiments import experiment_on
from metarl.experiments._robots import AGENT, RL

config, build = experiment_on(
    RobotTasks(family="cheetah-dir-maml-v0"),
    "maml",
    agent_config=AGENT,
    trainer=TrainerConfig(iterations=200, meta_batch_size=10),
    rl=RL,
)
