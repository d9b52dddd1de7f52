"""Cornell Bird Identification: 21,375 recordings of 264 species from xeno-canto, BEANS's split by recordist."""

import random
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import ByHand
from harness.types import Class, Clip

from ._cbi import LABELS
from ._files import inside, root_of
from ._metadata import read_table
from ._splits import PARTS

VARIANTS = ("",)

TABLE = "train.csv"
#: BEANS hears so many seconds of a recording; durations are rounded, so one that may be no longer is heard whole.
SECONDS = 10.0


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="cbi",
        version="1",
        target=Class(LABELS),
        splits=PARTS,
        list_clips=_list_clips,
        clips=21_375,
        folder="cbi",
        source=ByHand(
            "accept the rules of https://www.kaggle.com/c/birdsong-recognition and download its data",
            f"{TABLE} and the folder train_audio",
        ),
        paper="Howard et al. 2020, https://www.kaggle.com/c/birdsong-recognition",
        licence="Creative Commons, each recording its own",
        description="The first 10 s of each recording, as BEANS hears it; groups are the recordists, who are apart; "
        "not every species is in every part.",
        domain="animals",
        counts=MappingProxyType({"train": 14_207, "valid": 3548, "test": 3620}),
        unconfirmed=frozenset({"clips", "counts", "licence"}),
        tables=(TABLE,),
        folding="BEANS's: three fifths, a fifth and a fifth of the recordists at random (seed 42)",
        benchmarks=MappingProxyType({"BEANS": None}),
        published=MappingProxyType({"beans": {"seconds": SECONDS}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, ("birdsong-recognition", "cbi"), TABLE, "Cornell Bird Identification")
    rows = read_table(root / TABLE, ("ebird_code", "filename", "recordist", "duration"))
    parts = _parts([row["recordist"] for row in rows])
    clips = []
    for row in rows:
        path = inside(root / "train_audio" / row["ebird_code"], row["filename"])
        stop = SECONDS if row["duration"].isdecimal() and int(row["duration"]) > SECONDS else None
        clips.append(Clip(path.stem, path, row["ebird_code"], parts[row["recordist"]], row["recordist"], stop=stop))
    return sorted(clips, key=lambda clip: clip.id)


def _parts(recordists: list[str]) -> dict[str, str]:
    """BEANS's part of each recordist, shuffled from the order in which they first appear (``scripts/cbi.py``)."""
    people = list(dict.fromkeys(recordists))
    random.Random(42).shuffle(people)
    first, second = int(0.6 * len(people)), int(0.8 * len(people))
    return {who: "train" if i < first else "valid" if i < second else "test" for i, who in enumerate(people)}
