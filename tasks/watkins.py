"""Watkins, the voices of 31 marine mammals: 1,695 cuts of tapes, which are apart in folds; or with :beans at random."""

import re
from functools import partial
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import Archive
from harness.types import Class, Clip

from ._beans import APART, RANDOM, folded, splits_of
from ._files import id_of, inside, root_of
from ._metadata import read_table

VARIANTS = ("", "beans")

TABLE = "annotations.csv"
#: In the order of BEANS.
LABELS = (
    *("Clymene_Dolphin", "Bottlenose_Dolphin", "Spinner_Dolphin", "Beluga,_White_Whale", "Bearded_Seal"),
    *("Minke_Whale", "Humpback_Whale", "Southern_Right_Whale", "White-sided_Dolphin", "Narwhal"),
    *("White-beaked_Dolphin", "Northern_Right_Whale", "Frasers_Dolphin", "Grampus,_Rissos_Dolphin", "Harp_Seal"),
    *("Atlantic_Spotted_Dolphin", "Fin,_Finback_Whale", "Ross_Seal", "Rough-Toothed_Dolphin", "Killer_Whale"),
    *("Pantropical_Spotted_Dolphin", "Short-Finned_Pacific_Pilot_Whale", "Bowhead_Whale", "False_Killer_Whale"),
    *("Melon_Headed_Whale", "Long-Finned_Pilot_Whale", "Striped_Dolphin", "Leopard_Seal", "Walrus", "Sperm_Whale"),
    "Common_Dolphin",
)
#: Of this species there are but two cuts.
LEFT_OUT = "Weddell_Seal"
#: Two digits for the year and three for the tape, then three signs for the cut.
NUMBER = re.compile(r"(?P<tape>\d{5})[0-9A-Z]{3}")


def task(variant: str) -> Task:
    """Folds by tape, or BEANS's split by clip."""
    beans = variant == "beans"
    return Task(
        name="watkins:beans" if beans else "watkins",
        version="1",
        target=Class(LABELS),
        splits=splits_of(variant),
        list_clips=partial(_list_clips, variant),
        clips=1695,
        folder="watkins",
        source=(Archive("https://archive.org/download/watkins_202104/watkins.zip"),),
        paper="Sayigh et al. 2016, doi 10.1121/2.0000358",
        licence="free for personal and academic use",
        description="The best cuts of the Watkins database, at many sampling rates; groups are the tapes, "
        + ("which are in several parts." if beans else "which are apart, so a species of one tape cannot be learned."),
        domain="animals",
        counts={"train": 1017, "valid": 339, "test": 339} if beans else {},
        unconfirmed=frozenset({"licence"}),
        tables=(TABLE,),
        leaks="tape" if beans else "",
        folding=RANDOM if beans else APART,
        benchmarks=MappingProxyType({"BEANS": None} if beans else {}),
        published=MappingProxyType({"beans": {"seconds": 3.0}}),
    )


def _list_clips(variant: str, folder: Path) -> list[Clip]:
    root = root_of(folder, "watkins", TABLE, "Watkins")
    clips = []
    for row in read_table(root / TABLE, ("path", "species")):
        if row["species"] != LEFT_OUT:
            path = inside(root, row["path"])
            number = NUMBER.fullmatch(path.stem)
            group = number["tape"] if number else path.stem
            clips.append(Clip(id_of(path, root), path, row["species"], "", group))
    return folded(variant, clips)
