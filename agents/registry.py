"""Every agent by name: a new one is a file and a line here, or an entry point; contract tests cover those here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

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
from metarl.agents.random import RandomAgent, RandomConfig
from metarl.agents.reptile import ReptileConfig, reptile
from metarl.agents.rl2 import RL2, RL2Config
from metarl.agents.sac import SAC, SACConfig
from metarl.learner import RLMetaLearner
from metarl.plug_ins import load_plug_ins
from metarl.types import EnvSpec


@dataclass(frozen=True)
class AgentEntry:
    """An agent in the table that `metarl list` shows and experiments on one's own env choose from."""

    description: str
    """One line, for `metarl list`."""
    config: Any
    """The agent's config dataclass with its defaults."""
    build: Callable[..., RLMetaLearner]
    """build(spec, config, *, generator, device)."""

    def make(self, spec: EnvSpec, generator: torch.Generator) -> RLMetaLearner:
        """The agent with its default config, on the CPU."""
        return self.build(spec, self.config, generator=generator)


AGENTS = {
    "maml": AgentEntry("MAML with a trust region (Finn et al. 2017)", MAMLConfig(), maml),
    "fomaml": AgentEntry("MAML without second derivatives (Finn et al. 2017)", FOMAMLConfig(), fomaml),
    "anil": AgentEntry("MAML that adapts the last layer only (Raghu et al. 2020)", ANILConfig(), anil),
    "meta_sgd": AgentEntry("MAML with a learned step size a parameter (Li et al. 2017)", MetaSGDConfig(), meta_sgd),
    "e_maml": AgentEntry("MAML that credits exploration (Stadie et al. 2018)", EMAMLConfig(), e_maml),
    "promp": AgentEntry("proximal meta-policy search (Rothfuss et al. 2018)", ProMPConfig(), promp),
    "reptile": AgentEntry("theta moves towards the mean phi (Nichol et al. 2018)", ReptileConfig(), reptile),
    "rl2": AgentEntry("a recurrent policy whose memory adapts, by PPO (Duan et al. 2016)", RL2Config(), RL2),
    "pearl": AgentEntry("off-policy, acts by a belief over the task (Rakelly et al. 2019)", PEARLConfig(), PEARL),
    "sac": AgentEntry("one policy that sees the task, off-policy from replay (Haarnoja et al. 2018)", SACConfig(), SAC),
    "multi_task_ppo": AgentEntry("one policy for all tasks, no adaptation: a baseline", PPOConfig(), multi_task_ppo),
    "fine_tune": AgentEntry("multi-task PPO, then PPO on the new task: a baseline", FineTuneConfig(), fine_tune),
    "from_scratch": AgentEntry("PPO on the new task alone: a baseline", FromScratchConfig(), from_scratch),
    "random": AgentEntry("uniformly random actions: the floor", RandomConfig(), RandomAgent),
}


def all_agents() -> dict[str, AgentEntry]:
    """`AGENTS`, and the AgentEntry that other packages add under the entry-point group `metarl.agents`."""

    def entry(name: str, found: object) -> AgentEntry:
        if not isinstance(found, AgentEntry):
            raise TypeError(f"{found!r} is not an agents.registry.AgentEntry")
        return found

    return {**AGENTS, **load_plug_ins("metarl.agents", entry, taken=AGENTS)}
