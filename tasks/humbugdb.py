"""HumBugDB: which mosquito hums? 9,295 clips in 14 classes, recordings apart in folds; or with :beans at random."""

from functools import partial
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.errors import UserError
from harness.sources import Archive
from harness.types import Class, Clip

from ._beans import APART, RANDOM, folded, splits_of
from ._files import inside, root_of
from ._metadata import read_table

VARIANTS = ("", "beans")

TABLE = "data/metadata/neurips_2021_zenodo_0_0_1.csv"
AUTHORS = f"https://raw.githubusercontent.com/HumBug-Mosquito/HumBugDB/HEAD/{TABLE}"
ADDRESS = "https://zenodo.org/records/4904800/files/"
NONE, RARE = "non-mosquito", "others"
#: In the order of BEANS; the species that are not among them have a hundred clips or fewer.
LABELS = (
    *(NONE, "an arabiensis", RARE, "an gambiae ss", "culex quinquefasciatus", "culex pipiens complex"),
    *("an funestus ss", "an squamosus", "ma uniformis", "an dirus", "ae aegypti", "an harrisoni", "an maculatus"),
    "an funestus sl",
)
#: BEANS hears so many seconds of a clip; one that is hardly longer is heard whole.
SECONDS, HARDLY = 3.0, 0.1


def task(variant: str) -> Task:
    """Folds by recording, or BEANS's split by clip."""
    beans = variant == "beans"
    return Task(
        name="humbugdb:beans" if beans else "humbugdb",
        version="1",
        target=Class(LABELS),
        splits=splits_of(variant),
        list_clips=partial(_list_clips, variant),
        clips=9295,
        folder="humbugdb",
        source=(
            Archive(AUTHORS, into=str(Path(TABLE).parent), loose=True),
            *(Archive(f"{ADDRESS}humbugdb_neurips_2021_{part}.zip", into="data/audio") for part in (1, 2, 3, 4)),
        ),
        paper="Kiskin et al. 2021, arXiv 2110.07607",
        licence="CC BY 4.0",
        description="The first 3 s of each clip, as BEANS hears it; 787 of the 3,287 clips of no mosquito are of one "
        "whose species is not given; groups are the recordings by their names, "
        + ("which are in several parts." if beans else "which are apart."),
        domain="animals",
        counts={"train": 5577, "valid": 1859, "test": 1859} if beans else {},
        unconfirmed=frozenset({"licence"}),
        tables=(Path(TABLE).name,),
        leaks="recording" if beans else "",
        folding=RANDOM if beans else APART,
        benchmarks=MappingProxyType({"BEANS": None} if beans else {}),
        published=MappingProxyType({"beans": {"seconds": SECONDS}}),
    )


def _list_clips(variant: str, folder: Path) -> list[Clip]:
    root = root_of(folder, ("HumBugDB", "HumBugDB-master", "HumBugDB-main"), TABLE, "HumBugDB")
    rows = read_table(root / TABLE, ("id", "length", "name", "species"))
    return folded(variant, [_clip(root, row) for row in rows])


def _clip(root: Path, row: dict[str, str]) -> Clip:
    name, species = row["id"], row["species"] or NONE
    path = inside(root / "data" / "audio", f"{name}.wav")
    label = species if species in LABELS else RARE
    return Clip(name, path, label, "", row["name"], stop=_stop(root, row))


def _stop(root: Path, row: dict[str, str]) -> float | None:
    try:
        return SECONDS if float(row["length"]) > SECONDS + HARDLY else None
    except ValueError as error:
        raise UserError(
            f"{root / TABLE} gives the clip {row['id']} the length {row['length']!r}, which is no number of seconds"
        ) from error
