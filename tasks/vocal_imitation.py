"""Vocal Imitation Set: 5,601 voices imitate 302 sounds, people apart in three folds; or with :hear in every fold."""

from functools import partial
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.folds import grouped_folds
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import id_of, inside, root_of
from ._metadata import read_table
from ._splits import hear_folds
from ._vocal_imitation import LABELS

VARIANTS = ("", "hear")

TABLE = "vocal_imitations.txt"
COLUMNS = ("imitation_filename", "reference_filename", "included", "participant_id")
APART, HEAR = ("1", "2", "3"), ("fold00", "fold01", "fold02")
PUBLISHED = MappingProxyType({"hear": {"seconds": 11.26}, "xares": {"epochs": 20, "rate": 1e-3, "batch": 32}})


def task(variant: str) -> Task:
    """Folds by person, or HEAR's folds by file."""
    hear = variant == "hear"
    return Task(
        name="vocal_imitation:hear" if hear else "vocal_imitation",
        version="1",
        target=Class(LABELS),
        splits=rotation(HEAR if hear else APART),
        list_clips=partial(_list_clips, hear),
        clips=5601,
        folder="vocal_imitation",
        source=(
            Archive(
                "https://zenodo.org/records/1340763/files/VocalImitationSet_v1.1.3.zip",
                checksum="md5:386e7b1487fe0800ade4916c344086bc",
                cited="HEAR's preprocessing (hearsecrettasks/vocal_imitation.py)",
            ),
        ),
        paper="Kim et al. 2018, doi 10.5281/zenodo.1340763",
        licence="CC BY 4.0",
        description="Imitations that the authors included, by the sound that is imitated; groups are the 470 people, "
        + ("who are in every fold." if hear else "who are apart."),
        domain="events",
        counts=dict.fromkeys(HEAR, 1867) if hear else {},
        unconfirmed=frozenset({"licence"}),
        tables=(TABLE,),
        metric="map",
        leaks="participant" if hear else "",
        folding="HEAR's rule on the authors' file names" if hear else "3 grouped, stratified folds (seed 0)",
        benchmarks=MappingProxyType({"HEAR": None, "X-ARES": 1867} if hear else {}),
        published=PUBLISHED,
    )


def _list_clips(hear: bool, folder: Path) -> list[Clip]:
    root = root_of(folder, "VocalImitationSet", TABLE, "the Vocal Imitation Set")
    rows = [row for row in read_table(root / TABLE, COLUMNS, delimiter="\t") if row["included"] == "True"]
    audio = root / "vocal_imitations" / "included"
    paths = [inside(audio, row["imitation_filename"]) for row in rows]
    ids = [id_of(path, audio) for path in paths]
    labels = [row["reference_filename"].removesuffix("_reference.wav") for row in rows]
    people = [row["participant_id"] or name for name, row in zip(ids, rows, strict=True)]
    if hear:
        dealt = hear_folds({path.stem: {label} for path, label in zip(paths, labels, strict=True)}, len(HEAR))
        folds = [dealt[path.stem] for path in paths]
    else:
        folds = grouped_folds(labels, people, folds=len(APART))
    clips = [Clip(*facts) for facts in zip(ids, paths, labels, folds, people, strict=True)]
    return sorted(clips, key=lambda clip: clip.id)
