"""The settings of a run, checked when they are made."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.catalogue import find_head
from harness.devices import check_device
from harness.errors import UserError
from harness.interfaces import Interface
from harness.protocols import Protocol, find_protocol
from harness.views import View


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything about a run but the upstream and the task.

    ``data`` are folders as in ``--data``; ``store`` and ``results`` are folders; ``interface``, ``head`` and ``view``
    override the protocol's and the upstream's, ``seeds`` the protocol's number; ``limit`` keeps so many clips, and
    ``partial`` those that are there (the result is then marked partial); ``max_store`` refuses larger extractions, in
    bytes.
    """

    protocol: str = "default"
    interface: str | None = None
    head: str | None = None
    view: str | None = None
    seeds: int | None = None
    limit: int | None = None
    partial: bool = False
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
        find_protocol(self.protocol)
        if self.interface is not None:
            Interface.parse(self.interface)
        if self.head is not None:
            find_head(self.head)
        if self.view is not None:
            View.parse(self.view)

    @cached_property
    def preset(self) -> Protocol:
        """The protocol itself."""
        return find_protocol(self.protocol)

    @property
    def used_workers(self) -> int:
        """The threads that were asked for, or one for each processor that this process may use, up to 8."""
        return self.workers or min(8, os.cpu_count() or 1)
