"""MAESTRO, piano: the first two minutes of 185 performances with every note, five hours in five folds by pieces."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.errors import UserError
from harness.sources import Archive
from harness.types import Clip, Events

from ._files import id_of, inside, root_of
from ._metadata import read_table
from ._midi import read_notes
from ._splits import hear_folds, hear_sample

VARIANTS = ("",)
TOP = "maestro-v3.0.0"
TABLE = f"{TOP}.csv"

#: The keys of a piano.
PITCHES = range(21, 109)
#: How long a clip is at most, and how many there are in a fold: a quarter of five hours.
SECONDS, MOST = 120.0, 37
FOLDS = tuple(f"fold{number:02}" for number in range(5))


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="maestro",
        version="1",
        target=Events(tuple(map(str, PITCHES)), filters=((0.15, 0.05),)),
        splits=rotation(FOLDS),
        list_clips=_list_clips,
        clips=len(FOLDS) * MOST,
        folder="maestro",
        source=(
            Archive(
                f"https://storage.googleapis.com/magentadata/datasets/maestro/v3.0.0/{TOP}.zip",
                checksum="md5:41941abdcd786c8066d532002e3b79b9",
                cited="HEAR's preprocessing (maestro.py)",
            ),
        ),
        paper="Hawthorne et al. 2019, arXiv 1810.12247",
        licence="CC BY-NC-SA 4.0",
        description="Performances at a piano competition, as many and as long as HEAR takes; groups are the pieces by "
        "composer and title, which HEAR has in several folds. HEAR's own folds are hear:FOLDER.",
        domain="music",
        hours=len(FOLDS) * MOST * SECONDS / 3600,
        counts=dict.fromkeys(FOLDS, MOST),
        tables=(TABLE,),
        metric="note_onset_f",
        folding="pieces are dealt by HEAR's rule, and performances of each fold drawn by it",
        benchmarks={"HEAR": None},
        published=MappingProxyType({"hear": {"seconds": SECONDS}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, TOP, TABLE, "MAESTRO")
    columns = ("canonical_composer", "canonical_title", "midi_filename", "audio_filename", "duration")
    rows = {Path(row["audio_filename"]).stem: row for row in read_table(root / TABLE, columns)}
    pieces = hear_folds({_piece(row): () for row in rows.values()}, len(FOLDS))
    clips = []
    for fold in FOLDS:
        stems = [stem for stem, row in rows.items() if pieces[_piece(row)] == fold]
        clips += [_clip(root, rows[stem], fold) for stem in hear_sample(stems, fold, MOST)]
    return sorted(clips, key=lambda clip: clip.id)


def _piece(row: Mapping[str, str]) -> str:
    return f"{row['canonical_composer']}: {row['canonical_title']}"


def _clip(root: Path, row: Mapping[str, str], fold: str) -> Clip:
    """A performance; that of one whose audio is not there, which is missing, is not read."""
    audio, midi = inside(root, row["audio_filename"]), inside(root, row["midi_filename"])
    stop = min(SECONDS, _seconds(row))
    notes = read_notes(midi, stop) if audio.is_file() else ()
    played = tuple(note for note in notes if int(note.label) in PITCHES)
    return Clip(id_of(audio, root), audio, played, fold, _piece(row), 0.0, stop)


def _seconds(row: Mapping[str, str]) -> float:
    try:
        return float(row["duration"])
    except ValueError as error:
        raise UserError(f"{TABLE} says that {row['audio_filename']} lasts {row['duration']!r} seconds") from error
