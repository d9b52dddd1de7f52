"""How much memory a process holds and how much there is, read from the kernel, and None where it does not tell; and
what becomes of memory that is freed."""

import ctypes
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
#: glibc's names for how much may lie free at the end of its heap, and for what gets pages of its own from the kernel.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST = 2**31 - 1


def resident(pid: int) -> int | None:
    """Bytes of a process in memory; 0 when it is gone."""
    if not (_PROC / "self" / "statm").is_file():
        return None
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def resident_with_children(pid: int) -> int | None:
    """Bytes in memory of a process and of all that it has started."""
    own = resident(pid)
    if own is None:
        return None
    children: list[str] = []
    for listed in (_PROC / str(pid) / "task").glob("*/children"):
        try:
            children += listed.read_text().split()
        except OSError:  # the thread has ended meanwhile
            continue
    return own + sum(resident_with_children(int(child)) or 0 for child in children)


def begin_peak() -> None:
    """Forget this process's peak, so that :func:`peak` tells of what comes now."""
    try:
        (_PROC / "self" / "clear_refs").write_text("5")
    except OSError:  # then the peak is that of the process's whole life
        return


def peak() -> int | None:
    """The most bytes that this process has had in memory since :func:`begin_peak`."""
    status = _PROC / "self" / "status"
    return _kilobytes("VmHWM", status) if status.is_file() else None


def private() -> int | None:
    """Bytes that this process may write to, whether they are in memory or not: what ``RLIMIT_DATA`` bounds."""
    status = _PROC / "self" / "status"
    return _kilobytes("VmData", status) if status.is_file() else None


def available() -> int | None:
    """Bytes that can be had without swapping, within the limits of a container."""
    meminfo = _PROC / "meminfo"
    if not meminfo.is_file():
        return None
    free = _kilobytes("MemAvailable", meminfo)
    try:
        most = int((_CGROUP / "memory.max").read_text())
        used = re.search(r"^anon (\d+)", (_CGROUP / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    left = most - int(used[1]) if used else most
    return left if free is None else min(free, left)


def total() -> int | None:
    """Bytes of memory that the machine has."""
    meminfo = _PROC / "meminfo"
    return _kilobytes("MemTotal", meminfo) if meminfo.is_file() else None


def _kilobytes(name: str, path: Path) -> int | None:
    found = re.search(rf"^{name}:\s+(\d+) kB", path.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def keep_freed() -> None:
    """Let this process have again what it has freed, as torch does on a GPU: the kernel clears fresh pages one by one,
    which costs large networks a tenth of their time and small ones on long clips a third. Only glibc can be told."""
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_TRIM_THRESHOLD, _MOST)
        libc.mallopt(_M_MMAP_THRESHOLD, _MOST)


def at_hand(size: int) -> None:
    """Have so many bytes from the kernel, to be used by what comes next; after :func:`keep_freed`."""
    if _glibc() is not None:
        import numpy as np

        blocks = [np.empty(min(1 << 30, size - begin), np.uint8) for begin in range(0, size, 1 << 30)]
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
