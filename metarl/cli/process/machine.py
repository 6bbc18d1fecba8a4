"""What `metarl doctor` tells: whether this machine has what runs need. It reports and never raises."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import metarl
from metarl.cli.process.gl import DRAWS
from metarl.errors import UserError
from metarl.rollout.ray_cluster import ADDRESS, check_answers
from metarl.rollout.shared_block import HAS_ANONYMOUS
from metarl.runs.log import say

Status = Literal["ok", "warn", "fail"]
Row = tuple[str, str, Status]

PINNED = {"mujoco": "3.3.0", "metaworld": "3.1.1"}
"""Versions the recorded results were made with; mujoco's numerics change at nearly every minor one."""

REQUIRED = ("torch", "numpy", "gymnasium", "mujoco", "metaworld", "safetensors", "stable-baselines3")
OPTIONAL = {
    **{name: name for name in ("tensorboard", "wandb", "mlflow", "trackio", "ray")},
    "imageio_ffmpeg": "video",
    "optuna": "search",
}
SHM_BYTES = 256 * 2**20

_GL_CHECK = "import mujoco; context = mujoco.GLContext(64, 64); context.make_current(); context.free()"


def report(*, gl_timeout_seconds: float = 30.0) -> list[tuple[str, str, str]]:
    """(name, value, status) of every check, status being ok, warn or fail."""
    checks: list[tuple[str, Callable[[], Iterator[Row]]]] = [
        ("python", _python),
        ("packages", _packages),
        ("own packages", _own_packages),
        ("threads", _cpus),
        ("GPU", _gpu),
        ("Ray", _ray),
        ("start methods", _start_methods),
        ("/dev/shm", _shared_memory),
        ("GL backend", lambda: _gl_backend(gl_timeout_seconds)),
        ("METARL_DATA", _data),
    ]
    rows: list[tuple[str, str, str]] = []
    for name, check in checks:
        try:
            rows.extend(check())
        except Exception as error:  # a broken package may raise anything; the other checks still help
            rows.append((name, f"could not be checked: {error!r}", "fail"))
    return rows


def _python() -> Iterator[Row]:
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    value = f"{platform.python_version()} at {sys.executable}"
    yield (
        "python",
        value if supported else f"{value}; metarl needs 3.11 to 3.13",
        "ok" if supported else "fail",
    )


def _packages() -> Iterator[Row]:
    for name in REQUIRED:
        found, wanted = _version(name), PINNED.get(name)
        if found is None:
            yield name, f"missing; pip install {name}{f'=={wanted}' if wanted else ''}", "fail"
        elif wanted not in (None, found):
            yield name, f"{found}, results were made with {wanted}; pip install {name}=={wanted}", "warn"
        else:
            yield name, found, "ok"
    for name, extra in OPTIONAL.items():
        yield name, _version(name) or f'not installed; pip install ".[{extra}]" in the checkout if wanted', "ok"


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _own_packages() -> Iterator[Row]:
    """In a checkout they are links, which a copy of it may have lost."""
    home = Path(metarl.__file__).parent
    for name in ("metarl.envs", "metarl.agents", "metarl.experiments"):
        spec = importlib.util.find_spec(name)
        places = list((spec and spec.submodule_search_locations) or ())
        if places and spec and spec.origin:
            yield name, str(Path(places[0]).resolve()), "ok"
        else:
            yield name, f"missing in {home}; install metarl-suite again", "fail"


def warn_if_busy() -> None:
    """Say so where as many processes run already as there are CPUs: every time will be longer than it need be."""
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) >= (cpus := usable_cpus()):
        say(f"this machine is busy: in the last minute {load:.1f} processes ran or waited for its {cpus} CPUs")


def usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpus() -> Iterator[Row]:
    usable = f"{usable_cpus()} of {os.cpu_count()} usable"
    yield "CPUs", f"{usable}; one for each worker, and one for the learner unless --trainer.threads says more", "ok"


def _gpu() -> Iterator[Row]:
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    yield "GPU", ", ".join(names) or "none; --device cpu is used", "ok"


def _ray() -> Iterator[Row]:
    """What `--runner ray` would run on; nothing is started."""
    if _version("ray") is None:
        return  # said among the packages
    if (address := os.environ.get(ADDRESS)) in (None, "", "local", "auto"):
        yield "Ray", f"{ADDRESS}={address}" if address else f"no {ADDRESS}: --runner ray starts one here", "ok"
        return
    try:
        check_answers(address)
    except UserError as error:
        yield "Ray", str(error), "warn"
    else:
        yield "Ray", f"answers at {ADDRESS}={address}", "ok"


def _start_methods() -> Iterator[Row]:
    methods = multiprocessing.get_all_start_methods()
    yield "start methods", ", ".join(methods), "ok" if "spawn" in methods else "fail"


def _shared_memory() -> Iterator[Row]:
    """Episodes come back from the workers through it where there is no anonymous shared memory; Docker gives 64 MB
    unless told otherwise.
    """
    place = Path("/dev/shm")
    if not place.is_dir():
        yield "/dev/shm", "absent on this platform", "ok" if sys.platform != "linux" else "warn"
        return
    free = shutil.disk_usage(place).free
    value = f"{free / 2**20:,.0f} MiB free"
    if HAS_ANONYMOUS:
        yield "/dev/shm", f"{value}; not needed, shared memory has no name here", "ok"
    elif free < SHM_BYTES:
        yield "/dev/shm", f"{value}, {SHM_BYTES // 2**20} are advised; docker run --shm-size 1g", "warn"
    else:
        yield "/dev/shm", value, "ok"


def _gl_backend(timeout_seconds: float) -> Iterator[Row]:
    """Only videos need one. Each is tried in a process of its own: a bad driver may crash it."""
    set_by_user = os.environ.get("MUJOCO_GL")
    for backend in [set_by_user] if set_by_user else DRAWS:
        if gl_works(backend, timeout_seconds):
            yield (
                "GL backend",
                backend if set_by_user else f"{backend} works; export MUJOCO_GL={backend}",
                "ok",
            )
            return
    advice = f"MUJOCO_GL={set_by_user} does not work" if set_by_user else "none of egl, osmesa, glfw works"
    yield "GL backend", f"{advice}; training does not need it, videos do", "warn"


def gl_works(backend: str, timeout_seconds: float) -> bool:
    """Whether MuJoCo can make a GL context of this kind here."""
    command = [sys.executable, "-c", _GL_CHECK]
    environment = {**os.environ, "MUJOCO_GL": backend}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=timeout_seconds)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _data() -> Iterator[Row]:
    place = os.environ.get("METARL_DATA")
    if not place:
        yield "METARL_DATA", "not set; needed only for few-shot data sets", "ok"
    elif Path(place).is_dir():
        yield "METARL_DATA", place, "ok"
    else:
        yield "METARL_DATA", f"{place} is not a directory; correct or unset it", "warn"
