"""Fluent Speech Commands, commands to a house: 30,043 utterances, 3 slots to fill (action, object, location)."""

from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import ByHand
from harness.types import Clip, Slots

from ._files import inside, root_of
from ._metadata import read_table
from ._splits import PARTS

VARIANTS = ("",)

NAMES = ("action", "object", "location")
ACTIONS = ("activate", "bring", "change language", "deactivate", "decrease", "increase")
OBJECTS = (
    *("Chinese", "English", "German", "Korean", "heat", "juice", "lamp", "lights", "music", "newspaper"),
    *("none", "shoes", "socks", "volume"),
)
LOCATIONS = ("bedroom", "kitchen", "none", "washroom")
TABLES = MappingProxyType({part: f"{part}_data.csv" for part in ("train", "valid", "test")})


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="fluent_speech_commands",
        version="1",
        target=Slots(NAMES, (ACTIONS, OBJECTS, LOCATIONS)),
        splits=PARTS,
        list_clips=_list_clips,
        clips=30_043,
        folder="fluent_speech_commands",
        source=ByHand(
            "read the Fluent Speech Commands Public License and, if you may, download fluent.tar.gz of "
            "https://huggingface.co/datasets/leo19941227/fluent_speech_commands",
            "the folder fluent_speech_commands_dataset",
        ),
        paper="Lugosch et al. 2019, arXiv 1904.03670",
        licence="Fluent Speech Commands Public License, for research",
        description="Commands in which what to do, with what and where must all be found; groups are the speakers, who "
        "are apart. X-ARES asks for the 248 sentences instead, which is another task.",
        domain="speech",
        hours=19,
        counts=MappingProxyType({"train": 23_132, "valid": 3_118, "test": 3_793}),
        unconfirmed=frozenset({"hours"}),
        tables=tuple(TABLES.values()),
        folding="official",
        benchmarks=MappingProxyType({"SUPERB": None}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "fluent_speech_commands_dataset", "data/train_data.csv", "Fluent Speech Commands")
    return sorted(
        (
            _clip(root, part, row)
            for part, table in TABLES.items()
            for row in read_table(root / "data" / table, ("path", "speakerId", *NAMES))
        ),
        key=lambda clip: clip.id,
    )


def _clip(root: Path, part: str, row: dict[str, str]) -> Clip:
    slots = tuple(row[name] for name in NAMES)
    return Clip(row["path"].removesuffix(".wav"), inside(root, row["path"]), slots, part, row["speakerId"])
