"""Protocols: named presets of recipe, interface, head and selection."""

from dataclasses import dataclass, field

from harness.audio import Recipe
from harness.errors import UserError, choices


@dataclass(frozen=True)
class Protocol:
    """How an experiment is done; ``interface`` and ``head`` are what it uses unless others are asked for."""

    name: str
    description: str
    interface: str
    head: str
    recipe: Recipe = field(default_factory=Recipe)


PROTOCOLS = {
    "default": Protocol(
        "default",
        "whole clips; layer and settings chosen on each split's own validation folds, then refitted with them",
        interface="best-layer",
        head="logistic",
    ),
}


def find_protocol(name: str) -> Protocol:
    """A protocol by its name.

    Raises:
        UserError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise UserError(f"there is no protocol {name!r}: {choices(name, PROTOCOLS)}")
    return PROTOCOLS[name]
