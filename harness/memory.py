"""How much memory a process holds, and how much there is; read from the kernel, and None where it does not tell."""

import os
import re
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


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
