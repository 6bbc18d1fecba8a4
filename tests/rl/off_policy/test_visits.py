"""The replay of PEARL: what is drawn of a visit is of that visit, contexts are of its support episodes."""

import pytest
import torch

from metarl.errors import UserError
from metarl.rl.off_policy.visits import VisitReplay
from metarl.types import EnvSpec, Episodes, Task, TaskData

SPEC = EnvSpec(obs_dim=2, action_dim=1, horizon_steps=4)


def episodes(visit, part, count=2):
    """Observations tell the visit and whether they are of the support (0) or query (1) set; rewards the step."""
    t = torch.arange(4).float().expand(count, 4)
    all_steps = torch.ones(count, 4, dtype=torch.bool)
    obs = torch.tensor([float(visit), float(part)]).expand(count, 4, 2)
    return Episodes(
        obs=obs,
        actions=t.unsqueeze(-1),
        rewards=t,
        log_probs=torch.zeros(count, 4),
        terminated=~all_steps,
        truncated=t == 3,
        success=~all_steps,
        mask=all_steps,
        last_obs=obs[:, 0] + 0.25,
    )


def visit(number):
    return TaskData(Task(f"task {number % 3}", {}), (episodes(number, 0),), episodes(number, 1))


def replay_of(visits, capacity=1000):
    replay = VisitReplay(SPEC, capacity=capacity, n_step=2, gammas=(0.9,), device=torch.device("cpu"))
    for number in range(visits):
        replay.add([visit(number)])
    return replay


def draw(replay, tasks=60, seed=0):
    return replay.draw(tasks, torch.Generator().manual_seed(seed), rows=8, context=6)


def test_rows_and_context_are_of_one_visit_and_half_the_contexts_of_its_support_alone():
    batch, context, mask = draw(replay_of(5))
    of_rows, of_context = batch.obs[:, 0].view(60, 8), context[..., 0]
    assert (of_rows == of_rows[:, :1]).all() and (of_context == of_rows[:, :1]).all()
    assert {*of_rows.flatten().tolist()} == {0, 1, 2, 3, 4}
    assert {*batch.obs[:, 1].tolist()} == {0, 1}  # learned from are both sets
    of_support = (context[..., 1] == 0).all(1)
    assert 15 < of_support.sum() < 45 and {*context[~of_support][..., 1].flatten().tolist()} == {0, 1}
    assert (context[..., 2] == context[..., 3]).all()  # the reward is that of the action, of one step
    assert torch.equal(context[..., -1], (context[..., 2] > 0).float())  # and rises by 1 a step
    assert {*mask.sum(1).tolist()} == {1, 2, 3, 4, 5, 6}


def test_returns_are_of_n_steps_and_end_at_the_real_last_observation():
    batch, _, _ = draw(replay_of(2))
    t = batch.actions[:, 0]
    torch.testing.assert_close(batch.returns[:, 0], torch.where(t == 3, t, t + 0.9 * (t + 1)))
    torch.testing.assert_close(batch.next_obs[:, 1] - batch.obs[:, 1], torch.where(t >= 2, 0.25, 0.0))


def test_a_visit_whose_rows_were_overwritten_is_drawn_no_more():
    """A visit is 20 rows: of 50, the last two whole ones are kept, also where they lie across the end."""
    replay = replay_of(5, capacity=50)
    assert replay.num_visits == 2
    batch, context, _ = draw(replay)
    assert {*batch.obs[:, 0].tolist()} == {3, 4} and {*context[..., 0].flatten().tolist()} == {3, 4}


@pytest.mark.parametrize("left_out", [0, 1])
def test_it_comes_back_from_its_batches_to_the_bit(left_out):
    replay = replay_of(4, capacity=50)
    again = replay_of(1, capacity=50)  # what it held before is forgotten
    again.restore(replay.state_dict(), [[visit(number)] for number in range(left_out, 4)])
    replay.add([visit(4)])
    again.add([visit(4)])
    for one, other in zip(draw(replay), draw(again), strict=True):
        for x, y in zip(one, other, strict=True):
            assert torch.equal(x, y)


def test_too_few_batches_and_a_visit_too_large_are_refused():
    replay = replay_of(4, capacity=50)
    with pytest.raises(UserError, match=r"had 80 rows .* its files hold 40"):
        replay_of(0, capacity=50).restore(replay.state_dict(), [[visit(2)], [visit(3)]])
    with pytest.raises(UserError, match="take 20 rows and replay_capacity=15"):
        replay_of(1, capacity=15)
