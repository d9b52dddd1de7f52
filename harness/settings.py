"""The settings of a run, checked when they are made."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.devices import check_device
from harness.errors import UserError
from harness.heads import HEADS, check_head
from harness.interfaces import check_interface
from harness.protocols import Protocol, find_protocol


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything about a run but the upstream and the task.

    ``data`` are folders as in ``--data``; ``store`` and ``results`` are folders; ``interface``, ``head`` and ``view``
    override the protocol's and the upstream's; ``limit`` keeps so many clips (the result is then marked partial);
    ``max_store`` refuses larger extractions, in bytes.
    """

    protocol: str = "default"
    interface: str | None = None
    head: str | None = None
    view: str | None = None
    seeds: int = 1
    limit: int | None = None
    data: Sequence[str] = ()
    store: Path | None = None
    results: Path = Path("results")
    device: str = "auto"
    workers: int | None = None
    max_store: float = 50e9

    def __post_init__(self) -> None:
        """Refuse what cannot be, before anything is opened."""
        for name in ("seeds", "limit", "workers"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise UserError(f"--{name} must be 1 or more, not {value}")
        check_device(self.device)
        check_interface(self.used_interface)
        check_head(self.used_head, self.used_interface)
        if self.seeds > 1 and not HEADS[self.used_head].random:
            raise UserError(
                f"the {self.used_head} head has no randomness, so --seeds {self.seeds} would repeat one answer: drop it"
            )

    @cached_property
    def preset(self) -> Protocol:
        """The protocol itself."""
        return find_protocol(self.protocol)

    @property
    def used_interface(self) -> str:
        """The interface that was asked for, or the protocol's."""
        return self.interface or self.preset.interface

    @property
    def used_workers(self) -> int:
        """The threads that were asked for, or one for each processor that this process may use, up to 8."""
        return self.workers or min(8, os.cpu_count() or 1)

    @property
    def used_head(self) -> str:
        """The head that was asked for, or the protocol's."""
        return self.head or self.preset.head
