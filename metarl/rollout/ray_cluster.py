"""The Ray to run on: the one that RAY_ADDRESS names (Ray's own convention), else one that is started here."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from typing import Any

from metarl.errors import UserError

ADDRESS = "RAY_ADDRESS"
NICENESS = "RAY_worker_niceness"
"""Of the actors of a Ray that is started here: its own 15 would leave them what any other process does not want."""
ANSWER_SECONDS = 4.0
"""To connect, and to answer: together less than ten."""
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
"""Ray's head node speaks gRPC: a client's preface and an empty frame of settings, which a server answers by its own
(RFC 9113, section 3.4)."""
_SETTINGS = b"\4"
"""The type of that frame."""


def use_address(address: str, *, goes_with: str, is_given: bool) -> None:
    """Of the command line, as Ray's own variable and not in a config: a run that says where to connect to would be
    obeyed. Raises UserError where the flag that it goes with is not given."""
    if not is_given:
        raise UserError(f"--ray-address {address} goes with {goes_with}; give both, or neither")
    os.environ[ADDRESS] = address


def connect() -> Any:
    """The module `ray`, connected; it stays so until the process ends. Raises UserError."""
    ray = import_ray()
    if ray.is_initialized():
        return ray
    address = os.environ.get(ADDRESS) or "local"
    if address not in ("local", "auto"):
        check_answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault(NICENESS, "0")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=address, include_dashboard=None if address != "local" else False, **_QUIET)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        if address == "auto" and isinstance(error, ConnectionError):  # Ray's own remedy is a flag that is not ours
            raise UserError("no Ray runs on this machine for --ray-address auto; " + _remedy(error)) from error
        raise UserError(f"Ray at {address!r}: {_first_line(error)}; {_remedy(error)}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():  # Ray takes SIGTERM, by which a run is to save itself
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
    return ray


_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


def import_ray() -> Any:
    """Raises UserError where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise UserError('Ray is missing; pip install ".[ray]" in the checkout, or pip install ray') from error
    return ray


def check_answers(address: str) -> None:
    """Raises UserError, within ten seconds, where no Ray of any kind answers at HOST:PORT."""
    match = re.fullmatch(r"([\w.-]+):(\d{1,5})", address)
    if match is None:
        raise UserError(f"{ADDRESS}={address!r:.100} is no address; give auto, or HOST:PORT of the head node")
    start = "start Ray there with `ray start --head --port PORT`, or give another address"
    try:
        with socket.create_connection((match[1], int(match[2])), timeout=ANSWER_SECONDS) as connection:
            # what answers as no Ray does would hold ray.init up for a minute
            connection.sendall(_HELLO)
            answer = connection.recv(9)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"Ray at {address} does not answer ({reason}); {start}") from error
    if answer[3:4] != _SETTINGS:
        raise UserError(f"something answers at {address}, but not as Ray does; {start}")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:4]).removesuffix(".")


def _remedy(error: Exception) -> str:
    if "ersion" in str(error):
        return "install the same Python and Ray on all machines"
    return "start one with `ray start --head`, or leave --ray-address out to start one here"
