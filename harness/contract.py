"""The task contract as checks: what `harness check task` runs, and the authors of tasks in their test suites.

What needs data is left out where there are none. In a test suite of your own::

    @pytest.mark.parametrize("check", harness.testing.TASK_CHECKS)
    def test_the_contract(check):
        harness.testing.check_task("pets", check, data=["my/data"])
"""

import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from harness.audio import read_mono
from harness.data import has_data, ready_folder
from harness.datasets import (
    Task,
    absent_labels,
    check_folds,
    check_groups,
    check_ids,
    check_labels,
    load_trials,
    some,
    spanning_groups,
)
from harness.errors import UserError
from harness.finding import Finding
from harness.metrics import DEFAULTS, bind
from harness.registry import load_task, plugins
from harness.targets import kind_of
from harness.types import Clip, Trials
from harness.verify import differing_counts

#: How many clips are decoded, spread over all.
LISTENED = 24


@dataclass(frozen=True)
class TaskSubject:
    """The task that is examined, and what its folder holds; both are None where there are no data."""

    name: str
    task: Task
    folder: Path | None
    clips: tuple[Clip, ...] | None

    @classmethod
    def of(cls, name: str, data: Sequence[str] = ()) -> "TaskSubject":
        """The task of a name; ``data`` as in ``--data``.

        Raises:
            UserError: the name is unknown, or its data cannot be listed.
        """
        task = load_task(name)
        if not has_data(task, data):
            return cls(name, task, None, None)
        folder = ready_folder(task, data)
        return cls(name, task, folder, tuple(task.list_clips(folder)))

    @property
    def built_in(self) -> bool:
        """Whether it is ours, and no table or folder of the user's."""
        return plugins("tasks")[self.name.partition(":")[0]].built_in and not isinstance(self.task.folder, Path)

    def summary(self) -> str:
        """One line of what it is."""
        there = "its data are not there" if self.clips is None else f"{len(self.clips):,} clips in {self.folder}"
        return f"{self.task.name}: {kind_of(self.task.target)}, {len(self.task.splits)} split(s); {there}"


Check = Callable[[TaskSubject], Finding]
#: Checks of what is listed.
Listed = Callable[[TaskSubject, Path, tuple[Clip, ...]], Finding]


def record(subject: TaskSubject) -> Finding:
    """The record says what a user has to know, and nothing in it contradicts the rest."""
    task = subject.task
    needed = ["version", "licence", "description", *(("paper", "domain") if subject.built_in else ())]
    wrong = [f"{name} is empty" for name in needed if not getattr(task, name)]
    if subject.built_in and task.name != subject.name:
        wrong.append(f"it calls itself {task.name}")
    if strange := task.unconfirmed - {field.name for field in fields(task)}:
        wrong.append(f"unconfirmed names {some(sorted(strange))}, which are no facts of a record")
    if task.counts and task.clips is not None and sum(task.counts.values()) != task.clips:
        wrong.append(f"counts add up to {sum(task.counts.values()):,} and clips is {task.clips:,}")
    if odd := set(task.counts) - _folds(task):
        wrong.append(f"counts has the fold {min(odd)!r}, which no split uses")
    try:
        bind(task.metric or DEFAULTS[kind_of(task.target)], task.target)
    except UserError as error:
        wrong.append(str(error))
    tried = ", ".join((*needed, "name, counts, unconfirmed, metric"))
    seen = "; ".join(wrong) or "all filled, and they agree"
    return Finding("record", tried, seen, _cure(wrong, "fill in the record"))


def splits(subject: TaskSubject) -> Finding:
    """No fold is tested twice, and none has two duties in a split."""
    tested = Counter(fold for split in subject.task.splits for fold in split.test)
    twice = sorted(fold for fold, times in tested.items() if times > 1)
    seen = f"{some(twice)} are tested more than once" if twice else f"{len(tested)} fold(s) are tested, each once"
    return Finding("splits", f"{len(subject.task.splits)} split(s)", seen, _cure(twice, "test every fold in one split"))


def empty(subject: TaskSubject) -> Finding:
    """An empty folder is refused in a sentence."""
    tried = "a folder without anything in it"
    if isinstance(subject.task.folder, Path):
        return Finding("empty", tried, "", left_out="its name says where its data lie")
    with tempfile.TemporaryDirectory() as folder:
        try:
            clips = subject.task.list_clips(Path(folder))
        except UserError as error:
            return Finding("empty", tried, str(error).replace(folder, "it"))
    return Finding("empty", tried, f"{len(clips)} clips", "raise UserError where metadata or audio are not there")


def listing(subject: TaskSubject, folder: Path, clips: tuple[Clip, ...]) -> Finding:
    """Ids are stable: sorted, in Unicode's NFC, and the same wherever the folder lies."""
    tried = f"{len(clips):,} clips, and the same folder by another path"
    wrong = [] if [clip.id for clip in clips] == sorted(clip.id for clip in clips) else ["they are not sorted by id"]
    wrong += [f"{clip.id!r} is not in NFC" for clip in clips if not unicodedata.is_normalized("NFC", clip.id)][:1]
    if not isinstance(subject.task.folder, Path):
        with tempfile.TemporaryDirectory() as elsewhere:
            other = Path(elsewhere) / "other"
            other.symlink_to(folder.resolve(), target_is_directory=True)
            moved = subject.task.list_clips(other)
        if [_facts(clip) for clip in moved] != [_facts(clip) for clip in clips]:
            wrong.append("their ids, targets, folds or groups change with the folder's place")
    seen = "; ".join(wrong) or "the same ids, sorted"
    return Finding("listing", tried, seen, _cure(wrong, "sort by id, and let nothing depend on the folder's name"))


def labels(subject: TaskSubject, folder: Path, clips: tuple[Clip, ...]) -> Finding:
    """Every clip has labels that the target knows; where all clips are there, every label has a clip."""
    task = subject.task
    tried = f"the targets of {len(clips):,} clips"
    if said := _refusal(lambda: check_labels(task, clips)):
        return Finding("labels", tried, said, "list every label in the target, and read them as they are listed")
    absent = absent_labels(task, clips)
    idle = sorted(absent) if len(clips) == task.clips else []
    seen = f"no clip has {some(sorted(absent))}" if absent else "all known, and each has clips"
    return Finding("labels", tried, seen, _cure(idle, "take labels that no clip has out of the target"))


def folds(subject: TaskSubject, folder: Path, clips: tuple[Clip, ...]) -> Finding:
    """Ids are unique, and every clip is in a fold that a split uses."""
    tried = f"ids and folds of {len(clips):,} clips"
    said = _refusal(lambda: check_ids(subject.task, clips)) or _refusal(
        lambda: check_folds(subject.task, clips, partial=True)
    )
    seen = ", ".join(f"{fold}: {count:,}" for fold, count in sorted(Counter(clip.fold for clip in clips).items()))
    return Finding("folds", tried, said or seen, _cure(said, "let ids be unique, and folds those of the splits"))


def groups(subject: TaskSubject, folder: Path, clips: tuple[Clip, ...]) -> Finding:
    """Groups lie inside folds, but for those that the record declares."""
    task = subject.task
    tried = f"{len({clip.group for clip in clips}):,} groups"
    spanning = spanning_groups(clips)
    if said := _refusal(lambda: check_groups(task, clips)):
        return Finding("groups", tried, said, "declare the few in spanning, or what does so wholesale in leaks")
    declared = f"{len(spanning):,} lie in several folds, as declared ({task.leaks or 'spanning'})"
    return Finding("groups", tried, declared if spanning else "each in one fold")


def counts(subject: TaskSubject, folder: Path, clips: tuple[Clip, ...]) -> Finding:
    """Where the whole set is there, it has as many clips as were published, in all and in each fold."""
    task = subject.task
    if task.clips is None:
        return Finding("counts", "", "", left_out="the record gives no number of clips")
    there = sum(clip.path.is_file() for clip in clips)
    if there + len(task.may_lack) < task.clips:
        return Finding("counts", "", "", left_out=f"{there:,} of {task.clips:,} clips are there")
    found = differing_counts(task, clips)
    certain = [told for fact, told in found if fact not in task.unconfirmed]
    seen = "; ".join(told for _, told in found) or f"{len(clips):,} clips, as published"
    return Finding("counts", f"{len(clips):,} clips", seen, _cure(certain, "read what the authors count"))


def audio(subject: TaskSubject, folder: Path, clips: tuple[Clip, ...]) -> Finding:
    """Clips can be decoded, from start to stop."""
    there = [clip for clip in clips if clip.path.is_file()]
    if not there:
        return Finding("audio", "", "", left_out="none of the audio is there")
    some_of_them = there[:: max(1, len(there) // LISTENED)][:LISTENED]
    wrong = [said for clip in some_of_them if (said := _refusal(lambda clip=clip: _decode(clip)))]  # type: ignore[misc]
    tried = f"{len(some_of_them)} clips, decoded"
    return Finding("audio", tried, "; ".join(wrong[:3]) or "all sound", _cure(wrong, "mend or fetch these files anew"))


def trials(subject: TaskSubject, folder: Path, clips: tuple[Clip, ...]) -> Finding:
    """Trials name clips that are tested, and are right about their speakers."""
    if not isinstance(subject.task.target, Trials):
        return Finding("trials", "", "", left_out="the target is no trials")
    said = _refusal(lambda: load_trials(subject.task, folder, clips, partial=True))
    return Finding("trials", "the pairs of clips", said or "all right", _cure(said, "list trials of tested clips"))


def _of_data(check: Listed) -> Check:
    """A check of what is listed, which is left out where there are no data."""

    def examined(subject: TaskSubject) -> Finding:
        if subject.folder is None or subject.clips is None:
            return Finding(check.__name__, "", "", left_out="its data are not there")
        return check(subject, subject.folder, subject.clips)

    examined.__doc__ = check.__doc__
    return examined


#: The checks by name, in the order in which they are made.
CHECKS: dict[str, Check] = {
    **{check.__name__: check for check in (record, splits, empty)},
    **{check.__name__: _of_data(check) for check in (listing, labels, folds, groups, counts, audio, trials)},
}


def examine(subject: TaskSubject, check: str) -> Finding:
    """One check; a task that raises where it should list is ill, not the checker."""
    try:
        return CHECKS[check](subject)
    except Exception as error:  # noqa: BLE001 (whatever the author's code raises is a finding)
        tried = (CHECKS[check].__doc__ or "").rstrip(".")
        return Finding(check, tried, f"{type(error).__name__}: {error}", "raise UserError where data are not right")


def check_task(name: str, check: str, data: Sequence[str] = ()) -> None:
    """Fail with the finding unless the check holds or does not apply.

    Raises:
        AssertionError: it does not hold.
        UserError: the name is unknown, or the data cannot be listed.
    """
    finding = examine(TaskSubject.of(name, data), check)
    if finding.change:
        raise AssertionError(f"{name}, {finding.check}: tried {finding.tried}; saw {finding.seen}; {finding.change}")


def _facts(clip: Clip) -> tuple[object, ...]:
    return (clip.id, clip.target, clip.fold, clip.group, clip.start, clip.stop)


def _folds(task: Task) -> set[str]:
    return {fold for split in task.splits for fold in (*split.train, *split.valid, *split.test)}


def _decode(clip: Clip) -> None:
    read_mono(clip.path, clip.start, clip.stop)


def _refusal(call: Callable[[], object]) -> str:
    """The sentence with which something is refused; empty if it is not."""
    try:
        call()
    except UserError as error:
        return str(error)
    return ""


def _cure(wrong: object, advice: str) -> str:
    return advice if wrong else ""
