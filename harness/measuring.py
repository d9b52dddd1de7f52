"""The settings of a measurement, checked when they are made."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness import memory
from harness.devices import check_device
from harness.errors import UserError, choices
from harness.views import BYTES
from harness.ways import WAYS

#: Of the memory that is free, so much may be taken unless a budget is given.
SHARE = 0.8
#: What torch's attention may be: its scores written in full, or whichever fused kernel torch picks.
ATTENTION = ("eager", "sdpa")


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """Everything about a measurement but the upstreams and lengths.

    ``repeats`` are timed forwards after one to warm up, as far as ``max_seconds`` suffice for all forwards of a point;
    ``max_memory`` bounds in bytes what a forward may take, by default :data:`SHARE` of what is free on the device.
    ``threads`` compute on a CPU, by default as many as torch finds good. To ``resume`` is to keep the lengths that are
    in the folder of results, measured in the same way by the same versions on the same machine.
    """

    batch: int = 1
    ways: Sequence[str] = ("uncut", "windowed")
    attention: Sequence[str] = ("sdpa",)
    dtype: str = "float32"
    device: str = "auto"
    threads: int | None = None
    repeats: int = 10
    max_seconds: float = 60.0
    max_memory: float | None = None
    results: Path = Path("results")
    preset: str = ""
    deviations: tuple[str, ...] = ()
    resume: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be, before any process is started."""
        for name in ("batch", "repeats", "threads"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise UserError(f"--{name} must be 1 or more, not {value}")
        if not 0 < self.max_seconds < math.inf:
            raise UserError(f"--max-seconds must be more than 0, not {self.max_seconds:g}")
        for name, known, all_given in (
            ("attention", ATTENTION, self.attention),
            ("way of measuring", tuple(WAYS), self.ways),
            ("dtype", tuple(BYTES), (self.dtype,)),
        ):
            if wrong := next((given for given in all_given if given not in known), None):
                raise UserError(f"there is no {name} {wrong!r}: {choices(wrong, known)}")
        check_device(self.device)

    @property
    def asked(self) -> dict[str, float | None]:
        """What a point rests on beside what is measured."""
        return {"repeats": self.repeats, "max_seconds": self.max_seconds, "max_memory": self.max_memory}

    @cached_property
    def host_bytes(self) -> int | None:
        """What a process may hold in the machine's memory, whichever device computes."""
        free = memory.available()
        return None if free is None else int(SHARE * free)
