"""Medley-solos-DB, instruments alone: 21,571 clips of 3 s of eight of them, official split."""

from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import root_of
from ._metadata import read_table
from ._splits import PARTS

VARIANTS = ("",)
TABLE = "Medley-solos-DB_metadata.csv"
ADDRESS = "https://zenodo.org/records/3464194/files/"
CITED = "mirdata (medley_solos_db)"

#: The authors' names, in the order of their numbers.
LABELS = (
    *("clarinet", "distorted electric guitar", "female singer", "flute"),
    *("piano", "tenor saxophone", "trumpet", "violin"),
)
NUMBERS = MappingProxyType({str(number): label for number, label in enumerate(LABELS)})
PART = MappingProxyType({"training": "train", "validation": "valid", "test": "test"})


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="medley_solos",
        version="1",
        target=Class(LABELS),
        splits=PARTS,
        list_clips=_list_clips,
        clips=21_571,
        folder="medley_solos",
        source=(
            Archive(f"{ADDRESS}{TABLE}", loose=True, checksum="md5:fda6a589c56785f2195c9227809c521a", cited=CITED),
            Archive(
                f"{ADDRESS}Medley-solos-DB.tar.gz",
                into="audio",
                checksum="md5:f5facf398793ef5c1f80c013afdf3e5f",
                cited=CITED,
            ),
        ),
        paper="Lostanlen and Cella 2016, arXiv 1605.06644",
        licence="CC BY 4.0",
        description="Solos: MedleyDB trains and chooses, solosDB scores; groups are the songs.",
        domain="music",
        hours=21_571 * 2.972 / 3600,
        counts={"train": 5841, "valid": 3494, "test": 12_236},
        unconfirmed=frozenset({"hours"}),
        tables=(TABLE,),
        benchmarks={"ARCH": None},
        published=MappingProxyType({"arch": {"seconds": 3.0}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, ("Medley-solos-DB", "annotation"), TABLE, "Medley-solos-DB")
    rows = read_table(root / TABLE, ("subset", "instrument_id", "song_id", "uuid4"))
    audio = (root.parent if root.name == "annotation" else root) / "audio"
    return sorted((_clip(audio, row) for row in rows), key=lambda clip: clip.id)


def _clip(audio: Path, row: dict[str, str]) -> Clip:
    subset, number = row["subset"], row["instrument_id"]
    name = f"Medley-solos-DB_{subset}-{number}_{row['uuid4']}"
    label = NUMBERS.get(number, number)
    return Clip(name, audio / f"{name}.wav", label, PART.get(subset, subset), row["song_id"])
