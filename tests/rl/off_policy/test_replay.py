"""Replay: every transition against a slow walk along its episode, rings that wrap, and coming back from batches."""

from collections import Counter

import pytest
import torch

from metarl.errors import NonFiniteError, UserError
from metarl.rl.off_policy.replay import Replay, check_episodes
from metarl.types import EnvSpec, Episodes, Task, TaskData

SPEC = EnvSpec(obs_dim=3, action_dim=2, horizon_steps=12)
GAMMA = 0.9
GAMMAS = (GAMMA, 0.5)


def episode(number, *, length, terminated=False):
    """obs[t] = (number, t, -), so that a drawn row says where it is from; reward and actions follow from both."""
    horizon = SPEC.horizon_steps
    t = torch.arange(horizon).float()
    mask = (t < length).unsqueeze(0)
    is_last = (t == length - 1).unsqueeze(0)
    obs = torch.stack([torch.full_like(t, number), t, torch.zeros_like(t)], -1).unsqueeze(0)
    return Episodes(
        obs=obs * mask.unsqueeze(-1),
        actions=torch.stack([t, t + number], -1).unsqueeze(0) * mask.unsqueeze(-1),
        rewards=reward(number, t).unsqueeze(0) * mask,
        log_probs=torch.zeros(1, horizon),
        terminated=is_last & terminated,
        truncated=is_last & (not terminated),
        success=torch.zeros(1, horizon, dtype=torch.bool),
        mask=mask,
        last_obs=torch.tensor([[number, length, 7.0]]),
    )


def reward(number, t):
    return number + 0.1 * t


def data(number, group="", **kwargs):
    return TaskData(Task(str(number), {}, group), (), episode(number, **kwargs))


def replay_of(n_step=3, capacity=100, on_disk=False):
    return Replay(SPEC, capacity=capacity, n_step=n_step, gammas=GAMMAS, device=torch.device("cpu"), on_disk=on_disk)


def draw(replay, size=500, seed=0):
    return replay.draw(size, torch.Generator().manual_seed(seed))


LENGTHS = {1: (5, True), 2: (12, False), 3: (1, True), 4: (2, False)}


@pytest.mark.parametrize("n_step", [1, 3, 8, 20])
def test_transitions_are_those_of_a_walk_along_the_episode(n_step):
    replay = replay_of(n_step)
    for number, (length, terminated) in LENGTHS.items():
        replay.add([data(number, length=length, terminated=terminated)])
    drawn = draw(replay)
    seen = set()
    for i in range(500):
        number, t = int(drawn.obs[i, 0]), int(drawn.obs[i, 1])
        length, terminated = LENGTHS[number]
        seen.add((number, t))
        steps = min(n_step, length - t)
        ended = terminated and t + steps == length
        for d, gamma in enumerate(GAMMAS):
            expected = sum(gamma**k * (number + 0.1 * (t + k)) for k in range(steps))
            assert float(drawn.returns[i, d]) == pytest.approx(expected, rel=1e-5)
            assert float(drawn.discounts[i, d]) == pytest.approx(0 if ended else gamma**steps)
        assert drawn.next_obs[i].tolist() == [number, t + steps, 7.0 if t + steps == length else 0.0]
        assert drawn.actions[i].tolist() == [t, t + number]
    assert seen == {(number, t) for number, (length, _) in LENGTHS.items() for t in range(length)}


def test_groups_are_drawn_alike_however_many_rows_they_have():
    replay = replay_of()
    replay.add([data(1, "a", length=12), data(2, "a", length=12), data(3, "b", length=1), data(4, "c", length=5)])
    counts = Counter(draw(replay, size=100).groups.tolist())
    assert sorted(counts.values()) == [33, 33, 34]
    assert {int(n) for n in draw(replay).obs[:, 0].unique()} == {1, 2, 3, 4}


def test_groups_are_drawn_by_their_shares_to_within_a_row():
    replay = replay_of()
    replay.add([data(1, "a", length=12), data(2, "b", length=3), data(3, "c", length=5)])
    drawn = replay.draw(200, torch.Generator().manual_seed(0), shares=torch.tensor([0.5, 0.105, 0.395]))
    counts = Counter(drawn.groups.tolist())
    assert counts[0] == 100 and counts[1] in (21, 22) and counts[2] in (78, 79)


def test_a_share_of_rows_comes_from_the_best_tenth_of_episodes():
    """The reward of episode n grows with n: of 20 episodes a group the best two are its last."""
    replay = replay_of(capacity=1_000)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(3)).tolist()
    replay.add([data(n, "a", length=12) for n in order] + [data(100 + n, "b", length=3) for n in order])
    drawn = replay.draw(4_000, torch.Generator().manual_seed(0), from_best=0.4)
    numbers = drawn.obs[:, 0]
    for low, best in ((0, (18, 19)), (100, (118, 119))):
        of_group = numbers[(numbers >= low) & (numbers < low + 20)]
        share = torch.isin(of_group, torch.tensor(best).float()).float().mean()
        assert float(share) == pytest.approx(0.4 + 0.6 * 0.1, abs=0.04)
    only = replay.draw(500, torch.Generator().manual_seed(0), from_best=1.0)
    assert {int(n) for n in only.obs[:, 0]} == {18, 19, 118, 119}
    assert {int(t) for t in only.obs[only.obs[:, 0] == 19][:, 1]} == set(range(12))


def test_best_episodes_that_were_overwritten_are_drawn_no_more():
    replay = replay_of(capacity=30)
    for number in (9, 1, 2):
        replay.add([data(number, length=12)])
    drawn = replay.draw(200, torch.Generator().manual_seed(0), from_best=1.0)
    assert set(drawn.obs[:, 0].tolist()) == {2.0}


def test_steps_of_a_group_are_drawn_uniformly():
    replay = replay_of()
    replay.add([data(1, length=2), data(2, length=8)])
    share = (draw(replay, size=20_000).obs[:, 0] == 1).float().mean()
    assert float(share) == pytest.approx(0.2, abs=0.015)


def test_a_ring_that_wraps_keeps_the_newest_rows_and_whole_tails():
    """30 rows hold the last two episodes of 13 rows, and four rows of the one before: its steps 9 to 11 and its end."""
    replay = replay_of(n_step=3, capacity=30)
    for number in range(1, 7):
        replay.add([data(number, length=12)])
    drawn = draw(replay)
    seen = {(int(o[0]), int(o[1])) for o in drawn.obs}
    assert seen == {(5, t) for t in range(12)} | {(6, t) for t in range(12)} | {(4, t) for t in (9, 10, 11)}
    for i in range(500):
        number, t = int(drawn.obs[i, 0]), int(drawn.obs[i, 1])
        assert drawn.next_obs[i, :2].tolist() == [number, min(t + 3, 12)]
    assert replay.filled == [30]


def test_a_group_that_comes_later_leaves_the_others_as_they_are():
    replay, alone = replay_of(), replay_of()
    for one in (replay, alone):
        one.add([data(1, "a", length=12)])
    replay.meet(["b"])
    replay.add([data(2, "b", length=12)])
    rows = draw(replay).obs
    assert set(rows[:, 0].tolist()) == {1.0, 2.0}
    assert {int(t) for t in rows[rows[:, 0] == 1][:, 1]} == set(range(12)) == {int(t) for t in draw(alone).obs[:, 1]}


@pytest.mark.parametrize("left_out", [0, 3])
def test_it_comes_back_from_its_batches_to_the_bit(left_out):
    """Also where the first ones, which later ones have overwritten, are gone."""
    batches = [[data(10 * i + 1, "a", length=12), data(10 * i + 2, "b", length=9)] for i in range(1, 7)]
    whole, again = replay_of(capacity=30), replay_of(capacity=30)
    for batch in batches:
        whole.add(batch)
    again.restore(whole.state_dict(), batches[left_out:])
    for one, other in zip(draw(whole), draw(again), strict=True):
        assert torch.equal(one, other)
    best = [replay.draw(50, torch.Generator().manual_seed(1), from_best=0.5) for replay in (whole, again)]
    assert torch.equal(best[0].obs, best[1].obs)
    assert again.state_dict() == whole.state_dict()


def test_too_few_batches_are_refused_with_the_numbers():
    whole = replay_of()
    batches = [[data(i, length=12)] for i in (1, 2, 3)]
    for batch in batches:
        whole.add(batch)
    with pytest.raises(UserError, match=r"had 39 rows .* hold 26"):
        replay_of().restore(whole.state_dict(), batches[1:])
    with pytest.raises(UserError, match=r"had 39 rows .* hold 52"):
        replay_of().restore(whole.state_dict(), [*batches, batches[0]])


def test_episodes_without_a_step_are_passed_over():
    replay = replay_of()
    replay.add([data(1, length=0), data(2, length=4)])
    assert replay.filled == [5] and set(draw(replay).obs[:, 0].tolist()) == {2.0}


def test_a_replay_smaller_than_an_episode_is_refused():
    with pytest.raises(UserError, match="12 rows a task holds no whole episode of 12 steps; give at least 13"):
        replay_of(capacity=12)


def test_num_bytes_is_the_memory_of_all_rings():
    replay = replay_of(capacity=20)
    replay.meet(["a", "b"])
    assert replay.num_bytes == 2 * 20 * (4 * (3 + 2 + 1) + 8 + 1)


def test_what_cannot_be_learned_from_is_refused():
    with pytest.raises(NonFiniteError, match="rewards"):
        bad = episode(1, length=3)
        bad.rewards[0, 1] = float("nan")
        check_episodes([bad])
    with pytest.raises(UserError, match="no step"):
        check_episodes([episode(1, length=0)])


def test_what_was_forgotten_is_not_drawn_and_does_not_come_back_from_the_batches():
    """Also a group that comes a second time: its rows of the first time are gone."""
    batches = [[data(1, "a", length=5)], [data(2, "b", length=6)], [data(3, "a", length=7)], [data(4, "a", length=4)]]
    replay, restored = replay_of(), replay_of()
    for batch, forgets in zip(batches, (False, True, True, False), strict=True):
        if forgets:
            replay.forget()
        replay.add(batch)
    assert (replay.names, replay.written, set(draw(replay).obs[:, 0].tolist())) == (["a"], [8 + 5], {3.0, 4.0})
    restored.restore(replay.state_dict(), batches)
    assert restored.state_dict() == replay.state_dict()
    torch.testing.assert_close(draw(restored), draw(replay), rtol=0, atol=0)


def test_a_state_from_before_anything_could_be_forgotten_is_restored():
    batches = [[data(1, length=5)], [data(2, length=6)]]
    replay, restored = replay_of(), replay_of()
    for batch in batches:
        replay.add(batch)
    restored.restore({name: x for name, x in replay.state_dict().items() if name != "since"}, batches)
    assert restored.state_dict() == replay.state_dict()


def test_a_replay_on_the_disk_draws_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    kept = {place: replay_of(capacity=20, on_disk=place == "disk") for place in ("memory", "disk")}
    for number in range(8):  # wraps, and meets a second group on the way
        for replay in kept.values():
            replay.add([data(number, "ab"[number // 4], length=5 + number)])
    for one, other in zip(draw(kept["memory"]), draw(kept["disk"]), strict=True):
        assert torch.equal(one, other)
    assert list(tmp_path.iterdir()) == []  # no file has a name, so none is left behind


def test_a_disk_too_small_for_the_replay_is_said(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    replay = replay_of(on_disk=True)
    with pytest.raises(UserError, match=r"takes [\d,]+ bytes .*No space left.*TMPDIR.*replay_capacity"):
        replay.add([data(1, length=3)])


@pytest.mark.parametrize(("rows", "place"), [(10**18, "memory"), (10**13, "memory"), (10**18, "disk")])
def test_a_replay_that_nothing_holds_is_told_with_its_bytes(rows, place):
    replay = replay_of(capacity=rows, on_disk=place == "disk")
    said = "memory, .* lower replay_capacity, or set replay_on disk" if place == "memory" else "set TMPDIR .* lower"
    with pytest.raises(UserError, match=rf"takes [\d,]+ bytes (of|in) .*{said}"):
        replay.add([data(1, length=3)])


def test_a_replay_on_the_disk_is_for_the_cpu():
    with pytest.raises(UserError, match="on the CPU, and this one is on meta"):
        Replay(SPEC, capacity=100, n_step=3, gammas=GAMMAS, device=torch.device("meta"), on_disk=True)
