"""Published experiments on cost as presets of ``harness measure``, and the figures that were published."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from harness.errors import UserError, choices


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a published experiment measured, and how.

    ``short`` are lengths in tokens that a CPU is asked for as well, which does not get far within its budget; ``pairs``
    are compared, the new one first; ``deviations`` are those of every device.
    """

    name: str
    summary: str
    upstreams: tuple[str, ...]
    tokens: tuple[int, ...]
    short: tuple[int, ...]
    way: str
    batch: int
    attention: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    deviations: tuple[str, ...]


class Published(NamedTuple):
    """One published figure of a model at a length: ``latency_median`` in seconds or ``peak_bytes``.

    ``spread`` is how far it may be off.
    """

    preset: str
    upstream: str
    tokens: int
    figure: str
    value: float
    spread: float
    source: str


_SIZES = ("tiny", "small", "base")

PRESETS = {
    "ssamba": Preset(
        name="ssamba",
        summary="SSAMBA against SSAST in time and memory, over the length of the input (Shams et al. 2024, figure 1)",
        upstreams=tuple(f"{family}:{size}@untrained" for size in _SIZES for family in ("ssamba", "ssast")),
        tokens=(
            *(5_000, 8_000, 10_000, 11_000, 12_500, 15_000, 15_400, 20_000, 22_000, 25_000, 37_500, 50_000, 62_500),
            74_500,
        ),
        short=(500, 1_000, 2_000, 3_000),
        way="image",
        batch=4,
        attention=("eager", "sdpa"),
        pairs=tuple((f"ssamba:{size}@untrained", f"ssast:{size}@untrained") for size in _SIZES),
        deviations=(
            "the streams between all blocks are kept, as extraction needs them",
            "the sigmoid is of the mean of the final tokens, without a head of labels",
        ),
    )
}


def find_preset(name: str) -> Preset:
    """A preset by its name.

    Raises:
        UserError: there is none of this name.
    """
    if name not in PRESETS:
        raise UserError(f"there is no preset {name!r}: {choices(name, PRESETS)}")
    return PRESETS[name]


@cache
def published(preset: str) -> Sequence[Published]:
    """The figures that were published of an experiment, by upstream and length."""
    text = files("harness.leaderboard").joinpath("efficiency.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    found = [
        Published(
            *(row["preset"], row["upstream"], int(row["tokens"]), row["figure"]),
            *(float(row["value"]), float(row["spread"]), row["source"]),
        )
        for row in rows
        if row["preset"] == preset
    ]
    return sorted(found)
