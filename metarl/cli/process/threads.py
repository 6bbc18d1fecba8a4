"""How long a thread of torch waits for the others with its core held."""

from __future__ import annotations

import os

SPINS = "20000"
"""Some tens of microseconds. On two idle cores a step of SAC takes 10 ms with it, as with libgomp's own choice, and 19
ms where threads sleep at once (OMP_WAIT_POLICY=PASSIVE); where both cores are taken by others, 42, 150 and 33 ms."""


def wait_briefly() -> None:
    """Let torch's threads sleep soon, so that a busy machine slows them and does not stop them. Before torch is
    imported, because it is read then; what the user has set stays."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
