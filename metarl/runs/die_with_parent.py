"""A process that ends when the one that started it does, whatever ended that."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent_pid: int) -> None:
    """On Linux this process is killed with its parent, also in the middle of C code or stopped; elsewhere nothing is
    done. The parent is the thread that started it (prctl(2))."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the call: no signal will come
        os._exit(1)
