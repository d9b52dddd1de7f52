"""The task contract: a frozen record, and one function that lists clips."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from harness.errors import UserError
from harness.sources import Source
from harness.types import Class, Clip, Events, Slots, SoundEvent, Split, Tags, Target, Trial, Trials, Value

Domain = Literal["", "events", "music", "speech", "animals"]
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Task:
    """A labelled set of clips with its official splits.

    ``list_clips`` takes the task's data folder and gives every clip that the data set's own metadata names, sorted by
    id; it does not open audio. ``list_trials`` does so for pairs of clips. ``folder`` is the name of the data's folder,
    or as an absolute path the place where they lie whatever the user says; ``source`` is where they come from.

    ``clips`` is how many there must be, None where any number will do, ``counts`` how many of them in each fold, and
    ``hours`` how long they are together. ``unconfirmed`` names those of the record's facts that no source was found
    for: data that differ from them are told, and refused only where a tenth of the clips or more are missing.
    ``tables`` are the files, by their names, that say which clip is in which fold; ``may_lack`` are the ids of clips
    that some published copies lack, and that are left out then.

    ``metric`` is the primary one, empty for the usual one of the target's kind. ``spanning`` are the few groups that
    are known to lie in more than one fold; ``leaks`` says what does so wholesale, such as ``speaker``, and then no
    group is checked. ``folding`` says how folds were made that nobody had given. ``benchmarks`` are those that use the
    task, with its weight in their mean where they give one, and ``published`` is what they prescribe for it alone.
    """

    name: str
    version: str
    target: Target
    splits: tuple[Split, ...]
    list_clips: Callable[[Path], list[Clip]]
    clips: int | None
    folder: str | Path
    source: Source
    paper: str
    licence: str
    description: str = ""
    domain: Domain = ""
    hours: float | None = None
    counts: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    unconfirmed: frozenset[str] = frozenset()
    tables: tuple[str, ...] = ()
    may_lack: frozenset[str] = frozenset()
    metric: str = ""
    spanning: frozenset[str] = frozenset()
    leaks: str = ""
    folding: str = ""
    benchmarks: Mapping[str, float | None] = field(default_factory=lambda: _NOTHING)
    published: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _NOTHING)
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
    _check_count(task, folder, len(clips))
    missing = [clip for clip in clips if not clip.path.is_file()]
    if refused := [clip for clip in missing if clip.id not in task.may_lack]:
        cut = "; was its archive unpacked to its end?" if task.source is not None else ";"
        raise UserError(
            f"{len(refused):,} of {len(clips):,} audio files of {task.name} are missing from {folder}: "
            f"{some((_below(folder, clip.path) for clip in refused), 10)}{cut} `harness data verify` names them all, "
            "and --partial does without"
        )
    absent = {clip.id for clip in missing}
    clips = [clip for clip in clips if clip.id not in absent]
    check_clips(task, clips)
    return clips


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _check_count(task: Task, folder: Path, count: int) -> None:
    unsure = "clips" in task.unconfirmed
    if task.clips is None or count == task.clips or (unsure and count > 0.9 * task.clips):
        return
    wrong = f"{task.name} has {'about ' * unsure}{task.clips:,} clips, but {folder} holds or names {count:,}"
    if count > task.clips:
        raise UserError(f"{wrong}: is another release of the data set there, or something else beside it?")
    raise UserError(
        f"{wrong}: {task.clips - count:,} are missing; choose another variant, use --partial, or remove that folder "
        f"and get the whole data set with `harness data fetch {task.name}`"
    )


def load_trials(task: Task, folder: Path, clips: Sequence[Clip], *, partial: bool = False) -> list[Trial]:
    """List the trials of a task of that kind and check them against its clips; ``partial`` leaves out those of others.

    Raises:
        UserError: a trial names a clip that is not there or not tested, says of two speakers that they are one or the
            reverse, or all trials have the same answer.
    """
    if task.list_trials is None:
        raise UserError(f"{task.name} asks for a speaker's sameness, but lists no trials")
    trials = task.list_trials(folder)
    known = {clip.id: clip for clip in clips}
    trials = [trial for trial in trials if {trial.one, trial.other} <= known.keys()] if partial else trials
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


def check_clips(task: Task, clips: Sequence[Clip], *, partial: bool = False) -> None:
    """Hold clips against their task's record.

    Ids, labels, folds, and no group in two folds unless the record says so. Where ``partial``, a fold may be empty.

    Raises:
        UserError: something differs; the sentence names it.
    """
    check_ids(task, clips)
    check_labels(task, clips)
    check_folds(task, clips, partial=partial)
    check_groups(task, clips)


def check_ids(task: Task, clips: Sequence[Clip]) -> None:
    """Refuse a clip that is named twice."""
    ids = Counter(clip.id for clip in clips)
    if doubled := [name for name, times in ids.items() if times > 1]:
        raise UserError(f"{task.name} names the clip {doubled[0]!r} more than once")


def check_labels(task: Task, clips: Sequence[Clip]) -> None:
    """Refuse a label that the target does not know, or that is none of its kind."""
    for clip in clips:
        if wanted := _misfit(task.target, clip.target):
            raise UserError(f"{task.name} labels the clip {clip.id!r} with {clip.target!r}, which must be {wanted}")
    if strange := _used(task.target, clips) - _known(task.target):
        raise UserError(f"{task.name} does not know the label {min(strange)!r}")


def check_folds(task: Task, clips: Sequence[Clip], *, partial: bool = False) -> None:
    """Refuse clips in folds that no split uses and, unless ``partial``, folds without clips."""
    folds = {fold for split in task.splits for fold in (*split.train, *split.valid, *split.test)}
    there = {clip.fold for clip in clips}
    if odd := there - folds if partial else there ^ folds:
        raise UserError(f"{task.name} has no use for, or no clips in, fold {min(odd)!r}")


def check_groups(task: Task, clips: Sequence[Clip]) -> None:
    """Refuse a group in more than one fold, unless the record says so."""
    where = {} if task.leaks else spanning_groups(clips)
    if leaks := sorted(set(where) - task.spanning):
        named = some(f"{group!r} (folds {', '.join(sorted(where[group]))})" for group in leaks)
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
    return f"{len(labels)} label(s) ({some(map(repr, sorted(labels)))}) have"


def some(texts: Iterable[str], most: int = 5) -> str:
    """The first few of many texts, and how many more there are."""
    every = list(texts)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
