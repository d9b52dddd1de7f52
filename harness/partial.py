"""A part of a task: the clips whose audio is there, and the splits that can be done with them."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from harness.datasets import Task, check_clips, check_folds, some
from harness.errors import UserError
from harness.types import Clip, Split


class Present(NamedTuple):
    """The clips that are there, the task with the splits that can be done with them, and whether that is all of it."""

    task: Task
    clips: list[Clip]
    whole: bool


def load_present(task: Task, folder: Path) -> Present:
    """List what is there of a task, and check all but its number as :func:`harness.datasets.load_clips` does.

    Raises:
        UserError: no split has clips to train, choose and score by, or they are not what the task's record says.
    """
    listed = task.list_clips(folder)
    clips = [clip for clip in listed if clip.path.is_file()]
    if not clips:
        raise UserError(f"no clip of {task.name} is in {folder}: --partial needs some of them")
    check_folds(task, clips, partial=True)
    there = {clip.fold for clip in clips}
    splits = tuple(kept for split in task.splits if (kept := _kept(split, there)) is not None)
    if not splits:
        raise UserError(
            f"the {len(clips):,} clips of {task.name} in {folder} lie in {some(sorted(there))}, and no split of the "
            "task can train, choose and score with these alone: add clips of other folds"
        )
    narrowed = replace(task, splits=splits)
    used = {fold for split in splits for fold in (*split.train, *split.valid, *split.test)}
    clips = [clip for clip in clips if clip.fold in used]
    check_clips(narrowed, clips)
    return Present(narrowed, clips, len(clips) == len(listed) == (task.clips or len(listed)) and splits == task.splits)


def _kept(split: Split, there: Collection[str]) -> Split | None:
    """The split with the folds that are there, if each of its three parts has one."""
    train, valid, test = (tuple(f for f in part if f in there) for part in (split.train, split.valid, split.test))
    return Split(train, valid, test) if train and valid and test else None
