"""The task contract: a frozen record, and one function that lists clips."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.errors import UserError
from harness.types import Class, Clip, Events, Slots, SoundEvent, Split, Tags, Target, Trial, Trials, Value


@dataclass(frozen=True)
class Archive:
    """A zip or tar file on the net that holds the data."""

    url: str


@dataclass(frozen=True)
class Task:
    """A labelled set of clips with its official splits.

    ``list_clips`` takes the task's data folder and gives every clip that the data set's own metadata names, sorted by
    id; it does not open audio. ``list_trials`` does so for pairs of clips. ``clips`` is how many there must be, None
    where any number will do. ``source`` is an archive to fetch, or a function that makes the data in an empty folder.
    ``folder`` is the name of the data's folder, or as an absolute path the place where they lie whatever the user says.

    ``metric`` is the primary one, empty for the usual one of the target's kind. ``spanning`` are the few groups that
    are known to lie in more than one fold; ``leaks`` says what does so wholesale, such as ``speaker``, and then no
    group is checked. ``folding`` says how folds were made that nobody had given. ``published`` is what benchmarks
    prescribe for this task alone, by their names.
    """

    name: str
    version: str
    target: Target
    splits: tuple[Split, ...]
    list_clips: Callable[[Path], list[Clip]]
    clips: int | None
    folder: str | Path
    source: Archive | Callable[[Path], None] | None
    paper: str
    licence: str
    description: str = ""
    metric: str = ""
    spanning: frozenset[str] = frozenset()
    leaks: str = ""
    folding: str = ""
    published: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    list_trials: Callable[[Path], list[Trial]] | None = None


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
    if task.clips is not None and len(clips) < task.clips:
        raise UserError(
            f"{task.name} has {task.clips:,} clips, but the metadata in {folder} names {len(clips):,}: "
            f"{task.clips - len(clips):,} are missing; choose another variant, or remove that folder and get the "
            f"whole data set with `harness data fetch {task.name}`"
        )
    if task.clips is not None and len(clips) > task.clips:
        raise UserError(f"{task.name} has {task.clips:,} clips, but the metadata in {folder} names {len(clips):,}")
    missing = [clip for clip in clips if not clip.path.is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(clips)} audio files of {task.name} are missing, the first is {missing[0].path}; "
            f"`harness data verify` names them all"
        )
    check_clips(task, clips)
    return clips


def load_trials(task: Task, folder: Path, clips: Sequence[Clip]) -> list[Trial]:
    """List the trials of a task of that kind and check them against all its clips.

    Raises:
        UserError: a trial names a clip that is not there or not tested, says of two speakers that they are one or the
            reverse, or all trials have the same answer.
    """
    if task.list_trials is None:
        raise UserError(f"{task.name} asks for a speaker's sameness, but lists no trials")
    trials = task.list_trials(folder)
    known = {clip.id: clip for clip in clips}
    tested = {fold for split in task.splits for fold in split.test}
    for trial in trials:
        for name in (trial.one, trial.other):
            if name not in known:
                raise UserError(f"a trial of {task.name} names the clip {name!r}, which is not there")
            if known[name].fold not in tested:
                raise UserError(f"a trial of {task.name} names the clip {name!r}, which is in no test fold")
        if trial.same != (known[trial.one].target == known[trial.other].target):
            raise UserError(f"a trial of {task.name} is wrong of the speakers of {trial.one!r} and {trial.other!r}")
    if {trial.same for trial in trials} != {True, False}:
        raise UserError(f"the trials of {task.name} must be of one speaker in some and of two in others")
    return trials


def check_clips(task: Task, clips: Sequence[Clip]) -> None:
    """Hold clips against their task's record.

    Ids, labels, folds, and no group in two folds unless the record says so.

    Raises:
        UserError: something differs; the sentence names it.
    """
    ids = Counter(clip.id for clip in clips)
    if doubled := [name for name, times in ids.items() if times > 1]:
        raise UserError(f"{task.name} names the clip {doubled[0]!r} more than once")
    for clip in clips:
        if wanted := _misfit(task.target, clip.target):
            raise UserError(f"{task.name} labels the clip {clip.id!r} with {clip.target!r}, which must be {wanted}")
    if strange := _used(task.target, clips) - _known(task.target):
        raise UserError(f"{task.name} does not know the label {min(strange)!r}")
    folds = {fold for split in task.splits for fold in (*split.train, *split.valid, *split.test)}
    if odd := {clip.fold for clip in clips} ^ folds:
        raise UserError(f"{task.name} has no use for, or no clips in, fold {min(odd)!r}")
    where = {} if task.leaks else spanning_groups(clips)
    if leaks := sorted(set(where) - task.spanning):
        named = _some(f"{group!r} (folds {', '.join(sorted(where[group]))})" for group in leaks)
        raise UserError(
            f"{len(leaks)} group(s) of {task.name} lie in more than one fold, so that a head would be tested on what "
            f"it has learned from: {named}; move each into one fold, or leave the folds of your own table out and "
            "have them made"
        )


def spanning_groups(clips: Sequence[Clip]) -> dict[str, set[str]]:
    """The groups that lie in more than one fold, and in which."""
    where: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        where[clip.group].add(clip.fold)
    return {group: folds for group, folds in where.items() if len(folds) > 1}


def remarks(task: Task, clips: Sequence[Clip]) -> list[str]:
    """What is allowed and must be told, in sentences: labels that a split cannot learn, choose by or score."""
    if not isinstance(task.target, Class | Tags | Slots):
        return []
    absent = absent_labels(task, clips)
    said = [f"{_labels(absent)} no clip at all"] if absent else []
    for number, split in enumerate(task.splits, 1):
        train, valid, test = (
            _used(task.target, [clip for clip in clips if clip.fold in part])
            for part in (split.train, split.valid, split.test)
        )
        for lacking, what in (
            (test - train, "clips in its test folds and none in its training folds"),
            (valid - train - test, "clips in its validation folds and none in its training folds"),
            ((train | test) - valid, "no clip in its validation folds"),
        ):
            if lacking:
                said.append(f"in split {number}, which tests on {', '.join(split.test)}, {_labels(lacking)} {what}")
    return said


def absent_labels(task: Task, clips: Sequence[Clip]) -> set[str]:
    """The labels that no clip has; those of slots as ``SLOT=LABEL``."""
    return _known(task.target) - _used(task.target, clips)


def _misfit(target: Target, label: Any) -> str | None:
    """What a clip's label would have to be, where it is something else; whether it is known is not looked at."""
    words = isinstance(label, tuple) and all(isinstance(word, str) for word in label)
    match target:
        case Class():
            return None if isinstance(label, str) else "one label"
        case Tags():
            return None if words else "a tuple of labels"
        case Slots(names):
            return None if words and len(label) == len(names) else f"a tuple of {len(names)} labels"
        case Value():
            return None if isinstance(label, int | float) and math.isfinite(label) else "a finite number"
        case Trials():
            return None if isinstance(label, str) and label else "a speaker"
        case Events():
            fits = isinstance(label, tuple) and all(
                isinstance(event, SoundEvent) and 0 <= event.onset < event.offset < math.inf for event in label
            )
            return None if fits else "a tuple of events, each with 0 <= onset < offset"


def _known(target: Target) -> set[str]:
    match target:
        case Class(labels) | Tags(labels) | Events(labels):
            return set(labels)
        case Slots(names, labels):
            return {f"{name}={label}" for name, own in zip(names, labels, strict=True) for label in own}
        case Value() | Trials():
            return set()


def _used(target: Target, clips: Iterable[Clip]) -> set[str]:
    labels: list[Any] = [clip.target for clip in clips]
    match target:
        case Class():
            return set(labels)
        case Tags():
            return {label for tags in labels for label in tags}
        case Slots(names):
            return {f"{name}={label}" for row in labels for name, label in zip(names, row, strict=True)}
        case Events():
            return {event.label for events in labels for event in events}
        case Value() | Trials():
            return set()


def _labels(labels: set[str]) -> str:
    return f"{len(labels)} label(s) ({_some(map(repr, sorted(labels)))}) have"


def _some(texts: Iterable[str], most: int = 5) -> str:
    every = list(texts)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
