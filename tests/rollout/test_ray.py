"""Ray's actors give the bytes of worker processes, whatever becomes of their nodes; and what is wrong is said soon."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import pytest

from metarl.cli.main import main
from metarl.cli.process import machine
from metarl.errors import NonFiniteError, UserError, WorkerError
from metarl.rollout import ray_runner
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.rollout.ray_cluster import NICENESS, check_answers, connect
from metarl.sweep.ray_runs import places
from metarl.types import Task
from tests.cli.test_sweep import scores_of, sweep
from tests.rollout.envs import NoisyActor, Scripted, job, same_bytes


@pytest.fixture(scope="module")
def ray():
    """Imported; it puts what it brings along before all else on sys.path, which the other tests do not expect."""
    path = sys.path.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("ray")
    sys.path[:] = path
    return module


# ---- without a cluster


def test_ray_missing_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with RolloutPool(Scripted(), PoolConfig(runner="ray")) as pool, pytest.raises(UserError, match="pip install ray"):
        pool.collect([job({})], NoisyActor())


def test_tasks_that_cannot_be_sent_are_named_before_anything_starts():
    class Local(Scripted):
        pass

    with (
        RolloutPool(Local(), PoolConfig(runner="ray")) as pool,
        pytest.raises(UserError, match=r"'scripted' cannot be sent.*Local"),
    ):
        pool.collect([job({})], NoisyActor())


def test_ray_in_this_process_is_refused():
    with pytest.raises(UserError, match="workers=0 runs in this process, and runner='ray' in others"):
        PoolConfig(workers=0, runner="ray")


@pytest.mark.parametrize("address", ["there", "ray://host:1", "host:", "a b:3", "host:99999999"])
def test_what_is_no_address(address):
    with pytest.raises(UserError, match="is no address; give auto, or HOST:PORT"):
        check_answers(address)


@pytest.mark.thorough
def test_an_address_where_nobody_answers_is_said_within_ten_seconds(ray, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        started = time.monotonic()
        with pytest.raises(UserError, match=f"Ray at {address} does not answer"):  # nobody listens
            connect()
        assert ("Ray", "warn") in [(name, status) for name, _, status in machine._ray()]
        silent.listen()
        with pytest.raises(UserError, match=f"Ray at {address} does not answer"):  # one that says nothing
            connect()
        assert time.monotonic() - started < 10


def test_what_answers_and_is_no_ray():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(UserError, match=r"something answers at .*, but not as Ray does"):
            check_answers(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_no_ray_on_this_machine_has_our_own_flag_for_a_remedy(monkeypatch):
    def init(**how):
        raise ConnectionError("Could not find any running Ray instance. Please set the `--address` flag.")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=init))
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(UserError, match=r"^no Ray runs on this machine for --ray-address auto; start one"):
        connect()


def test_an_address_without_the_runner_is_refused(tmp_path, capsys):
    assert main(["train", "ml1_reach_maml", "--out", str(tmp_path / "run"), "--ray-address", "auto"]) == 2
    assert "--ray-address auto goes with --runner ray" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_node_of_other_versions_is_refused():
    here = ray_runner.code_versions()
    ray_runner._check_versions(here)
    with pytest.raises(UserError, match=f"a node of Ray has python 3.9.1, here {here['python']}; metarl 0.0.1, here"):
        ray_runner._check_versions({**here, "python": "3.9.1", "metarl": "0.0.1"})


# ---- on a cluster of nodes on this machine

KILLS = int(os.environ.get("METARL_KILLS", "1"))
"""Of nodes, one after another; 20 take some ten minutes."""
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster(ray):
    """A head node without a CPU, so that whatever runs, runs on one of the others."""
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray's own
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(NICENESS, "0")
            made = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
            patch.setenv("RAY_ADDRESS", made.address)
            connect()
            yield made
            ray.shutdown()
            made.shutdown()


def jobs_with(fault, *, number=12):
    """As many groups as half of them; the fault is in the third."""
    jobs = [job(Task(f"t{i}", {"lengths": [3, 5]}), episodes=2, seed=(9, i)) for i in range(number)]
    jobs[5] = job(Task("faulty", {"lengths": [3, 5], "fault": fault}), episodes=2, seed=(9, 5))
    return jobs


def collect(jobs, **config):
    with RolloutPool(Scripted(), PoolConfig(lanes_per_group=4, **config)) as pool:
        return pool.collect(jobs, NoisyActor())


@pytest.mark.thorough
@pytest.mark.timeout(1800)
def test_nodes_that_join_and_die_do_not_show(ray, cluster, tmp_path):
    """Two nodes, one killed in the middle of its group, a third that joins; Ray takes some 10 s to find a node dead."""
    reference = collect(jobs_with(None), workers=2)
    nodes = [cluster.add_node(**NODE) for _ in range(2)]
    with RolloutPool(Scripted(), PoolConfig(runner="ray", workers=2, lanes_per_group=4)) as pool:
        assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), reference)
        for attempt in range(KILLS):
            marker = tmp_path / f"marker{attempt}"
            pending = pool.submit(jobs_with({"kind": "hang", "at": 2, "marker": str(marker)}), NoisyActor())
            while not marker.exists():
                time.sleep(0.01)
            hung = next(member for member in pool._runner._members if member.group == 2)
            at = ray._private.state.actors(hung.actor._actor_id.hex())["Address"]["NodeID"]
            (victim,) = [node for node in nodes if node.node_id == at]
            nodes.remove(victim)
            cluster.remove_node(victim, allow_graceful=False)
            with pytest.warns(RuntimeWarning, match=r"(?s)try 1 of 3.*a worker of Ray died.*'faulty', seed \(9, 5\)"):
                episodes = pending.wait()  # by the other node alone
            assert same_bytes(episodes, reference)
            nodes.append(cluster.add_node(**NODE))
            assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), reference)
            deadline = time.monotonic() + 300  # an actor imports torch first
            while sum(member.is_ready for member in pool._runner._members) < 2:  # the new one is used
                assert time.monotonic() < deadline
                assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), reference)
        assert pool.stats.restarts >= KILLS
        three = [*nodes, cluster.add_node(**NODE)]
    with RolloutPool(Scripted(), PoolConfig(runner="ray", workers=3, lanes_per_group=4)) as pool:
        assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), reference)
    for node in three:
        cluster.remove_node(node, allow_graceful=False)


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_a_run_of_a_sweep_has_place_on_a_node_with_all_its_cpus(cluster):
    nodes = [cluster.add_node(**{**NODE, "num_cpus": cpus}) for cpus in (3, 1)]
    deadline = time.monotonic() + 120  # Ray takes a while to know new nodes, and that those of other tests are gone
    while (found := {cores: places(cores=cores) for cores in (1, 2, 3, 4)}) != {1: 4, 2: 1, 3: 1, 4: 1}:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    for node in nodes:
        cluster.remove_node(node, allow_graceful=False)


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_faults_are_those_of_worker_processes(cluster, tmp_path):
    node = cluster.add_node(**{**NODE, "num_cpus": 2})
    reference = collect(jobs_with(None), workers=2)
    config = PoolConfig(runner="ray", workers=2, lanes_per_group=4, max_tries=2, deadline_seconds=10)
    with RolloutPool(Scripted(), config) as pool:
        for kind, told in {"kill": "died", "raise": "scripted trouble", "hang": "hung: no answer within"}.items():
            fault = {"kind": kind, "at": 2, "marker": str(tmp_path / kind)}
            with pytest.warns(RuntimeWarning, match=rf"(?s)try 1 of 2.*{told}.*task 'faulty', seed \(9, 5"):
                assert same_bytes(pool.collect(jobs_with(fault), NoisyActor()), reference)
        always = {"kind": "raise", "at": 2, "marker": None}
        with pytest.warns(RuntimeWarning), pytest.raises(WorkerError, match=r"(?s)scripted trouble.*failed 2 times"):
            pool.collect(jobs_with(always), NoisyActor())
        with pytest.raises(UserError, match=r"^the gripper is at 3 mm; open it$"):
            pool.collect(jobs_with({"kind": "user error", "at": 1, "marker": None}), NoisyActor())
        with pytest.raises(NonFiniteError, match="task 'bad'"):
            pool.collect([*jobs_with(None), job(Task("bad", {"nan_obs_at": 3}), seed=(9, 99))], NoisyActor())
        assert same_bytes(pool.collect(jobs_with(None), NoisyActor()), reference)
    cluster.remove_node(node, allow_graceful=False)


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_a_run_on_ray_equals_one_by_processes(cluster, tmp_path):
    from tests.cli.test_cli import assert_same_run, train

    node = cluster.add_node(**{**NODE, "num_cpus": 2})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert train(tmp_path / "ray", "--runner", "ray", "--workers", "2", "--ray-address", cluster.address) == 0
    assert train(tmp_path / "processes", "--workers", "2") == 0
    assert_same_run(tmp_path / "ray", tmp_path / "processes")
    cluster.remove_node(node, allow_graceful=False)


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_a_sweep_on_ray_equals_one_by_processes_though_a_node_dies(cluster, tmp_path):
    """The run is lost with its node, and goes on from its checkpoint on another one."""
    grid, there = ["--seeds", "0:2", "--iterations", "30"], tmp_path / "there"
    on_ray = ["--on", "ray", "--ray-address", cluster.address, "--jobs", "2"]
    command = [sys.executable, "-m", "metarl", *sweep(there, *grid, *on_ray)]
    node = cluster.add_node(**NODE)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while not list(there.glob("*/seed0/checkpoints/*")):
            assert process.poll() is None
            time.sleep(0.01)
        cluster.remove_node(node, allow_graceful=False)
        node = cluster.add_node(**NODE)
        said, _ = process.communicate(timeout=600)
    assert process.returncode == 1 and "its Ray worker was lost" in said and "seed1: done" in said
    subprocess.run([*command, "--resume"], check=True, timeout=600)
    cluster.remove_node(node, allow_graceful=False)
    assert main(sweep(tmp_path / "here", *grid)) == 0
    for run in ("seed0", "seed1"):
        (one,), (other,) = ((tmp_path / place).glob(f"*/{run}") for place in ("there", "here"))
        assert scores_of(one) == scores_of(other)


def test_an_address_goes_with_ray_alone(tmp_path, capsys):
    assert main(sweep(tmp_path / "sweep", "--ray-address", "auto")) == 2
    assert "--ray-address auto goes with --on ray" in capsys.readouterr().err
    assert not (tmp_path / "sweep").exists()
