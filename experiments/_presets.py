"""Published settings for Meta-World, as far as ours can be set to them; where they cannot, why.

Both sources' advantages and step sizes mean something else than a paper's: the notes say what.
"""

from __future__ import annotations

from metarl.agents.maml import MAMLConfig
from metarl.agents.rl2 import RL2Config
from metarl.experiment import RLSettings, TrainerConfig
from metarl.rollout.pool import PoolConfig

METAWORLD_ALGORITHMS = "metaworld-algorithms, examples/meta_learning (the official baselines of Meta-World+)"
GARAGE = "garage, the branch of the revised Meta-World paper (arXiv 1910.10897v2)"

ITERATIONS = {"ML1": 20, "ML10": 100, "ML25": 100, "ML45": 200}
"""Of MAML; RL² takes half the env steps in each and twice as many."""
META_BATCH = {"ML1": 10, "ML10": 20, "ML25": 50, "ML45": 45}
TEN_EPISODES = RLSettings(support_episodes=10, query_episodes=10)
ONE_TRIAL = RLSettings(
    query_episodes=10,
    pool=PoolConfig(lanes_per_group=10),
)

MAML_METAWORLD_ALGORITHMS = MAMLConfig(
    hidden=(512, 512),
    inner_lr=0.1,
    gamma=0.99,
    gae_lambda=1.0,
    init_std=1.0,
    min_std=1e-6,
    max_kl=0.01,
    fisher_stride=1,
)
MAML_METAWORLD_ALGORITHMS_DEVIATIONS = (
    "its inner loss is a mean over the tasks too, and its advantages are divided by their variance: its step of 0.1 is "
    "in effect 0.1 / (tasks x their standard deviation); ours is 0.1 on each task's own loss, advantages standardised",
    "its evaluator counts first come, first kept; ours gives every goal its quota and states both",
    "its ML1 trains on the test goals through a bug in metaworld's registry; ours on the train goals",
)
MAML_GARAGE = MAMLConfig(hidden=(128, 128), inner_lr=1e-4, min_std=0.5, max_kl=0.01, fisher_stride=1)
MAML_GARAGE_DEVIATIONS = (
    "its advantages are not standardised, so that its step of 1e-4 follows the rewards' scale; ours is on standardised "
    "ones, for which 1e-4 is next to nothing: set --inner-lr 0.1 to learn",
    "its policy ends in tanh, its noise is at most 1.5, and entropy is added to its rewards (5e-5): ours has none of "
    "these",
    "2,000 iterations are 400M env steps; its scores are the maximum over training",
)
RL2_METAWORLD_ALGORITHMS = RL2Config(
    memory="gru", hidden_dim=256, encoder=(256, 256), min_std=1e-6, reward_input_scale=0.1, gamma=0.99,
    gae_lambda=0.95, baseline="linear", lr=5e-4, clip=0.2, epochs=10, minibatches=1, chunk_steps=250,
    entropy_coef=5e-3, max_grad_norm=1.0, normalize_inputs=False, input_changes=False,
)  # fmt: skip
RL2_METAWORLD_ALGORITHMS_DEVIATIONS = (
    "its minibatches are chunks of 250 steps of all tasks, 50 overlapping, in order: 25 updates an epoch; ours are "
    "whole trials cut into chunks without overlap",
    "its noise depends on the state and its advantages are not standardised; ours has one noise and standardises",
)
RL2_GARAGE = RL2Config(
    memory="gru", hidden_dim=256, min_std=0.5, gamma=0.99, gae_lambda=0.95, lr=5e-4, clip=0.2, epochs=10,
    minibatches=4, entropy_coef=5e-6, normalize_inputs=False, input_changes=False,
)  # fmt: skip
RL2_GARAGE_DEVIATIONS = (
    "its value function is an MLP (128, 128) of its own, fitted apart; ours is a head on the memory",
    "it normalises rewards by a running estimate; ours normalises the value head's targets",
    "its noise is at most 1.5 and its policy ends in tanh: ours has neither",
)


def maml_trainer(benchmark: str) -> TrainerConfig:
    return TrainerConfig(iterations=ITERATIONS[benchmark], meta_batch_size=META_BATCH[benchmark])


def rl2_trainer(benchmark: str) -> TrainerConfig:
    return TrainerConfig(iterations=2 * ITERATIONS[benchmark], meta_batch_size=META_BATCH[benchmark])
