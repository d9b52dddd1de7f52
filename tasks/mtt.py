"""MagnaTagATune, music with the fifty tags used most: 21,105 excerpts of 29 s, MusiCNN's split; :all keeps untagged."""

import re
from functools import partial
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import Archive
from harness.types import Clip, Tags

from ._files import inside, root_of
from ._metadata import read_table
from ._splits import PARTS

VARIANTS = ("", "all")
TABLE = "annotations_final.csv"
ADDRESS = "https://mirg.city.ac.uk/datasets/magnatagatune/"

#: MusiCNN's order.
LABELS = (
    *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano"),
    *("ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing"),
    *("vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop"),
    *("soft", "sitar", "solo", "man", "classic", "choir", "voice", "new age", "dance", "male voice"),
    *("female vocal", "beats", "harp", "cello", "no voice", "weird", "country", "metal", "female voice", "choral"),
)
#: MusiCNN's split: which of the sixteen folders train, choose and score.
PART = MappingProxyType({**dict.fromkeys("0123456789ab", "train"), "c": "valid", **dict.fromkeys("def", "test")})
#: One is not in the archive, and two cannot be decoded.
LEFT_OUT = frozenset(("35644", "55753", "57881"))
#: The seconds that an excerpt is cut from, at the end of its name.
SECONDS = re.compile(r"-\d+-\d+$")
COUNTS = {
    "": {"train": 15_244, "valid": 1529, "test": 4332},
    "all": {"train": 18_706, "valid": 1825, "test": 5329},
}


def task(variant: str) -> Task:
    """The excerpts with any of the tags, as ARCH and MARBLE have them, or with MusiCNN those without one, too."""
    clips = sum(COUNTS[variant].values())
    return Task(
        name="mtt:all" if variant else "mtt",
        version="1",
        target=Tags(LABELS),
        splits=PARTS,
        list_clips=partial(_list_clips, bool(variant)),
        clips=clips,
        folder="mtt",
        source=(
            Archive(f"{ADDRESS}{TABLE}", loose=True),
            Archive(f"{ADDRESS}mp3.zip.001", more=(f"{ADDRESS}mp3.zip.002", f"{ADDRESS}mp3.zip.003")),
        ),
        paper="Law et al. 2009, ISMIR, 387-392",
        licence="CC BY-NC-SA 1.0",
        description="Excerpts of songs with the tags that players of a game agreed on; groups are the songs. "
        + (
            "Those without a tag of the fifty are kept."
            if variant
            else "Those without a tag of the fifty are left out."
        ),
        domain="music",
        hours=clips * 29.1 / 3600,
        counts=COUNTS[variant],
        unconfirmed=frozenset({"licence"} if variant else {"licence", "clips", "counts"}),
        tables=(TABLE,),
        folding="MusiCNN's: folders 0 to b train, c chooses, d to f score",
        benchmarks={} if variant else {"ARCH": None, "MARBLE": None},
        published={} if variant else {"arch": {"seconds": 30.0}},
    )


def _list_clips(untagged: bool, folder: Path) -> list[Clip]:
    root = root_of(folder, "MagnaTagATune", TABLE, "MagnaTagATune")
    rows = read_table(root / TABLE, ("clip_id", "mp3_path", *LABELS), delimiter="\t")
    clips = [_clip(root, row) for row in rows if row["clip_id"] not in LEFT_OUT]
    return sorted((clip for clip in clips if untagged or clip.target), key=lambda clip: clip.id)


def _clip(root: Path, row: dict[str, str]) -> Clip:
    name = PurePosixPath(row["mp3_path"]).with_suffix("").as_posix()
    place = name.partition("/")[0]
    tags = tuple(label for label in LABELS if row[label] == "1")
    return Clip(name, inside(root, row["mp3_path"]), tags, PART.get(place, place), SECONDS.sub("", name))
