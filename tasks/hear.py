"""Any of HEAR's tasks as it is published, preprocessed: hear:FOLDER, with task_metadata.json in it."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.datasets import Task, rotation
from harness.errors import UserError, choices
from harness.types import Class, Clip, Events, Label, SoundEvent, Split, Tags, Target

from ._files import inside
from ._metadata import read_json, read_table
from ._splits import PARTS
from ._tables import absolute

ARGUMENT = "FOLDER"
GUIDE = {
    "FOLDER": "an unpacked archive of HEAR (doi 10.5281/zenodo.5885750), such as tasks/esc50-v2.0.0-full",
    "in it": "task_metadata.json, labelvocabulary.csv, a JSON file for each of train, valid, test or fold00, fold01, "
    "..., and the audio in RATE/PART/; of several rates the highest is read",
    "groups": "each file is its own, since HEAR's archives do not tell of speakers and the like",
}
METADATA, VOCABULARY = "task_metadata.json", "labelvocabulary.csv"
#: HEAR's names of metrics.
METRICS = {
    "top1_acc": "accuracy",
    "pitch_acc": "pitch_accuracy",
    "chroma_acc": "chroma_accuracy",
    "mAP": "map",
    "aucroc": "auroc",
    "d_prime": "d_prime",
    "event_onset_200ms_fms": "event_onset_f",
    "event_onset_50ms_fms": "note_onset_f",
}


def task(text: str) -> Task:
    """The task of a folder.

    Raises:
        UserError: it is not laid out as HEAR does.
    """
    root = absolute(text)
    if not (root / METADATA).is_file():
        raise UserError(
            f"there is no {METADATA} in {text!r}: give the folder of one task, unpacked from HEAR's archive"
        )
    metadata = read_json(root / METADATA)
    parts = _parts(root)
    labels = [row["label"] for row in read_table(root / VOCABULARY, ("idx", "label"))]
    digest = hashlib.sha256(b"".join((root / f"{part}.json").read_bytes() for part in parts)).hexdigest()
    target = _target(metadata, labels)
    return Task(
        name=f"hear:{root.name}@{digest[:8]}",
        version=digest[:16],
        target=target,
        splits=PARTS if "train" in parts else rotation(parts),
        list_clips=partial(_list_clips, target, parts),
        clips=None,
        folder=root,
        source=None,
        paper="Turian et al. 2022, arXiv 2203.03022",
        licence="unknown",
        description=f"{metadata.get('task_name', root.name)} as HEAR preprocessed it; each file is its own group.",
        metric=_metric(metadata),
        folding="HEAR's own; each file is its own group",
        published=MappingProxyType({"hear": _length(metadata)}),
    )


def _length(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    seconds = metadata.get("sample_duration")
    return {"seconds": float(seconds)} if seconds else {}


def _parts(root: Path) -> tuple[str, ...]:
    folds = tuple(sorted(path.stem for path in root.glob("fold[0-9][0-9].json")))
    if folds and len(folds) < 3:
        raise UserError(f"{root} has {len(folds)} folds: three or more are needed to train, choose and score")
    parts = folds or Split(("train",), ("valid",), ("test",))
    names = parts if isinstance(parts, tuple) else ("train", "valid", "test")
    if missing := [name for name in names if not (root / f"{name}.json").is_file()]:
        raise UserError(f"there is no {missing[0]}.json in {root}: was its archive unpacked to its end?")
    return names


def _target(metadata: Mapping[str, Any], labels: Sequence[str]) -> Target:
    kind, many = metadata.get("embedding_type"), metadata.get("prediction_type")
    if kind == "event":
        return Events(tuple(labels))
    if kind == "scene" and many in ("multiclass", "multilabel"):
        return Class(tuple(labels)) if many == "multiclass" else Tags(tuple(labels))
    raise UserError(f"{METADATA} has embedding_type {kind!r} and prediction_type {many!r}, which HEAR does not have")


def _metric(metadata: Mapping[str, Any]) -> str:
    """The first of the task's metrics, which is HEAR's primary one."""
    first = next(iter(metadata.get("evaluation", ())), "")
    if first and first not in METRICS:
        raise UserError(f"{METADATA} asks for the metric {first!r}: {choices(first, METRICS)}")
    return METRICS.get(first, "")


def _list_clips(target: Target, parts: Sequence[str], root: Path) -> list[Clip]:
    rates = sorted(int(path.name) for path in root.iterdir() if path.is_dir() and path.name.isdecimal())
    if not rates:
        raise UserError(f"there is no audio in {root}: it lies in a folder that is named by its rate, such as 48000")
    clips = []
    for part in parts:
        for name, given in read_json(root / f"{part}.json").items():
            path = inside(root / str(rates[-1]) / part, name)
            clips.append(Clip(Path(name).stem, path, _label(target, name, given), part, name))
    return sorted(clips, key=lambda clip: clip.id)


def _label(target: Target, name: str, given: Sequence[Any]) -> Label:
    """A clip's target; HEAR writes some labels as numbers, and times in milliseconds."""
    if isinstance(target, Events):
        events = [SoundEvent(str(each["label"]), each["start"] / 1000, each["end"] / 1000) for each in given]
        return tuple(sorted(events, key=lambda event: (event.onset, event.offset)))
    labels = tuple(dict.fromkeys(map(str, given)))
    if isinstance(target, Tags):
        return labels
    if len(labels) != 1:
        raise UserError(f"the clip {name!r} has {len(labels)} labels, and the task is one of a single label")
    return labels[0]
