"""The task contract: a frozen record, and one function that lists clips."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.types import Class, Clip, Split


@dataclass(frozen=True)
class Archive:
    """A zip or tar file on the net that holds the data."""

    url: str


@dataclass(frozen=True)
class Task:
    """A labelled set of clips with its official splits.

    ``list_clips`` takes the task's data folder and gives every clip that the data set's own metadata names, sorted by
    id; it does not open audio. ``clips`` is how many there must be, ``spanning`` the groups that are known to lie in
    more than one fold. ``source`` is an archive to fetch, or a function that makes the data in an empty folder.
    ``folder`` is the name of the data's folder.
    """

    name: str
    version: str
    target: Class
    splits: tuple[Split, ...]
    list_clips: Callable[[Path], list[Clip]]
    clips: int
    folder: str
    source: Archive | Callable[[Path], None] | None
    paper: str
    licence: str
    description: str = ""
    spanning: frozenset[str] = frozenset()
    metric: str = "accuracy"


@dataclass(frozen=True)
class LoadedTask:
    """A task's record together with its clips."""

    record: Task
    clips: tuple[Clip, ...]


def rotation(folds: Sequence[str]) -> tuple[Split, ...]:
    """One split per fold: fold i tests, fold i+1 (around the corner) chooses, the others train."""
    n = len(folds)
    if n < 3:
        raise ValueError(f"a rotation takes three folds or more, not {n}")
    return tuple(
        Split(
            train=tuple(folds[j] for j in range(n) if j not in (i, (i + 1) % n)),
            valid=(folds[(i + 1) % n],),
            test=(folds[i],),
        )
        for i in range(n)
    )


def load_clips(task: Task, folder: Path) -> list[Clip]:
    """List the task's clips and check that they are what the record says.

    Raises:
        UserError: clips are missing, doubled, wrongly labelled, or a group leaks from one fold into another.
    """
    clips = task.list_clips(folder)
    if len(clips) < task.clips:
        raise UserError(
            f"{task.name} has {task.clips:,} clips, but the metadata in {folder} names {len(clips):,}: "
            f"{task.clips - len(clips):,} are missing; choose another variant, or remove that folder and get the "
            f"whole data set with `harness data fetch {task.name}`"
        )
    if len(clips) > task.clips:
        raise UserError(f"{task.name} has {task.clips:,} clips, but the metadata in {folder} names {len(clips):,}")
    missing = [clip for clip in clips if not clip.path.is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(clips)} audio files of {task.name} are missing, the first is {missing[0].path}; "
            f"`harness data verify {task.name}` names them all"
        )
    check_clips(task, clips)
    return clips


def check_clips(task: Task, clips: Sequence[Clip]) -> None:
    """Hold clips against their task's record.

    Ids, labels, folds, and no group in two folds unless the record says so.
    """
    ids = Counter(clip.id for clip in clips)
    if doubled := [name for name, times in ids.items() if times > 1]:
        raise UserError(f"{task.name} names the clip {doubled[0]!r} more than once")
    if strange := {clip.target for clip in clips} - set(task.target.labels):
        raise UserError(f"{task.name} does not know the label {min(strange)!r}")
    folds = {fold for split in task.splits for fold in (*split.train, *split.valid, *split.test)}
    if odd := {clip.fold for clip in clips} ^ folds:
        raise UserError(f"{task.name} has no use for, or no clips in, fold {min(odd)!r}")
    for split in task.splits:
        used = (*split.train, *split.valid, *split.test)
        if len(set(used)) < len(used) or not (split.train and split.valid and split.test):
            raise UserError(f"{task.name} has a split whose training, validation and test folds are not kept apart")
    where = spanning_groups(clips)
    if leaks := sorted(set(where) - task.spanning):
        raise UserError(
            f"the groups of {task.name} leak: {leaks[0]!r} is in the folds {', '.join(sorted(where[leaks[0]]))} "
            f"({len(leaks)} such groups)"
        )


def spanning_groups(clips: Sequence[Clip]) -> dict[str, set[str]]:
    """The groups that lie in more than one fold, and in which."""
    where: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        where[clip.group].add(clip.fold)
    return {group: folds for group, folds in where.items() if len(folds) > 1}
