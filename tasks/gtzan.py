"""GTZAN, music genres: 930 tracks of 30 s without its faults, artists apart; or with :hear all 1,000 in ten folds."""

from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import root_of
from ._gtzan import TRACKS
from ._splits import PARTS, hear_folds

VARIANTS = ("", "hear")

LABELS = tuple(TRACKS)
PART = {"t": "train", "v": "valid", "e": "test"}
FOLDS = tuple(f"fold{number:02}" for number in range(10))
PUBLISHED = MappingProxyType({"evar": {"seconds": 30.0}})
HEAR = MappingProxyType({"hear": {"seconds": 30.0}, "xares": {"epochs": 10, "rate": 1e-3, "batch": 32}})


def task(variant: str) -> Task:
    """The fault-filtered split, or HEAR's random folds of everything."""
    hear = variant == "hear"
    return Task(
        name="gtzan:hear" if hear else "gtzan",
        version="1",
        target=Class(LABELS),
        splits=rotation(FOLDS) if hear else PARTS,
        list_clips=_list_all if hear else _list_filtered,
        clips=1000 if hear else 930,
        folder="gtzan",
        source=(
            Archive(
                "http://opihi.cs.uvic.ca/sound/genres.tar.gz",
                checksum="md5:5b3d6dddb579ab49814ab86dba69e7c7",
                cited="mirdata (gtzan_genre)",
            ),
        ),
        paper="Tzanetakis and Cook 2002, doi 10.1109/TSA.2002.800560",
        licence="unknown",
        description="Excerpts of music; "
        + (
            "folds are random, and repetitions and artists lie in several."
            if hear
            else "the split of Kereliuk et al. 2015 keeps artists apart and leaves out repetitions and wrong labels."
        ),
        domain="music",
        hours=1000 * 30 / 3600 if hear else 930 * 30 / 3600,
        counts=dict.fromkeys(FOLDS, 100) if hear else {"train": 443, "valid": 197, "test": 290},
        may_lack=frozenset({"jazz/jazz.00054"}),
        leaks="artist" if hear else "",
        folding="HEAR's rule on the authors' file names, since those that HEAR dealt are lost" if hear else "",
        benchmarks={"HEAR": None, "X-ARES": 100} if hear else {"EVAR": None},
        published=HEAR if hear else PUBLISHED,
    )


def _list_filtered(folder: Path) -> list[Clip]:
    root = _root(folder)
    return [
        _clip(root, genre, number, PART[letter])
        for genre, letters in TRACKS.items()
        for number, letter in enumerate(letters)
        if letter in PART
    ]


def _list_all(folder: Path) -> list[Clip]:
    root = _root(folder)
    stems = {f"{genre}.{number:05}": {genre} for genre in LABELS for number in range(100)}
    folds = hear_folds(stems, len(FOLDS))
    return [_clip(root, genre, number, folds[f"{genre}.{number:05}"]) for genre in LABELS for number in range(100)]


def _root(folder: Path) -> Path:
    return root_of(folder, ("genres", "genres_original", "Data/genres_original"), "blues", "GTZAN")


def _clip(root: Path, genre: str, number: int, fold: str) -> Clip:
    """A track, in the authors' AU or the WAV of copies; who plays is not known, so each is its own group."""
    stem = f"{genre}.{number:05}"
    original = root / genre / f"{stem}.au"
    path = original if original.is_file() else original.with_suffix(".wav")
    return Clip(id=f"{genre}/{stem}", path=path, target=genre, fold=fold, group=stem)
