"""skrl's PPO, unchanged, on our Meta-World; TensorBoard's logs and checkpoints go to runs/, as skrl has it."""

import gymnasium
from skrl.agents.torch.ppo import PPO
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from skrl.utils.model_instantiators.torch import deterministic_model, gaussian_model


def train(env: str = "metarl.envs:metarl/MT1-reach-v3", num_envs: int = 10, steps: int = 20_000, seed: int = 0) -> PPO:
    set_seed(seed)
    envs = wrap_env(gymnasium.make_vec(env, num_envs, autoreset_mode="SameStep"), verbose=False)
    spaces = {"observation_space": envs.observation_space, "action_space": envs.action_space}
    net = [{"name": "net", "input": "OBSERVATIONS", "layers": [64, 64], "activations": "tanh"}]
    models = {"policy": gaussian_model(**spaces, network=net, output="ACTIONS")}
    models |= {"value": deterministic_model(**spaces, network=net, output="ONE")}
    config = {"rollouts": 500, "mini_batches": 10, "learning_rate": 3e-4, "time_limit_bootstrap": True}
    agent = PPO(models=models, memory=RandomMemory(memory_size=500, num_envs=num_envs), cfg=config, **spaces)
    how = {"timesteps": steps, "headless": True, "close_environment_at_exit": False}
    SequentialTrainer(env=envs, agents=agent, cfg=how).train()
    envs.close()
    return agent
