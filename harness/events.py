"""What a run tells while it goes on; the command line shows it, a program may ignore it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """``kind`` for programs, ``text`` for people, ``values`` for both.

    ``done`` and ``total`` make a bar where a stage has a length.
    """

    kind: str
    text: str
    values: Mapping[str, Any] = field(default_factory=dict)
    done: int | None = None
    total: int | None = None


Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """Tell nobody."""
