"""Dogs: which of ten barks? 693 recordings, sessions apart in five folds; or with :beans at random."""

import re
from functools import partial
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import Archive
from harness.types import Class, Clip

from ._beans import APART, RANDOM, folded, splits_of
from ._files import inside, root_of
from ._metadata import read_table

VARIANTS = ("", "beans")

TABLE = "annotations.csv"
LABELS = ("Farley", "Freid", "Keri", "Louie", "Luke", "Mac", "Roodie", "Rudy", "Siggy", "Zoe")
#: A name and the number of a session, as in ``Mac-3-A-1a.aif`` or ``Freid3-P-2.aif``.
SESSION = re.compile(r"[A-Za-z]+\W*(?P<session>\d+)")


def task(variant: str) -> Task:
    """Folds by session, or BEANS's split by clip."""
    beans = variant == "beans"
    return Task(
        name="dogs:beans" if beans else "dogs",
        version="1",
        target=Class(LABELS),
        splits=splits_of(variant),
        list_clips=partial(_list_clips, variant),
        clips=693,
        folder="dogs",
        source=(Archive("https://archive.org/download/dog_barks/dog_barks.zip"),),
        paper="Yin and McCowan 2004, doi 10.1016/j.anbehav.2003.07.016",
        licence="unknown",
        description="Barks at a bell, alone and at play, by the dog; groups are its sessions, "
        + ("which are in several parts." if beans else "which are apart."),
        domain="animals",
        counts={"train": 415, "valid": 139, "test": 139} if beans else {},
        tables=(TABLE,),
        leaks="session" if beans else "",
        folding=RANDOM if beans else APART,
        benchmarks=MappingProxyType({"BEANS": None} if beans else {}),
        published=MappingProxyType({"beans": {"seconds": 10.0}}),
    )


def _list_clips(variant: str, folder: Path) -> list[Clip]:
    root = root_of(folder, "dogs", TABLE, "the dogs of BEANS")
    clips = []
    for row in read_table(root / TABLE, ("filename", "name")):
        path = inside(root / "audio", row["filename"])
        session = SESSION.match(path.name)
        group = f"{row['name']} {session['session']}" if session else path.name
        clips.append(Clip(path.name, path, row["name"], "", group))
    return folded(variant, clips)
