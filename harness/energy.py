"""The energy that the hardware says it has used: NVML's counter of a GPU, or RAPL's of the processors."""

import ctypes
import re
from collections.abc import Callable
from pathlib import Path

_RAPL = Path("/sys/class/powercap")
#: The counters move about ten times a second: over less than this, a difference says little.
LEAST_SECONDS = 1.0


def counter(device: str) -> Callable[[], float] | None:
    """Gives a function that reads the joules used so far, or None where nothing can be read.

    Of a GPU it is the card, of a CPU the processor packages, whoever else computes on them.
    """
    return nvml() if device.startswith("cuda") else rapl()


def rapl(folder: Path = _RAPL) -> Callable[[], float] | None:
    """The sum over packages; a counter that has run over since the last reading is carried on."""
    zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if re.fullmatch(r"intel-rapl:\d+", zone.name)]
    try:
        ranges = {zone: int((zone / "max_energy_range_uj").read_text()) for zone in zones}
        last = {zone: int((zone / "energy_uj").read_text()) for zone in zones}
    except (OSError, ValueError):  # only root may read it on most machines
        return None
    if not zones:
        return None
    used = 0

    def read() -> float:
        nonlocal used
        for zone in zones:
            now = int((zone / "energy_uj").read_text())
            used += (now - last[zone]) % (ranges[zone] + 1)
            last[zone] = now
        return used / 1e6

    return read


def nvml() -> Callable[[], float] | None:
    """The driver's own library, which needs no package."""
    import torch

    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
    name = f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}".encode()

    def total() -> int:
        return int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)))

    if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)) or total():
        return None

    def read() -> float:
        if total():
            raise RuntimeError("the energy counter of the GPU can no longer be read")
        return millijoules.value / 1e3

    return read
