"""The worker pool: the same bytes for any number of workers and after any fault; nothing left behind."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from metarl.envs.metaworld.ml1 import ML1
from metarl.envs.navigation import Navigation
from metarl.errors import NonFiniteError, UserError, WorkerError
from metarl.rl.policies import GaussianMLP
from metarl.rollout import shared_block
from metarl.rollout.actor import PolicyActor
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.runs.stop import Stopped, StopSignal
from metarl.types import Task
from tests.rollout.envs import NoisyActor, Scripted, SlowToImport, Unmakeable, job, same_bytes

ROOT = Path(__file__).parents[2]


def thorough(*values):
    return pytest.param(*values, marks=pytest.mark.thorough)


def policy_jobs(distribution, *, tasks, episodes):
    """Jobs with a phi of their own each, for a policy that fits."""
    spec = distribution.spec
    policy = GaussianMLP(spec.obs_dim, spec.action_dim, (32, 32))
    drawn = distribution.sample(tasks, rng=np.random.default_rng(0))
    phis = [policy.init(torch.Generator().manual_seed(i)) for i in range(tasks)]
    jobs = [job(t, episodes=episodes, seed=(1, 2, i), phi=p) for i, (t, p) in enumerate(zip(drawn, phis, strict=True))]
    return jobs, PolicyActor(policy)


def collect(distribution, jobs, actor, **config):
    with RolloutPool(distribution, PoolConfig(**config)) as pool:
        episodes = pool.collect(jobs, actor)
        assert pool.stats.restarts == 0
        return episodes


@pytest.mark.parametrize("workers", [thorough(1), 2, thorough(3)])
def test_navigation_gives_the_same_bytes_whatever_the_number_of_workers(workers):
    tasks = Navigation()
    jobs, actor = policy_jobs(tasks, tasks=7, episodes=3)
    reference = collect(tasks, jobs, actor, workers=0, lanes_per_group=5)
    assert same_bytes(collect(tasks, jobs, actor, workers=workers, lanes_per_group=5), reference)
    assert not same_bytes(reference[:1], reference[1:2])


@pytest.mark.parametrize("workers", [2, thorough(1), thorough(3)])
def test_ml1_gives_the_same_bytes_whatever_the_number_of_workers(workers, ml1_reference):
    jobs, actor, reference = ml1_reference
    assert same_bytes(collect(ML1(), jobs, actor, workers=workers, lanes_per_group=2), reference)


@pytest.fixture(scope="module")
def ml1_reference():
    jobs, actor = policy_jobs(ML1(), tasks=3, episodes=2)
    return jobs, actor, collect(ML1(), jobs, actor, workers=0, lanes_per_group=2)


def test_episodes_that_outgrow_their_arrays_are_the_same_in_workers_and_here():
    """Some groups have long episodes and some short ones; a worker keeps the length that it needed last."""
    tasks = Scripted(horizon_steps=10**12)
    lengths = ([5, 1100], [3, 4], [2500, 1], [6, 6])
    jobs = [job({"lengths": pair}, episodes=2, seed=(1, i)) for i, pair in enumerate(lengths)]
    reference = collect(tasks, jobs, NoisyActor(), workers=0, lanes_per_group=2)
    assert [e.mask.sum(-1).tolist() for e in reference] == list(lengths)
    assert same_bytes(collect(tasks, jobs, NoisyActor(), workers=2, lanes_per_group=2), reference)


class ThreadsActor(NoisyActor):
    """Its actions say the number of torch's threads."""

    def act(self, memory, inputs, noise):
        return torch.full_like(noise, torch.get_num_threads()), noise.sum(-1), memory


def test_groups_run_on_one_thread_here_as_in_a_worker(pool):
    """A product split over threads may round differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        (here,) = collect(Scripted(), [job({})], ThreadsActor(), workers=0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    (there,) = pool.collect([job({})], ThreadsActor())
    assert (here.actions == 1).all() and (there.actions == 1).all()


# Faults: one pool for all of them; `jobs_with(None)` are the same jobs without the fault.


@pytest.fixture(scope="module")
def pool():
    with RolloutPool(Scripted(), PoolConfig(workers=2, lanes_per_group=4, max_tries=2)) as pool:
        yield pool


def jobs_with(fault):
    """Six groups, the third of which holds the faulty task."""
    jobs = [job(Task(f"t{i}", {"lengths": [3, 5]}), episodes=2, seed=(9, i)) for i in range(12)]
    jobs[5] = job(Task("faulty", {"lengths": [3, 5], "fault": fault}), episodes=2, seed=(9, 5))
    return jobs


@pytest.fixture(scope="module")
def faultless():
    return collect(Scripted(), jobs_with(None), NoisyActor(), workers=0, lanes_per_group=4)


def test_results_keep_the_order_of_jobs(pool, faultless):
    assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), faultless)
    backwards = pool.collect(jobs_with(None)[::-1], NoisyActor())
    assert same_bytes(backwards[::-1], faultless)


@pytest.mark.parametrize(
    "kind, at, told",
    [
        ("kill", 2, "died"),
        thorough("exit", 0, "died"),
        ("raise", 0, "scripted trouble"),
        thorough("raise", 3, "scripted trouble"),
    ],
)
def test_a_fault_that_happens_once_leaves_no_trace_in_the_episodes(pool, faultless, tmp_path, kind, at, told):
    fault = {"kind": kind, "at": at, "marker": str(tmp_path / "marker")}
    restarts = pool.stats.restarts
    with pytest.warns(RuntimeWarning, match=rf"(?s)try 1 of 2.*{told}.*task 'faulty', seed \(9, 5"):
        episodes = pool.collect(jobs_with(fault), NoisyActor())
    assert (tmp_path / "marker").exists()
    assert same_bytes(episodes, faultless)
    assert pool.stats.restarts == restarts + 1


def test_all_workers_killed_while_idle(pool, faultless):
    pool.collect(jobs_with(None), NoisyActor())
    victims = [psutil.Process(worker.pid) for worker in pool._runner._workers]
    assert len(victims) == 2
    restarts = pool.stats.restarts
    for victim in victims:
        victim.kill()
    with pytest.warns(RuntimeWarning, match=r"a worker of .* was lost between two groups .* died \(SIGKILL") as told:
        assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), faultless)  # no try counted: that would warn
    assert pool.stats.restarts == restarts + 2 and len(told) == 1


@pytest.mark.thorough
def test_a_worker_that_dies_while_it_is_handed_a_group_costs_that_no_try():
    """Killed, but not gone yet when the group is sent."""
    with RolloutPool(Scripted(), PoolConfig(workers=1, max_tries=1)) as pool:
        reference = pool.collect([job({})], NoisyActor())
        (worker,) = pool._runner._workers
        os.kill(worker.pid, signal.SIGSTOP)  # takes nothing
        threading.Timer(0.5, os.kill, (worker.pid, signal.SIGKILL)).start()
        with pytest.warns(RuntimeWarning, match="was lost between two groups and is replaced"):
            assert same_bytes(pool.collect([job({})], NoisyActor()), reference)


def test_the_jobs_of_a_large_group_are_not_all_named(pool):
    jobs = [job(Task(f"t{i}", {}), seed=(9, i)) for i in range(3)]
    jobs.append(job(Task("faulty", {"fault": {"kind": "raise", "at": 1, "marker": None}}), seed=(9, 3)))
    with pytest.warns(RuntimeWarning, match="try 1 of 2"), pytest.raises(WorkerError) as caught:
        pool.collect(jobs, NoisyActor())
    held = str(caught.value).rpartition("The group held: ")[2]
    assert held == "task 't0', seed (9, 0); task 't1', seed (9, 1); task 't2', seed (9, 2); and 1 more"


def test_an_error_for_people_arrives_whatever_its_constructor(pool):
    """One that cannot be made of its text alone is a plain UserError there; it is not tried again."""
    fault = {"kind": "user error", "at": 1, "marker": None}
    with warnings.catch_warnings(), pytest.raises(UserError, match=r"^the gripper is at 3 mm; open it$"):
        warnings.simplefilter("error")
        pool.collect([job({"fault": fault})], NoisyActor())


@pytest.mark.thorough
def test_a_start_up_that_takes_longer_than_a_groups_deadline_is_no_fault():
    """Imports take 10 s and more on a busy machine; a deadline of 1 s is for the group."""
    with RolloutPool(SlowToImport(), PoolConfig(workers=1, deadline_seconds=1.5, max_tries=1)) as pool:
        (episodes,) = pool.collect([job({})], NoisyActor())
        assert pool.stats.restarts == 0
    assert episodes.mask.any()


def test_environments_are_closed_when_the_pool_is(tmp_path):
    """So that their own child processes do not stay behind."""
    marker = tmp_path / "child"
    with RolloutPool(Scripted(), PoolConfig(workers=1)) as pool:
        pool.collect([job({"child": str(marker)})], NoisyActor())
        child = psutil.Process(int(marker.read_text()))
        assert child.is_running()
    assert not alive([child])


@pytest.mark.parametrize("end", ["stop", "close", thorough("error"), thorough("deadline")])
def test_environments_in_the_middle_of_a_group_are_closed(tmp_path, end):
    """By Ctrl-C or SIGTERM, by the pool's close, by an error in another group, and where a group takes too long."""
    child, faults = tmp_path / "child", {"kind": "hang", "at": 2, "marker": None}
    jobs = [job({"child": str(child), "fault": faults})]
    if end == "error":
        jobs += [job({"fault": {"kind": "nap", "at": 2, "marker": None}}), job({"nan_obs_at": 3})]
    config = PoolConfig(workers=2, lanes_per_group=1, max_tries=1, deadline_seconds=1.5 if end == "deadline" else 60)
    with RolloutPool(Scripted(), config) as pool:
        pending = pool.submit(jobs, NoisyActor())
        wait_until(lambda: child.exists() and child.read_text(), seconds=60, what="a child was started")
        process = psutil.Process(int(child.read_text()))
        if end == "stop":
            with StopSignal() as stop, pytest.raises(Stopped), stop.interruptible():
                threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
                pending.wait()
        elif end != "close":
            with pytest.raises(UserError if end == "error" else WorkerError):
                pending.wait()
    assert not alive([process])


@pytest.mark.thorough
def test_an_environment_that_hangs_in_its_close_is_ended_in_a_bounded_time():
    with RolloutPool(Scripted(), PoolConfig(workers=1)) as pool:
        pool.collect([job({"close": "hang"})], NoisyActor())
        workers = [psutil.Process(worker.pid) for worker in pool._runner._workers]
        started = time.monotonic()
    assert time.monotonic() - started < 30
    assert workers and not alive(workers)


@pytest.mark.thorough
def test_two_pools_side_by_side_are_independent(pool, faultless):
    with RolloutPool(Scripted(horizon_steps=3), PoolConfig(workers=1)) as other:
        (short,) = other.collect([job({})], NoisyActor())
        assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), faultless)
    assert short.mask.shape == (1, 3)
    assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), faultless)


def test_a_fault_that_happens_always_is_raised_and_the_pool_can_be_used_again(pool, faultless):
    fault = {"kind": "raise", "at": 2, "marker": None}
    with pytest.warns(RuntimeWarning, match="try 1 of 2") as warned, pytest.raises(WorkerError) as caught:
        pool.collect(jobs_with(fault), NoisyActor())
    message = str(caught.value)
    first, *_ = message.splitlines()
    assert re.match(r"env 'scripted' raised ZeroDivisionError: scripted trouble \(envs.py, line \d+\) on task", first)
    assert all("Traceback" not in str(w.message) and first.split(";")[0] in str(w.message) for w in warned)
    for part in (
        "failed 2 times (max_tries=2)",
        "Traceback (most recent call last)",
        "envs.py",
        "ZeroDivisionError: scripted trouble",
        "task 'faulty', seed (9, 5, 0, 0), step 2",
        "task 'faulty', seed (9, 5)",
    ):
        assert part in message, f"{part!r} is missing in {message}"
    assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), faultless)


def test_non_finite_numbers_in_a_worker_are_raised_at_once(pool):
    restarts = pool.stats.restarts
    jobs = [*jobs_with(None), job(Task("bad", {"nan_obs_at": 3}), seed=(9, 99))]
    with (
        warnings.catch_warnings(),
        pytest.raises(NonFiniteError, match=r"task 'bad', seed \(9, 99, 0\), step 3"),
    ):
        warnings.simplefilter("error")  # a second try would warn
        pool.collect(jobs, NoisyActor())
    assert pool.stats.restarts == restarts


def test_what_the_user_has_to_mend_is_said_at_once_and_as_it_is():
    for workers in (0, 1):
        with RolloutPool(Unmakeable(), PoolConfig(workers=workers)) as pool, warnings.catch_warnings():
            warnings.simplefilter("error")  # a second try would warn
            with pytest.raises(UserError, match=r"^the simulator is missing; pip install it$"):
                pool.collect([job({})], NoisyActor())


def test_a_hanging_worker_is_replaced(faultless, tmp_path):
    fault = {"kind": "hang", "at": 2, "marker": str(tmp_path / "marker")}
    with RolloutPool(Scripted(), PoolConfig(workers=1, lanes_per_group=4, deadline_seconds=4)) as pool:
        with pytest.warns(RuntimeWarning, match=r"hung: no answer within deadline_seconds=4"):
            episodes = pool.collect(jobs_with(fault), NoisyActor())
        assert pool.stats.restarts == 1
    assert same_bytes(episodes, faultless)


@pytest.mark.thorough
def test_a_worker_that_hangs_while_idle_and_takes_no_message_is_replaced():
    """The phis of 200 tasks, 1 MB, are more than the pipe holds, so that handing them over would wait forever."""
    tasks = Navigation()
    jobs, actor = policy_jobs(tasks, tasks=200, episodes=1)
    with RolloutPool(tasks, PoolConfig(workers=1, lanes_per_group=200, deadline_seconds=7)) as pool:
        reference = pool.collect(jobs, actor)
        (worker,) = pool._runner._workers
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.warns(RuntimeWarning, match=r"hung: no answer within deadline_seconds=7"):
            episodes = pool.collect(jobs, actor)
        assert pool.stats.restarts == 1 and same_bytes(episodes, reference)


# Submissions: the workers run while the caller does something else.


def test_workers_run_before_anybody_waits(pool, faultless, tmp_path):
    marker, stats = tmp_path / "marker", pool.stats
    waited, collected = stats.wait_seconds, stats.collect_seconds
    pending = pool.submit(jobs_with({"kind": "nap", "at": 2, "marker": str(marker)}), NoisyActor())
    wait_until(marker.exists, seconds=60, what="a worker was in its episode")
    time.sleep(3)  # the caller trains
    assert same_bytes(pending.wait(), faultless)
    assert stats.collect_seconds - collected > 1  # the nap
    assert stats.wait_seconds - waited < stats.collect_seconds - collected


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_submit_and_wait_are_collect_and_take_one_submission_at_a_time(faultless, workers):
    with RolloutPool(Scripted(), PoolConfig(workers=workers, lanes_per_group=4)) as pool:
        pending = pool.submit(jobs_with(None), NoisyActor())
        with pytest.raises(UserError, match=r"12 jobs were submitted while others are pending.*call wait\(\)"):
            pool.submit(jobs_with(None), NoisyActor())
        assert same_bytes(pending.wait(), faultless)
        with pytest.raises(UserError, match="gives its episodes once"):
            pending.wait()
        assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), faultless)
        assert pool.stats.env_steps == 2 * sum(e.num_steps for e in faultless)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_is_raised_by_wait_and_the_pool_can_be_used_again(workers):
    with RolloutPool(Scripted(), PoolConfig(workers=workers)) as pool:
        pending = pool.submit([job(Task("bad", {"nan_obs_at": 3}), seed=(9, 99))], NoisyActor())
        with pytest.raises(NonFiniteError, match="task 'bad'"):
            pending.wait()
        assert len(pool.collect([job({})], NoisyActor())) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_closing_gives_a_pending_submission_up(workers):
    before = worker_processes()
    with RolloutPool(Scripted(), PoolConfig(workers=workers)) as pool:
        fault = {"kind": "hang", "at": 0, "marker": None}
        pending = pool.submit([job({"fault": fault})], NoisyActor())
    assert worker_processes() == before
    with pytest.raises(WorkerError, match="closed before the episodes of a submission were there; wait for them"):
        pending.wait()


def test_a_signal_ends_the_waiting_and_the_group(faultless, tmp_path):
    """As Ctrl-C in a run: Stopped is raised at once, and the worker in its episode does not go on."""
    marker = tmp_path / "marker"
    with RolloutPool(Scripted(), PoolConfig(workers=1, lanes_per_group=4)) as pool:
        pending = pool.submit([job({"fault": {"kind": "hang", "at": 1, "marker": str(marker)}})], NoisyActor())
        wait_until(marker.exists, seconds=60, what="the worker was in its episode")
        (worker,) = (psutil.Process(worker.pid) for worker in pool._runner._workers)
        with StopSignal() as stop, pytest.raises(Stopped), stop.interruptible():
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
            pending.wait()
        wait_until(lambda: not alive([worker]), seconds=10, what="the worker was gone")
        assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), faultless)


@pytest.mark.thorough
def test_opening_and_closing_leaves_nothing_behind(capfd):
    open_and_close_pools(2, capfd)


@pytest.mark.thorough
def test_opening_and_closing_20_times_leaves_nothing_behind(capfd):
    open_and_close_pools(20, capfd)


def open_and_close_pools(times, capfd):
    """Each pool needs more memory in its second call than in its first, and is closed three times."""

    def use():
        with RolloutPool(Scripted(), PoolConfig(workers=1)) as pool:
            for episodes in (1, 50):
                pool.collect([job({}, episodes=episodes)], NoisyActor())
        pool.close()
        pool.close()

    use()  # starts the server that workers are forked from, and multiprocessing's resource tracker, which stay
    before, shared = leftovers(), own_shared_memory()
    for _ in range(times):
        use()
    assert leftovers() == before
    wait_for_freed_memory(shared)
    captured = capfd.readouterr()
    assert captured.err == captured.out == ""


def worker_processes():
    """Children of the server that forks them, or, where there is none, of this process."""
    found = psutil.Process().children(recursive=True)
    return [p for p in found if p.ppid() != os.getpid() or "spawn_main" in " ".join(p.cmdline())]


def leftovers():
    children = len(psutil.Process().children(recursive=True))
    return len(os.listdir("/proc/self/fd")), children, threading.active_count()


def own_shared_memory():
    """Names in /dev/shm that this process could have made; tests beside this one have some too, for a moment."""
    return {p.name for p in Path("/dev/shm").iterdir() if p.name.startswith(("psm_", "torch_")) and p.owner() == me()}


def wait_for_freed_memory(before):
    wait_until(lambda: own_shared_memory() <= before, seconds=30, what="shared memory was freed")


def me():
    return Path("/proc/self").owner()


def test_what_cannot_be_pickled_is_told_before_a_process_starts():
    class Local(Scripted):
        pass

    resource_tracker.ensure_running()  # of all processes, not of one of ours
    children = psutil.Process().children(recursive=True)
    with (
        RolloutPool(Local(), PoolConfig(workers=1)) as pool,
        pytest.raises(UserError, match=r"tasks 'scripted' cannot be sent to worker processes \(.*Local.*--workers 0"),
    ):
        pool.collect([job({})], NoisyActor())
    assert psutil.Process().children(recursive=True) == children


@pytest.mark.thorough
def test_a_policy_that_cannot_be_pickled_is_a_sentence_and_the_pool_can_be_used_again(pool, faultless):
    actor = NoisyActor()
    actor.lock = threading.Lock()
    with pytest.raises(UserError, match=r"a group of jobs with its policy cannot be sent to worker processes \(.*lock"):
        pool.collect([job({})], actor)
    assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), faultless)


@pytest.fixture
def named_blocks(monkeypatch):
    """As on a system that has shared memory by name alone."""
    monkeypatch.setattr(shared_block, "HAS_ANONYMOUS", False)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="the system keeps shared memory elsewhere")
def test_too_little_shared_memory_is_told_beforehand(monkeypatch, named_blocks):
    monkeypatch.setattr("shutil.disk_usage", lambda path: FreeSpace)
    with (
        RolloutPool(Scripted(), PoolConfig(workers=1)) as pool,
        pytest.raises(UserError, match=r"0 MiB free in /dev/shm.*--workers 0"),
    ):
        pool.collect([job({}, episodes=50)], NoisyActor())


def test_shared_memory_by_name_gives_the_same_bytes_and_is_unlinked(named_blocks, faultless):
    before = own_shared_memory()
    with RolloutPool(Scripted(), PoolConfig(workers=2, lanes_per_group=4)) as pool:
        assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), faultless)
        wait_for_freed_memory(before)  # while it is in use


@pytest.mark.parametrize("by_name", [thorough(False), True])
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="the system keeps shared memory elsewhere")
def test_memory_promised_to_other_workers_is_told_too(monkeypatch, by_name):
    """Pages are given at the first write, so that what was promised is still counted as free."""

    def no_room(descriptor, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = set(Path("/dev/shm").iterdir())
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    monkeypatch.setattr(shared_block, "HAS_ANONYMOUS", shared_block.HAS_ANONYMOUS and not by_name)
    with (
        RolloutPool(Scripted(), PoolConfig(workers=1)) as pool,
        pytest.raises(UserError, match=r"no room left for another 1 MiB .*--workers 0"),
    ):
        pool.collect([job({}, episodes=50)], NoisyActor())
    assert set(Path("/dev/shm").iterdir()) <= before


class FreeSpace:
    free = 1000


@pytest.mark.parametrize(
    "field, value",
    [
        ("workers", -1),
        ("lanes_per_group", 0),
        ("max_tries", 0),
        ("deadline_seconds", 0.0),
        ("deadline_seconds", float("nan")),
    ],
)
def test_bad_config_names_field_value_and_rule(field, value):
    with pytest.raises(ValueError, match=rf"{field}={value} must be >"):
        PoolConfig(**{field: value})


# The parent's death: a script of its own, whose worker hangs in the middle of an episode.

PARENT = """
import signal, sys
# a test run in the background of a shell without job control is started with SIGINT ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and one under nohup with SIGHUP ignored
from tests.rollout.envs import NoisyActor, Scripted, job
from metarl.rollout.pool import PoolConfig, RolloutPool

if {guard}:
    with RolloutPool(Scripted(), PoolConfig(workers=1, max_tries=1)) as pool:
        print("starting", flush=True)
        fault = {{"kind": {kind!r}, "at": 2, "marker": sys.argv[1]}}
        pool.collect([job({{"fault": fault}})], NoisyActor())
"""


@pytest.fixture
def parent(tmp_path):
    """Starts the script; ends whatever is left of it."""
    started = []

    def start(*, guard='__name__ == "__main__"', kind="hang"):
        script = tmp_path / "script.py"
        script.write_text(PARENT.format(guard=guard, kind=kind))
        process = subprocess.Popen(
            [sys.executable, script, tmp_path / "marker"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


def wait_until(condition, *, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} within {seconds} s"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "number, to_group",
    [
        (signal.SIGKILL, True),
        thorough(signal.SIGTERM, False),
        *(thorough(number, False) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGKILL)),
        *(thorough(number, True) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_nothing_outlives_the_parent(parent, tmp_path, number, to_group):
    end_parent_in_an_episode(parent(), tmp_path, number, to_group=to_group)


@pytest.mark.skipif(sys.platform != "linux", reason="the system lets a stopped child outlive its parent")
@pytest.mark.parametrize("number", [thorough(signal.SIGTERM), signal.SIGKILL])
def test_a_worker_that_is_stopped_or_hangs_in_c_does_not_outlive_the_parent(parent, tmp_path, number):
    """None of its own threads runs, so that none can end it."""
    end_parent_in_an_episode(parent(kind="stop"), tmp_path, number, to_group=False)


def end_parent_in_an_episode(process, tmp_path, number, *, to_group):
    before = own_shared_memory()
    wait_until((tmp_path / "marker").exists, seconds=60, what="the worker was not in its episode")
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 1
    end(process, number, to_group=to_group)
    assert process.wait(timeout=10) != 0
    wait_until(lambda: not alive(children), seconds=10, what=f"children survived: {children}; gone")
    wait_for_freed_memory(before)


@pytest.mark.parametrize(
    "number, to_group, delay_seconds",
    [
        (signal.SIGKILL, True, 0.0),
        thorough(signal.SIGKILL, False, 0.0),
        thorough(signal.SIGKILL, True, 1.0),
        thorough(signal.SIGHUP, True, 0.3),
    ],
)
def test_nothing_outlives_a_parent_killed_while_its_worker_starts(parent, number, to_group, delay_seconds):
    before = own_shared_memory()
    process = parent()
    assert process.stdout.readline() == "starting\n"
    wait_until(
        lambda: len(psutil.Process(process.pid).children()) == 2,
        seconds=30,
        what="worker and tracker started",
    )
    children = psutil.Process(process.pid).children(recursive=True)
    time.sleep(delay_seconds)
    end(process, number, to_group=to_group)
    wait_until(lambda: not alive(children), seconds=20, what=f"children survived: {children}; gone")
    wait_for_freed_memory(before)


def end(process, number, *, to_group):
    """To it alone, or to its workers too, as a terminal's Ctrl-C and hang-up do."""
    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


def alive(processes):
    return [p for p in processes if p.is_running() and status_of(p) != psutil.STATUS_ZOMBIE]


def status_of(process):
    """A zombie's, too, where it has gone since."""
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


def test_a_script_without_main_guard_is_told_of_it(parent):
    process = parent(guard="True")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    last = err[err.rindex("WorkerError") :]
    assert "leaked" not in err  # as multiprocessing says of shared memory that nobody unlinked
    assert "before it was ready" in last and "if __name__ == '__main__'" in last
