"""What the tasks of a user's own audio share: folds where none are given, and the record."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.datasets import Task, rotation
from harness.errors import UserError
from harness.folds import grouped_folds, rarest
from harness.types import Class, Clip, Split, Tags

SEED = 0
MADE = f"grouped, stratified folds (seed {SEED})"
#: The words for a split's parts.
PARTS = {
    "train": "train",
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    "test": "test",
}


Folded = tuple[tuple[Split, ...], list[Clip], str]
"""Splits, the clips with their folds, and how the folds came about."""


def own_task(kind: str, place: Path, digest: str, clips: list[Clip], *, folds: str, groups: str) -> Task:
    """The record of a user's own table or folder.

    ``digest`` is a SHA-256 in hex. ``folds`` says, in a word of :data:`FOLDS`, what the clips' folds are. ``groups``
    says what a group is. Of ``place``, the file or folder, only the base name is shown.

    Raises:
        UserError: there are too few folds, parts, groups or labels.
    """
    name = f"{kind}:{place.name}"
    splits, clips, folding = FOLDS[folds](name, clips)
    target = _target(clips)
    if len(target.labels) < (2 if isinstance(target, Class) else 1):
        raise UserError(f"{name} has {len(target.labels)} label(s), {', '.join(target.labels)}: give it two or more")
    clips = sorted(clips, key=lambda clip: clip.id)
    return Task(
        name=f"{name}@{digest[:8]}",
        version=digest[:16],
        target=target,
        splits=splits,
        list_clips=lambda folder: [replace(clip, path=folder / clip.path) for clip in clips],
        clips=len(clips),
        folder=place if place.is_dir() else place.parent,
        source=None,
        paper="",
        licence="unknown",
        description=f"Audio of your own; {folding}; {groups}.",
        folding=f"{folding}; {groups}",
    )


def absolute(text: str) -> Path:
    """A path without its links resolved: its base name is the one that the user gave."""
    return Path(os.path.abspath(text))  # noqa: PTH100 (Path.absolute keeps `..`)


def _target(clips: Sequence[Clip]) -> Class | Tags:
    if any(isinstance(clip.target, tuple) for clip in clips):
        return Tags(tuple(sorted({tag for clip in clips for tag in _tags(clip)})))
    return Class(tuple(sorted({str(clip.target) for clip in clips})))


def _tags(clip: Clip) -> tuple[str, ...]:
    return tuple(map(str, clip.target)) if isinstance(clip.target, tuple) else (str(clip.target),)


def _given_folds(name: str, clips: list[Clip]) -> Folded:
    folds = sorted({clip.fold for clip in clips}, key=_natural)
    if len(folds) < 3:
        raise UserError(
            f"{name} has {len(folds)} fold(s), {', '.join(folds)}: folds take turns in training, choosing and scoring, "
            "so give three or more, or write train, valid and test into a column split"
        )
    return rotation(folds), clips, f"{len(folds)} folds, as given"


def _given_split(name: str, clips: list[Clip]) -> Folded:
    parts = {clip.fold for clip in clips}
    if missing := [part for part in ("train", "test") if part not in parts]:
        raise UserError(f"{name} has no clip in {missing[0]}: a split has train and test, and valid if you like")
    rule = "one split, as given"
    if "valid" not in parts:
        train = _dealt(name, [clip for clip in clips if clip.fold == "train"])
        rule += f", but valid is one of {len({clip.fold for clip in train})} {MADE} of train"
        train = [replace(clip, fold="valid" if clip.fold == "1" else "train") for clip in train]
        clips = train + [clip for clip in clips if clip.fold == "test"]
    return (Split(("train",), ("valid",), ("test",)),), clips, rule


def _made_folds(name: str, clips: list[Clip]) -> Folded:
    dealt = _dealt(name, clips)
    folds = sorted({clip.fold for clip in dealt})
    return rotation(folds), dealt, f"{len(folds)} {MADE}"


def _dealt(name: str, clips: list[Clip]) -> list[Clip]:
    try:
        folds = grouped_folds(rarest([_tags(clip) for clip in clips]), [clip.group for clip in clips], seed=SEED)
    except UserError as error:
        raise UserError(f"{name} has too few groups: {error}") from error
    return [replace(clip, fold=fold) for clip, fold in zip(clips, folds, strict=True)]


def _natural(text: str) -> tuple[object, ...]:
    """A key that puts 10 behind 9."""
    parts = re.split("([0-9]+)", text)
    return (*(int(part) if i % 2 else part for i, part in enumerate(parts)), text)


#: What a clip's fold is at first: nothing yet, one of several that take turns, or a part of one split.
FOLDS: dict[str, Callable[[str, list[Clip]], Folded]] = {
    "": _made_folds,
    "fold": _given_folds,
    "split": _given_split,
}
