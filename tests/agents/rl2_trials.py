"""What the tests of RL² share: small agents and the trials they take."""

import torch

from metarl.agents.rl2 import RL2, RL2Config
from metarl.rollout.collect import collect_episodes, collect_meta_batch
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import torch_rng
from metarl.types import Task

SMALL = {
    **{"hidden_dim": 8, "attention_window": 7, "reward_input_scale": 0.01},
    **{"normalize_inputs": False, "input_changes": False},
    **{"epochs": 2, "minibatches": 2, "chunk_steps": 4, "lr": 1e-2},
}


def make(tasks, *, seed=0, **config):
    return RL2(tasks.spec, RL2Config(**SMALL | config), generator=torch_rng((seed,)))


def scripted_task(name="t", **params):
    return Task(name, params)


def collect(learner, tasks, drawn, *, episodes=3, workers=0, seed=(1,), lanes_per_group=50, phis=None):
    with RolloutPool(tasks, PoolConfig(workers=workers, lanes_per_group=lanes_per_group)) as pool:
        if phis is not None:
            return collect_episodes(pool, learner.behaviour(), drawn, phis, num_episodes=episodes, seed=seed)
        return collect_meta_batch(
            pool, learner.behaviour(), drawn, support_episodes=1, query_episodes=episodes, seed=seed
        )


ENDS = [scripted_task(lengths=[2, 4, 3]), scripted_task(lengths=[5, 1, 1], end="truncated"), scripted_task()]
"""Trials of several episodes that terminate, are truncated by the environment, and by the horizon."""


def perturbed(learner):
    """Away from the small last layer, so that the memory matters to the actions."""
    rng = torch.Generator().manual_seed(5)
    learner.theta = {n: p + 0.5 * torch.randn(p.shape, generator=rng) for n, p in learner.theta.items()}
    return learner


class Listening:
    """An actor around RL2's own that keeps what its policy's step is fed."""

    def __init__(self, actor):
        self.actor, self.previous = actor, []
        self.noise_dim, self.uniform_noise = actor.noise_dim, actor.uniform_noise
        policy = actor.policy

        class Policy:
            spec = policy.spec
            encode_transitions = staticmethod(policy.encode_transitions)

            for_acting = staticmethod(policy.for_acting)

            @staticmethod
            def act(theta, obs, previous, carried):
                self.previous.append(previous.clone())
                return policy.act(theta, obs, previous, carried)

        actor.policy = Policy()

    def start(self, *args):
        return self.actor.start(*args)

    def act(self, *args):
        return self.actor.act(*args)
