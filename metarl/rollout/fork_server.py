"""Imported by the server that worker processes are forked from, and by nothing else; see `metarl.rollout.processes`.

It ends with the process that started it. Of itself it would live on while any worker does, and a worker that is stopped
or hangs in C code ends with it alone.
"""

from __future__ import annotations

import os

from metarl.rollout import worker  # noqa: F401
from metarl.runs.die_with_parent import die_with_parent

PID = os.getpid()

die_with_parent(os.getppid())
