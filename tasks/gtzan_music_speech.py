"""GTZAN music and speech: 128 excerpts of 30 s, one or the other, in ten folds."""

from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, id_of, root_of
from ._splits import hear_folds

VARIANTS = ("",)

LABELS = ("music", "speech")
FOLDS = tuple(f"fold{number:02}" for number in range(10))


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="gtzan_music_speech",
        version="1",
        target=Class(LABELS),
        splits=rotation(FOLDS),
        list_clips=_list_clips,
        clips=128,
        folder="gtzan_music_speech",
        source=(Archive("http://opihi.cs.uvic.ca/sound/music_speech.tar.gz"),),
        paper="Tzanetakis 1999, marsyas.info",
        licence="unknown",
        description="Music of many kinds, and speech; who plays or speaks is not known, so each excerpt is its own "
        "group.",
        domain="music",
        hours=128 * 30 / 3600,
        counts={fold: 13 if fold < "fold08" else 12 for fold in FOLDS},
        folding="HEAR's rule on the authors' file names, since those that HEAR dealt are lost",
        benchmarks={"HEAR": None},
        published=MappingProxyType({"hear": {"seconds": 30.0}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "music_speech", "music_wav", "GTZAN music and speech")
    labels = {path: label for label in LABELS for path in audio_in(root / f"{label}_wav")}
    ids = {id_of(path, root): path for path in labels}
    folds = hear_folds({name: {labels[path]} for name, path in ids.items()}, len(FOLDS))
    clips = (Clip(name, path, labels[path], folds[name], name) for name, path in ids.items())
    return sorted(clips, key=lambda clip: clip.id)
