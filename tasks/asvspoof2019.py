"""ASVspoof 2019: is speech bona fide or spoofed; variant LA, logical access, about 121,500 utterances."""

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import ByHand
from harness.types import Class, Clip

from ._files import inside, root_of
from ._metadata import read_table
from ._splits import PARTS

VARIANTS = ("LA",)

LABELS = ("spoof", "bonafide")
PROTOCOLS = "ASVspoof2019_LA_cm_protocols"
#: The authors' names of train, valid and test, and how their tables end.
TABLES = MappingProxyType({"train": ("train", "train.trn"), "valid": ("dev", "dev.trl"), "test": ("eval", "eval.trl")})
HEADER = ("speaker", "file", "unused", "system", "key")


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="asvspoof2019:LA",
        version="1",
        target=Class(LABELS),
        splits=PARTS,
        list_clips=_list_clips,
        clips=121_461,
        folder="asvspoof2019",
        source=ByHand("download LA.zip at https://datashare.ed.ac.uk/handle/10283/3336", "the folder LA"),
        paper="Wang et al. 2020, arXiv 1911.01601",
        licence="ODC-BY",
        description="Bona fide speech against speech of machines: systems A01 to A06 where heads learn and choose, A07 "
        "to A19 in the test. Scored by the equal error rate of countermeasures, not by the tandem cost, which needs "
        "scores of a speaker verification. Groups are the speakers.",
        domain="speech",
        counts=MappingProxyType({"train": 25_380, "valid": 24_844, "test": 71_237}),
        unconfirmed=frozenset({"clips", "counts", "licence"}),
        tables=tuple(_table(ending) for _, ending in TABLES.values()),
        folding="official",
        metric="eer",
    )


def _table(ending: str) -> str:
    return f"ASVspoof2019.LA.cm.{ending}.txt"


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "LA", PROTOCOLS, "ASVspoof 2019 LA")
    return sorted((clip for fold in TABLES for clip in _part(root, fold)), key=lambda clip: clip.id)


def _part(root: Path, fold: str) -> Iterator[Clip]:
    """The clips of a table: beside their audio lies that of others, which enrol speakers."""
    part, ending = TABLES[fold]
    audio = root / f"ASVspoof2019_LA_{part}" / "flac"
    for row in read_table(root / PROTOCOLS / _table(ending), (), delimiter=" ", header=HEADER):
        yield Clip(row["file"], inside(audio, f"{row['file']}.flac"), row["key"], fold, row["speaker"])
