"""keep_freed_memory: with glibc, freed tensors stay mapped, so that the next ones cost no page faults."""

import platform
import subprocess
import sys

import pytest

_PAGE_FAULTS = """
import resource, sys, torch
from metarl.cli.process.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(20):  # glibc's aligned allocation takes a few turns to find room for its own padding
    torch.ones(16_000_000)  # 64 MB, freed at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(16_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", _PAGE_FAULTS, how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_large_tensors_are_made_in_memory_that_is_mapped_already() -> None:
    assert page_faults("keep") < page_faults("leave") / 10


def test_it_says_when_the_c_library_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from metarl.cli.process import allocator

    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert allocator.keep_freed_memory() is False
