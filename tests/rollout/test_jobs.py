"""How jobs are cut into lockstep groups, and how a group's arrays lie in one block."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from metarl.errors import UserError
from metarl.rollout.buffer import arrays_in, layout, new_arrays, num_bytes, to_episodes
from metarl.rollout.jobs import cut_groups
from metarl.types import EnvSpec
from tests.rollout.envs import job

JOBS = st.lists(
    st.builds(lambda n, s: job({}, episodes=n, sequential=s), st.integers(1, 9), st.booleans()), max_size=25
)


@given(JOBS, st.integers(1, 12))
def test_groups_are_runs_of_like_jobs_within_the_limit(jobs, limit):
    groups = cut_groups(jobs, lanes_per_group=limit)
    assert [i for group in groups for i in group] == list(range(len(jobs)))  # all, once, in order
    for group in groups:
        members = [jobs[i] for i in group]
        assert len({(j.num_episodes, j.sequential) for j in members}) == 1
        assert sum(j.num_lanes for j in members) <= limit or len(members) == 1
    for group, following in itertools.pairwise(groups):  # none could have taken one more
        last, extra = jobs[group[0]], jobs[following[0]]
        alike = (last.num_episodes, last.sequential) == (extra.num_episodes, extra.sequential)
        assert not alike or sum(jobs[i].num_lanes for i in group) + extra.num_lanes > limit


@given(JOBS, JOBS, st.integers(1, 12))
def test_the_cut_of_a_job_depends_on_nothing_behind_it(jobs, more, limit):
    """What comes later in the list moves at most the last group's end."""
    cut, longer = (cut_groups(js, lanes_per_group=limit) for js in (jobs, jobs + more))
    assert longer[: max(len(cut) - 1, 0)] == cut[:-1]


def test_a_trial_takes_one_lane():
    jobs = [job({}, episodes=10, sequential=True)] * 5
    assert cut_groups(jobs, lanes_per_group=2) == [range(0, 2), range(2, 4), range(4, 5)]


@pytest.mark.parametrize("episodes", [0, -1])
def test_a_job_without_episodes_is_refused(episodes):
    with pytest.raises(UserError, match=rf"num_episodes={episodes}; it must be at least 1"):
        cut_groups([job({}), job({}, episodes=episodes)], lanes_per_group=5)


SPECS = st.builds(
    EnvSpec,
    obs_dim=st.integers(1, 40),
    action_dim=st.integers(1, 5),
    discrete=st.booleans(),
    horizon_steps=st.integers(1, 9),
)


@given(SPECS, st.integers(1, 5))
def test_fields_in_a_block_do_not_overlap_and_come_back_whole(spec, num_episodes):
    block = bytearray(b"\xaa" * (num_bytes(spec, num_episodes, spec.horizon_steps) + 64))
    arrays = arrays_in(block, spec, num_episodes, spec.horizon_steps)
    rng, written = np.random.default_rng(0), {}
    for name, array in arrays.items():
        assert array.ctypes.data % array.dtype.itemsize == 0
        values = rng.integers(0, 2, array.shape) if array.dtype == bool else rng.normal(size=array.shape) * 100
        written[name] = array[...] = values.astype(array.dtype)
    for name, (shape, dtype) in layout(spec, num_episodes, spec.horizon_steps).items():
        assert arrays[name].shape == shape and arrays[name].dtype == dtype
        np.testing.assert_array_equal(arrays[name], written[name])  # no later field wrote over it
    assert bytes(block[-64:]) == b"\xaa" * 64
    again = arrays_in(bytes(block), spec, num_episodes, spec.horizon_steps)  # as the other process sees it
    for name in arrays:
        np.testing.assert_array_equal(again[name], written[name])


def test_episodes_are_copies_of_their_rows():
    spec = EnvSpec(obs_dim=3, action_dim=2, horizon_steps=4)
    arrays = new_arrays(spec, 6, spec.horizon_steps)
    arrays["rewards"][2:4] = 5.0
    episodes = to_episodes(arrays, slice(2, 4))
    arrays["rewards"][...] = 0.0
    assert torch.equal(episodes.rewards, torch.full((2, 4), 5.0))
    assert episodes.obs.shape == (2, 4, 3) and episodes.last_obs.shape == (2, 3)
