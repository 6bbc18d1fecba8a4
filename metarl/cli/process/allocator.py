"""What the C library does with the memory that tensors free."""

from __future__ import annotations

import ctypes

# the numbers of glibc's malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory for the next tensor; says whether it does (not with musl, macOS or Windows).

    A tensor of over 32 MB is else mapped anew and unmapped each time, and the kernel clears every page of it: 45 % of
    the time of a training step of Omniglot's max-pooling net. For the whole process, which then holds its peak until
    it ends; to be called before large tensors are made.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc; on Windows CDLL(None) is a TypeError
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
