"""How a process that is ours alone treats the machine: a command, or a child that measures."""

import ctypes
import os
import sys
from functools import cache
from typing import Any

#: The size of a page, or less.
_PAGE = 4096
#: What counts as a large block of memory.
_BLOCK = 1 << 20
#: glibc's names for how much may lie free at the end of its heap, and for what gets pages of its own from the kernel.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LIMITLESS = -1


def wait_briefly() -> None:
    """Let the threads of GNU's OpenMP, which is torch's on Linux, sleep soon when they have nothing to do, unless the
    user has said how long they spin: they would keep our own threads and other processes from the processors. To be
    called before torch is imported."""
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def keep_freed() -> None:
    """Let this process have again what it has freed, as torch does on a GPU: the kernel clears fresh pages one by one,
    which costs large networks a tenth of their time and small ones on long clips a third. Only glibc can be told."""
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_TRIM_THRESHOLD, _LIMITLESS)
        libc.mallopt(_M_MMAP_THRESHOLD, _LIMITLESS)


def keep_nothing() -> None:
    """Let the kernel have what this process frees, block by block, so that what it holds is what it uses."""
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, _BLOCK)
        libc.malloc_trim(0)


def at_hand(size: int) -> None:
    """Have so many bytes from the kernel, to be used by what comes next; after :func:`keep_freed`. They come in small
    blocks, which lie where others were freed as well."""
    if _glibc() is not None:
        import numpy as np

        blocks = [np.empty(_BLOCK, np.uint8) for _ in range(size // _BLOCK)]
        for block in blocks:
            block[::_PAGE] = 0


def give_back() -> None:
    """Let the kernel have what this process has freed."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    """None on other systems."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
