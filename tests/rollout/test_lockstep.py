"""Episodes as the lockstep runner makes them: real ends, masks, seeds, trial memory, bad numbers."""

import numpy as np
import pytest
import torch

from metarl.agents.registry import AGENTS
from metarl.envs.navigation import Navigation
from metarl.errors import NonFiniteError, UserError
from metarl.rl.policies import CategoricalMLP, GaussianMLP
from metarl.rollout.actor import PolicyActor, UniformActor
from metarl.rollout.buffer import new_arrays
from metarl.rollout.collect import collect_meta_batch
from metarl.rollout.lanes import EnvFault
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import numpy_rng
from metarl.types import Task
from tests.rollout.envs import HORIZON, Converted, CountingActor, NoisyActor, Scripted, job, same_bytes


def collect(jobs, actor=None, *, tasks=None, **config):
    with RolloutPool(tasks or Scripted(), PoolConfig(workers=0, **config)) as pool:
        return pool.collect(jobs, actor or NoisyActor())


def test_episodes_of_different_lengths_end_as_their_task_says():
    """Lengths 2, 3 and 5 with a termination, 3 with a truncation, and one cut by the horizon of 6."""
    ended, cut, endless = collect(
        [
            job(Task("a", {"lengths": [2, 3, 5], "success_at": 3}), episodes=3, seed=(1,)),
            job(Task("b", {"lengths": [3, 3, 3], "end": "truncated"}), episodes=3, seed=(2,)),
            job(Task("c", {}), episodes=1, seed=(3,)),
        ]
    )
    steps = torch.arange(HORIZON)
    for episodes, lengths in ((ended, [2, 3, 5]), (cut, [3, 3, 3]), (endless, [6])):
        mask = steps < torch.tensor(lengths).unsqueeze(-1)
        last = steps == torch.tensor(lengths).unsqueeze(-1) - 1
        assert torch.equal(episodes.mask, mask) and episodes.num_steps == sum(lengths)
        assert torch.equal(episodes.terminated, last if episodes is ended else last & False)
        assert torch.equal(episodes.truncated, last & False if episodes is ended else last)
        # the observation at step t is the one before the action: k = t; last_obs is the one after it all
        assert torch.equal(episodes.obs[..., 1], (steps * mask).float())
        assert episodes.last_obs[:, 1].tolist() == lengths
        actions = episodes.actions.sum(-1)
        torch.testing.assert_close(episodes.last_obs[:, 2], actions.sum(-1))
        u = episodes.last_obs[:, :1]
        torch.testing.assert_close(episodes.obs[..., 0], u * mask)
        torch.testing.assert_close(episodes.rewards, (10.0 * (steps + 1) + u + actions) * mask)
        torch.testing.assert_close(episodes.log_probs, actions)
        for field in (episodes.obs, episodes.actions, episodes.rewards, episodes.log_probs):
            assert (field[~mask] == 0).all()
    assert ended.success.nonzero().tolist() == [[1, 2], [2, 2]]
    assert ended.success_any().tolist() == [False, True, True]
    assert ended.success_last().tolist() == [False, True, False]
    torch.testing.assert_close(ended.returns_undiscounted(), ended.rewards.sum(-1))


def test_a_termination_at_a_time_limit_is_a_termination():
    (episodes,) = collect([job({"lengths": [2, HORIZON], "end": "both"}, episodes=2)])
    assert episodes.terminated.nonzero().tolist() == [[0, 1], [1, HORIZON - 1]]
    assert not episodes.truncated.any()


def test_episodes_of_one_step():
    (episodes,) = collect([job({"lengths": [1, 1]}, episodes=2)], tasks=Scripted(horizon_steps=1))
    assert episodes.mask.shape == (2, 1) and episodes.terminated.all() and not episodes.truncated.any()


def test_fields_have_their_types():
    for discrete, actor in ((False, NoisyActor()), (True, CountingActor(discrete=True))):
        (episodes,) = collect([job({}, episodes=2)], actor, tasks=Scripted(discrete=discrete))
        assert episodes.actions.dtype == (torch.int64 if discrete else torch.float32)
        assert episodes.actions.shape == ((2, HORIZON) if discrete else (2, HORIZON, 2))
        for name in ("obs", "rewards", "log_probs", "last_obs"):
            assert getattr(episodes, name).dtype == torch.float32
        for name in ("terminated", "truncated", "success", "mask"):
            assert getattr(episodes, name).dtype == torch.bool


def test_trial_keeps_memory_and_feeds_the_real_previous_transition():
    """RL²: two jobs of three episodes (2, 3, 1 steps, the last one truncated), one lane each."""
    actor = CountingActor()
    tasks = [Task(name, {"lengths": [2, 3, 1], "end": end}) for name, end in (("a", "terminated"), ("b", "truncated"))]
    trials = collect([job(t, episodes=3, seed=(i,), sequential=True) for i, t in enumerate(tasks)], actor)
    assert len(actor.inputs) == 6 and actor.inputs[0].obs.shape == (2, 3)
    for lane, trial in enumerate(trials):
        assert trial.mask.sum(-1).tolist() == [2, 3, 1]
        # memory lives through the trial: the actor counts its steps
        assert trial.actions[..., 0][trial.mask].tolist() == [0, 1, 2, 3, 4, 5]
        rewards, ends = trial.rewards[trial.mask], (trial.terminated | trial.truncated)[trial.mask]
        for step, fed in enumerate(actor.inputs):
            assert fed.prev_actions[lane].tolist() == ([0, 0] if step == 0 else [step - 1, 0])
            assert fed.prev_rewards[lane] == (0 if step == 0 else rewards[step - 1])
            assert fed.prev_ended[lane].item() == (step > 0 and ends[step - 1].item())
            assert torch.equal(fed.obs[lane], trial.obs[trial.mask][step])
    assert [bool(i.prev_ended[0]) for i in actor.inputs] == [False, False, True, False, False, True]


def test_trial_and_parallel_episodes_have_the_same_seeds():
    (parallel,), (trial,) = (
        collect([job({"lengths": [2, 3, 1]}, episodes=3, seed=(4, 2), sequential=s)]) for s in (False, True)
    )
    assert same_bytes([parallel], [trial])
    assert len(set(parallel.last_obs[:, 0].tolist())) == 3  # each episode has its own seed


def test_discrete_actions_reach_the_environment_and_the_actor():
    actor = CountingActor(discrete=True)
    (trial,) = collect([job({}, episodes=1, sequential=True)], actor, tasks=Scripted(discrete=True))
    assert trial.actions.tolist() == [[0, 1, 2, 3, 0, 1]]
    assert trial.last_obs[0, 2] == 7  # their sum, as the environment saw it
    assert [int(i.prev_actions[0]) for i in actor.inputs] == [0, 0, 1, 2, 3, 0]


@pytest.mark.parametrize("discrete", [False, True])
def test_policy_actor_uses_each_jobs_phi(discrete):
    """A group's batched product gives each job what it gets alone; log_probs are those of the policy."""
    policy = (CategoricalMLP if discrete else GaussianMLP)(3, 4 if discrete else 2, (5,))
    tasks = Scripted(discrete=discrete)
    phis = [policy.init(torch.Generator().manual_seed(i)) for i in range(3)]
    phis = [{name: p * 5 for name, p in phi.items()} for phi in phis]
    jobs = [job({}, episodes=2, seed=(i,), phi=phi) for i, phi in enumerate(phis)]
    together = collect(jobs, PolicyActor(policy), tasks=tasks)
    for own, phi, episodes in zip(jobs, phis, together, strict=True):
        (alone,) = collect([own], PolicyActor(policy), tasks=tasks)
        torch.testing.assert_close(vars(alone), vars(episodes))
        log_probs = policy.dist(phi, episodes.obs).log_prob(episodes.actions)
        torch.testing.assert_close(log_probs, episodes.log_probs)
    (greedy,) = collect(jobs[:1], PolicyActor(policy, deterministic=True), tasks=tasks)
    torch.testing.assert_close(greedy.actions, policy.dist(phis[0], greedy.obs).mode())


@pytest.mark.parametrize("discrete", [False, True])
def test_uniform_actor_covers_its_range_with_the_right_log_prob(discrete):
    tasks = Scripted(discrete=discrete, horizon_steps=400)
    actor = UniformActor(action_dim=tasks.spec.action_dim, discrete=discrete)
    (episodes,) = collect([job({}, episodes=10)], actor, tasks=tasks)
    if discrete:
        counts = torch.bincount(episodes.actions.flatten(), minlength=4) / episodes.actions.numel()
        torch.testing.assert_close(counts, torch.full((4,), 0.25), atol=0.03, rtol=0)
        torch.testing.assert_close(episodes.log_probs.exp(), torch.full((10, 400), 0.25))
    else:
        assert episodes.actions.min() < -0.99 and episodes.actions.max() > 0.99
        assert episodes.actions.abs().max() <= 1 and episodes.actions.mean().abs() < 0.03
        torch.testing.assert_close(episodes.log_probs.exp(), torch.full((10, 400), 0.25))


@pytest.mark.parametrize("lanes_per_group", [1, 3, 4, 50])
def test_grouping_does_not_change_episodes(lanes_per_group):
    """Seeds belong to jobs and episodes, never to lanes (an actor without matrix products rounds alike)."""
    tasks = Navigation()
    goals = tasks.sample(5, rng=np.random.default_rng(0))
    jobs = [job(task, episodes=3, seed=(7, i)) for i, task in enumerate(goals)]
    actor = UniformActor(action_dim=2, discrete=False)
    assert same_bytes(
        collect(jobs, actor, tasks=tasks, lanes_per_group=lanes_per_group), collect(jobs, actor, tasks=tasks)
    )
    (last,) = collect(jobs[-1:], actor, tasks=tasks)
    assert same_bytes([last], collect(jobs, actor, tasks=tasks)[-1:])


def test_another_seed_gives_other_episodes():
    first, second = collect([job({}, seed=(0, 0)), job({}, seed=(0, 1))])
    assert not torch.equal(first.actions, second.actions)
    assert first.last_obs[0, 0] != second.last_obs[0, 0]


def reused():
    """Hands out one buffer again and again, as a fast environment may."""
    buffer_of_shape = {}

    def convert(obs):
        buffer = buffer_of_shape.setdefault(obs.shape, np.empty(obs.shape))
        buffer[:] = obs
        return buffer

    return convert


def read_only(obs):
    obs = obs.copy()
    obs.flags.writeable = False
    return obs


@pytest.mark.parametrize(
    "convert",
    [
        np.asfortranarray,
        lambda obs: np.repeat(obs, 2, axis=1)[:, ::2],
        read_only,
        lambda obs: obs.astype("f4"),
        reused(),
    ],
    ids=["fortran", "strided", "read-only", "float32", "reused"],
)
def test_the_form_of_observation_arrays_does_not_matter(convert):
    jobs = [job({"lengths": [2, 4, 6]}, episodes=3)]
    assert same_bytes(collect(jobs, tasks=Converted(Scripted(), convert)), collect(jobs))


@pytest.mark.parametrize(
    "bad, step",
    [({"nan_obs_at": 0}, 0), ({"nan_obs_at": 3}, 3), ({"nan_reward_at": 2}, 2), ({"huge_reward_at": 2}, 2)],
)
def test_non_finite_numbers_name_task_seed_and_step(bad, step):
    jobs = [
        job(Task("good", {}), episodes=2, seed=(5, 0)),
        job(Task("bad", bad | {"bad_episodes": [1]}), episodes=2, seed=(5, 1)),
    ]
    with pytest.raises(NonFiniteError, match=rf"task 'bad', seed \(5, 1, 1\), step {step};.*drop_episode"):
        collect(jobs)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize(
    "bad",
    [
        {"nan_obs_at": 0},
        {"nan_obs_at": 3},
        {"nan_obs_at": HORIZON},
        {"nan_reward_at": 2},
        {"huge_reward_at": 2},
    ],
)
def test_dropped_episodes_are_masked_and_the_others_untouched(bad, sequential):
    bad = bad | {"bad_episodes": [1]}
    jobs = [
        [
            job(Task("other", {}), episodes=3, seed=(1,), sequential=sequential),
            job(params, episodes=3, seed=(2,), sequential=sequential),
        ]
        for params in (bad, {})
    ]
    other, episodes = collect(jobs[0], non_finite="drop_episode")
    reference_other, reference = collect(jobs[1])
    assert same_bytes([other], [reference_other])
    for name, field in vars(episodes).items():
        assert not field[1].any(), f"{name} of the dropped episode is not all zero"
        assert torch.equal(field[[0, 2]], getattr(reference, name)[[0, 2]])


@pytest.mark.parametrize("bad", [{"nan_obs_at": 0}, {"nan_reward_at": 2}])
def test_all_episodes_dropped(bad):
    with RolloutPool(Scripted(), PoolConfig(workers=0, non_finite="drop_episode")) as pool:
        (episodes,) = pool.collect([job(bad, episodes=3, sequential=True)], NoisyActor())
        assert not episodes.mask.any() and episodes.num_steps == 0
        assert pool.stats.dropped_episodes == 3 and pool.stats.env_steps == 0


def test_the_step_after_a_dropped_episode_knows_of_its_end():
    actor = CountingActor()
    collect(
        [job({"nan_reward_at": 2, "bad_episodes": [0]}, episodes=2, sequential=True)],
        actor,
        non_finite="drop_episode",
    )
    assert [bool(i.prev_ended[0]) for i in actor.inputs[:4]] == [False, False, True, False]
    assert all(torch.isfinite(x).all() for i in actor.inputs for x in i)


def test_a_policy_that_gives_nan_is_named_rather_than_the_environment():
    policy = GaussianMLP(3, 2, (4,))
    phi = policy.init(torch.Generator().manual_seed(0))
    broken = phi | {"b1": torch.full((2,), float("nan"))}
    jobs = [job(Task(name, {}), phi=p, seed=(3, i)) for i, (name, p) in enumerate([("good", phi), ("bad", broken)])]
    for non_finite in ("raise", "drop_episode"):
        with pytest.raises(NonFiniteError, match=r"policy's action on task 'bad', seed \(3, 1, 0\), step 0"):
            collect(jobs, PolicyActor(policy), non_finite=non_finite)


@pytest.mark.parametrize("at", [0, 1, 4])
def test_a_raising_environment_names_task_seed_and_step(at):
    fault = {"kind": "raise", "at": at, "marker": None}
    with pytest.raises(EnvFault, match=rf"task 'bad', seed \(6, 0, 0\), step {at}") as caught:
        collect([job(Task("bad", {"fault": fault}), seed=(6,))])
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("at", [0, 4])
def test_an_observation_of_another_size_is_not_copied_into_the_row(at):
    with pytest.raises(EnvFault, match=rf"task 'short', seed \(6, 0, 0\), step {at}") as caught:
        collect([job(Task("short", {"short_obs_at": at}), seed=(6,))])
    assert "an observation of shape (1,), and the spec says (3,)" in str(caught.value.__cause__)


def test_episodes_that_no_memory_holds_are_told_by_the_horizon():
    spec = Scripted(horizon_steps=10**15).spec
    with pytest.raises(
        UserError, match=r"2 episodes of up to 10{15} steps need \d+ GiB, and horizon_steps=10{15}; lower"
    ):
        new_arrays(spec, 2, spec.horizon_steps)


@pytest.mark.parametrize("sequential", [False, True])
def test_a_far_horizon_changes_no_step(sequential):
    """Arrays are of the longest episode, not of the horizon; all else is as with a horizon that just holds it."""
    jobs = [job({"lengths": [2, 900, 3]}, episodes=3, seed=(4, 2), sequential=sequential)]
    (near,), (far,) = (collect(jobs, tasks=Scripted(horizon_steps=horizon)) for horizon in (1000, 10**12))
    assert far.mask.shape == (3, 900)
    for name, x in vars(near).items():
        assert torch.equal(getattr(far, name), x if name == "last_obs" else x[:, :900])


def test_an_episode_outgrows_its_arrays_and_its_noise():
    """5000 steps are more than arrays have at first, twice and four times; noise is one stream of its seed."""
    (episodes,) = collect([job({"lengths": [7, 5000]}, episodes=2, seed=(3,))], tasks=Scripted(horizon_steps=10**12))
    assert episodes.mask.sum(-1).tolist() == [7, 5000]
    noise = numpy_rng((3, 1, 1)).standard_normal((5000, 2), dtype=np.float32)
    np.testing.assert_array_equal(episodes.actions[1], noise)
    u, k = episodes.last_obs[1, 0], torch.arange(1, 5001)
    torch.testing.assert_close(episodes.rewards[1], 10.0 * k + u + torch.from_numpy(noise).sum(-1))


def test_a_far_horizon_that_is_reached_truncates():
    (episodes,) = collect([job({}, episodes=1)], tasks=Scripted(horizon_steps=1500))
    assert episodes.mask.shape == (1, 1500) and episodes.truncated[0].nonzero().tolist() == [[1499]]


def test_a_seed_that_is_a_number_alone_is_named():
    with RolloutPool(Scripted(), PoolConfig(workers=0)) as pool:
        behaviour = AGENTS["random"].make(Scripted().spec, torch.Generator()).behaviour()
        drawn = Scripted().sample(1, rng=np.random.default_rng(0))
        episodes = {"support_episodes": 1, "query_episodes": 1}
        with pytest.raises(UserError, match=r"seed=0 must be a tuple of whole numbers >= 0; write \(0,\)"):
            collect_meta_batch(pool, behaviour, drawn, **episodes, seed=0)  # type: ignore[arg-type]


def test_stats_count_steps_without_padding():
    with RolloutPool(Scripted(), PoolConfig(workers=0)) as pool:
        for total in (8, 16):
            pool.collect([job({"lengths": [2, 6]}, episodes=2)], NoisyActor())
            assert pool.stats.env_steps == total
        assert pool.stats.restarts == pool.stats.dropped_episodes == 0
        assert (
            0
            < pool.stats.env_seconds + pool.stats.policy_seconds
            <= pool.stats.busy_seconds
            <= pool.stats.collect_seconds
        )


class LatentActor(NoisyActor):
    """Draws a number at the beginning of each episode, as PEARL does a latent, and acts by it until the next."""

    episode_noise_dim = 1

    def start(self, phis, lanes_per_job):
        return torch.zeros(len(phis) * lanes_per_job)

    def begin(self, memory, lanes, noise):
        drawn = memory.clone()
        drawn[lanes] = noise[:, 0]
        return drawn

    def act(self, memory, inputs, noise):
        actions = memory.unsqueeze(1).expand(-1, 2)
        return actions, torch.zeros(len(memory)), memory


@pytest.mark.parametrize("sequential", [False, True])
def test_an_actor_may_draw_something_at_the_beginning_of_each_episode(sequential):
    """The same within an episode, another one in each; and it depends on the episode's seed, not on its company."""
    tasks = Scripted()
    task = Task("t", {"lengths": [2, 4, 3]})
    jobs = [job(task, episodes=3, seed=(i,), phi={}, sequential=sequential) for i in range(2)]
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        together = pool.collect(jobs, LatentActor())
        alone = pool.collect(jobs[1:], LatentActor())
    drawn = []
    for episodes in together:
        for actions, mask in zip(episodes.actions, episodes.mask, strict=True):
            (value,) = set(actions[mask][:, 0].tolist())
            drawn.append(value)
    assert len(set(drawn)) == 6 and 0.0 not in drawn
    assert same_bytes(together[1:], alone)
