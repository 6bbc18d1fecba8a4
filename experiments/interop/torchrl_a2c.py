"""A2C of TorchRL's parts on our Meta-World; yields the mean reward of each update's steps."""

import gymnasium
import torch
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torchrl.collectors import Collector
from torchrl.envs import DoubleToFloat, GymWrapper, TransformedEnv
from torchrl.modules import MLP, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import A2CLoss


def train(env: str = "metarl.envs:metarl/MT1-reach-v3", num_envs: int = 10, updates: int = 400, seed: int = 0):
    envs = TransformedEnv(GymWrapper(gymnasium.make_vec(env, num_envs, autoreset_mode="Disabled")), DoubleToFloat())
    envs.set_seed(torch.manual_seed(seed).initial_seed())
    net = torch.nn.Sequential(MLP(out_features=2 * envs.action_spec.shape[-1]), NormalParamExtractor())
    module = TensorDictModule(net, ["observation"], ["loc", "scale"])
    actor = ProbabilisticActor(module, ["loc", "scale"], distribution_class=TanhNormal, return_log_prob=True)
    critic = ValueOperator(MLP(out_features=1))
    critic(actor(envs.reset()))  # tells both nets the size of what they see
    adam = torch.optim.Adam((loss := A2CLoss(actor, critic)).parameters(), lr=1e-3)
    for batch in Collector(envs, actor, frames_per_batch=500, total_frames=500 * updates):
        adam.zero_grad()
        sum(value for name, value in loss(batch).items() if name.startswith("loss_")).backward()
        adam.step()
        yield float(batch["next", "reward"].mean())
