"""Egyptian fruit bats: which of ten calls? 10,000 calls at 250 kHz, BEANS's random split."""

from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import Archive
from harness.types import Class, Clip

from ._beans import RANDOM, folded, splits_of
from ._files import inside, root_of
from ._metadata import read_table

VARIANTS = ("",)

TABLE = "annotations.csv"
LABELS = ("111", "210", "211", "215", "216", "220", "226", "228", "230", "231")


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="bats",
        version="1",
        target=Class(LABELS),
        splits=splits_of("beans"),
        list_clips=_list_clips,
        clips=10_000,
        folder="bats",
        source=(Archive("https://archive.org/download/egyptian_fruit_bats_10k/egyptian_fruit_bats.zip"),),
        paper="Prat et al. 2017, doi 10.1038/sdata.2017.143",
        licence="unknown",
        description="Calls by their emitter, 1,000 of each; which of them were recorded together is not on record, so "
        "each is its own group, and recordings are in several parts. Most of a call lies above 8 kHz, which an "
        "upstream at 16 kHz does not hear.",
        domain="animals",
        counts=MappingProxyType({"train": 6000, "valid": 2000, "test": 2000}),
        tables=(TABLE,),
        leaks="recording",
        folding=RANDOM,
        benchmarks=MappingProxyType({"BEANS": None}),
        published=MappingProxyType({"beans": {"seconds": 5.0}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "egyptian_fruit_bats", TABLE, "the fruit bats of BEANS")
    clips = []
    for row in read_table(root / TABLE, ("Emitter", "File Name")):
        path = inside(root / "audio", row["File Name"])
        clips.append(Clip(path.stem, path, row["Emitter"], "", path.stem))
    return folded("beans", clips)
