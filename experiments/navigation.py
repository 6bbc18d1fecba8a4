"""2D navigation, the first experiment of the MAML paper (Finn et al. 2017, section 5.3), with every agent.

Table 4 of the paper has returns of -40.41 / -11.68 / -3.33 / -3.23 after 0 to 3 steps, at 8M env steps. What each agent
reached here: experiments/README.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metarl.agents.anil import ANILConfig, anil
from metarl.agents.e_maml import EMAMLConfig, e_maml
from metarl.agents.fine_tune import FineTuneConfig, fine_tune
from metarl.agents.fomaml import FOMAMLConfig, fomaml
from metarl.agents.from_scratch import FromScratchConfig, from_scratch
from metarl.agents.maml import MAMLConfig, maml
from metarl.agents.meta_sgd import MetaSGDConfig, meta_sgd
from metarl.agents.multi_task_ppo import PPOConfig, multi_task_ppo
from metarl.agents.pearl import PEARL, PEARLConfig
from metarl.agents.promp import ProMPConfig, promp
from metarl.agents.reptile import ReptileConfig, reptile
from metarl.agents.rl2 import RL2, RL2Config
from metarl.envs.navigation import Navigation
from metarl.experiment import RLSettings, TrainerConfig, Variant
from metarl.experiments._build import build_with
from metarl.learner import RLMetaLearner
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
TRIALS = RLSettings(
    query_episodes=4,
    evaluation=EvaluationConfig(adaptation_episodes=1, test_episodes=20, adaptation_rounds=3),
    pool=POOL,
)
BELIEFS = RLSettings(
    support_episodes=2,
    query_episodes=2,
    evaluation=EvaluationConfig(adaptation_episodes=1, test_episodes=20, adaptation_rounds=3),
    pool=POOL,
)
"""A belief goes on from episode to episode, as RL²'s memory does."""

SMALL: dict[str, Any] = {"hidden": (32, 32), "init_std": 0.5, "min_std": 0.3}
TRUST_REGION: dict[str, Any] = {
    **SMALL,
    "inner_steps": 3,
    "max_kl": 0.03,
    "fisher_stride": 10,
    "judge_every_step": True,
}


def _variant(
    about: str,
    agent: Callable[..., RLMetaLearner],
    config: Any,
    rl: RLSettings = THREE_STEPS,
    *,
    iterations: int = 120,
    meta_batch_size: int = 20,
) -> Variant:
    trainer = TrainerConfig(iterations=iterations, meta_batch_size=meta_batch_size)
    parts = {"trainer": trainer, "agent": config, "tasks": Navigation(), "rl": rl}
    return Variant(about, lambda config: build_with(agent, config), parts)


VARIANTS = {
    "anil": _variant("ANIL: adapts the last layer only", anil, ANILConfig(**TRUST_REGION)),
    "e_maml": _variant("E-MAML: credits exploration", e_maml, EMAMLConfig(**TRUST_REGION)),
    "fine_tune": _variant(
        "multi-task PPO, then PPO on each new goal: the transfer-learning baseline",
        fine_tune,
        FineTuneConfig(**SMALL, lr=1e-3, adaptation_lr=1e-2),
        NO_SUPPORT,
    ),
    "fomaml": _variant("first-order MAML", fomaml, FOMAMLConfig(**TRUST_REGION)),
    "from_scratch": _variant(
        "PPO from a random policy on each new goal: the baseline without any training",
        from_scratch,
        FromScratchConfig(**SMALL, adaptation_lr=1e-2),
        NO_SUPPORT,
        iterations=1,
    ),
    "maml": _variant("MAML with the paper's settings", maml, MAMLConfig(hidden=(100, 100)), ONE_STEP, iterations=100),
    "meta_sgd": _variant(
        "MAML with learned step sizes, one for each weight and step",
        meta_sgd,
        MetaSGDConfig(**TRUST_REGION, per_step=True),
        iterations=135,
    ),
    "multi_task_ppo": _variant(
        "multi-task PPO: one policy for all goals, the baseline without adaptation",
        multi_task_ppo,
        PPOConfig(**SMALL, lr=1e-3),
        NO_SUPPORT,
    ),
    "pearl": _variant(
        "PEARL: off-policy, by a belief over the goal; a tenth of the env steps of the others",
        PEARL,
        PEARLConfig(gamma=0.97, actor_hidden=(64, 64), critic_hidden=(64, 64)),
        BELIEFS,
        iterations=60,
    ),
    "promp": _variant("ProMP", promp, ProMPConfig(**SMALL, inner_steps=3, lr=3e-3)),
    "reptile": _variant("Reptile", reptile, ReptileConfig(**SMALL, inner_steps=3, inner_lr=0.2, meta_lr=1.0)),
    # as many env steps as the gradient family takes with 20 tasks of 40 episodes
    "rl2": _variant(
        "RL²: trials of four episodes; steps are episodes that the memory has seen",
        RL2,
        RL2Config(
            hidden_dim=64,
            normalize_inputs=False,
            input_changes=False,
            init_std=0.5,
            min_std=0.05,
            lr=2e-3,
            epochs=4,
            minibatches=8,
            chunk_steps=100,
            gae_lambda=0.95,
            anneal_updates=120,  # without it the last update undid many (LOG.md)
        ),
        TRIALS,
        meta_batch_size=200,
    ),
}
