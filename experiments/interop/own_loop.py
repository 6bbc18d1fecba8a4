"""A policy gradient written out in one file, after the manner of CleanRL: nothing of ours but the environments."""

import gymnasium
import torch


def train(env: str = "metarl.envs:metarl/MT1-reach-v3", num_envs: int = 10, updates: int = 50, seed: int = 0) -> list:
    envs, rng = gymnasium.make_vec(env, num_envs, autoreset_mode="SameStep"), torch.Generator().manual_seed(seed)
    weights = torch.zeros(envs.single_observation_space.shape + envs.single_action_space.shape, requires_grad=True)
    adam, mean_rewards, (obs, _) = torch.optim.Adam([weights], lr=0.1), [], envs.reset(seed=seed)
    for _ in range(updates):
        steps, later = [], torch.zeros(num_envs)
        for _ in range(100):
            policy = torch.distributions.Normal(torch.as_tensor(obs).float() @ weights, 0.5)
            actions = torch.normal(policy.mean.detach(), 0.5, generator=rng)
            obs, reward, terminated, truncated, _ = envs.step(actions.numpy())
            steps.append((policy.log_prob(actions).sum(-1), torch.tensor(reward), torch.tensor(terminated | truncated)))
        log_probs, rewards, ends = map(torch.stack, zip(*steps, strict=True))
        backwards = zip(rewards.flip(0), ends.flip(0), strict=True)
        returns = torch.stack([later := reward + 0.9 * later * ~end for reward, end in backwards]).flip(0)
        loss = -(log_probs * (returns - returns.mean())).mean()
        weights.grad = torch.autograd.grad(loss, weights)[0]
        adam.step()
        mean_rewards.append(float(rewards.mean()))
    return mean_rewards
