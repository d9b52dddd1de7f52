"""FMA small, music of eight genres: 7,994 excerpts of 30 s from the Free Music Archive, official split by artists."""

from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import root_of
from ._metadata import each_row
from ._splits import PARTS

VARIANTS = ("",)
TABLE = "fma_metadata/tracks.csv"
#: The columns that are read, as two lines name them; the first has the track's number, and no name.
TRACK, SUBSET, SPLIT, GENRE, ARTIST = COLUMNS = ("", "set.subset", "set.split", "track.genre_top", "artist.id")

LABELS = ("Electronic", "Experimental", "Folk", "Hip-Hop", "Instrumental", "International", "Pop", "Rock")
PART = MappingProxyType({"training": "train", "validation": "valid", "test": "test"})
#: Tracks of which the archive has less than two seconds, or nothing.
CUT_SHORT = frozenset(("98565", "98567", "98569", "99134", "108925", "133297"))
ADDRESS = "https://os.unil.cloud.switch.ch/fma/"


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="fma_small",
        version="1",
        target=Class(LABELS),
        splits=PARTS,
        list_clips=_list_clips,
        clips=7994,
        folder="fma_small",
        source=(Archive(f"{ADDRESS}fma_metadata.zip"), Archive(f"{ADDRESS}fma_small.zip")),
        paper="Defferrard et al. 2017, arXiv 1612.01840",
        licence="each track its own, metadata CC BY 4.0",
        description="Excerpts from the middle of songs; groups are the artists. Six tracks that the archive cut short "
        "are left out.",
        domain="music",
        hours=7994 * 30 / 3600,
        tables=(Path(TABLE).name,),
        benchmarks=MappingProxyType({"ARCH": None, "X-ARES": 800}),
        published=MappingProxyType({"arch": {"seconds": 30.0}, "xares": {"epochs": 3, "rate": 1e-3, "batch": 32}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "fma", TABLE, "FMA small")
    rows = each_row(root / TABLE, COLUMNS, heads=2)
    clips = [_clip(root, row) for row in rows if row[SUBSET] == "small" and row[TRACK] not in CUT_SHORT]
    return sorted(clips, key=lambda clip: clip.id)


def _clip(root: Path, row: dict[str, str]) -> Clip:
    name = f"{int(row[TRACK]):06}"
    path = root / "fma_small" / name[:3] / f"{name}.mp3"
    return Clip(f"{name[:3]}/{name}", path, row[GENRE], PART.get(row[SPLIT], row[SPLIT]), row[ARTIST])
