"""Data are verified: every clip is decoded, and what is missing, unreadable or there twice is told."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.audio import read_mono
from harness.data import ready_folder, told_of_fetch
from harness.datasets import Task, absent_labels, check_clips, load_trials, some
from harness.downloads import Progress
from harness.errors import UserError
from harness.store import file_hash
from harness.types import Clip, Trials


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a task's data, and what else is worth telling of them, both in sentences."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]


class Sound(NamedTuple):
    """What decoding a clip gave: seconds, rate in Hz and a hash of its samples, or why it cannot be decoded."""

    seconds: float = 0.0
    rate: int = 0
    digest: str = ""
    problem: str = ""


def verify(
    task: Task, given: Sequence[str] = (), progress: Progress = lambda done, total: None, *, partial: bool = False
) -> Verdict:
    """Decode every clip, and hold what is there against the task's record.

    With ``partial`` clips that are not there are noted, and no problem.
    """
    folder = ready_folder(task, given)
    listed = task.list_clips(folder)
    clips = [clip for clip in listed if clip.path.is_file()] if partial else listed
    sounds = []
    with ThreadPoolExecutor() as pool:
        for done, sound in enumerate(pool.map(_decoded, clips), 1):
            sounds.append(sound)
            progress(done, len(clips))
    problems = [_told(task, clip, sound.problem) for clip, sound in zip(clips, sounds, strict=True) if sound.problem]
    notes = [f"{len(clips):,} of {len(listed):,} clips are there"] if len(clips) < len(listed) else []
    for fact, told in [] if partial else differing_counts(task, listed):
        (notes if fact in task.unconfirmed else problems).append(told)
    problems += _misfits(task, folder, clips, partial=partial)
    notes += _lengths(sounds)
    notes += told_of_fetch(folder)
    notes += [f"sha256 of {path.relative_to(folder)}: {file_hash(path)}" for path in _tables(task, folder)]
    notes += duplicates(clips, [sound.digest for sound in sounds])
    return Verdict(tuple(problems), tuple(notes))


def differing_counts(task: Task, clips: Sequence[Clip]) -> list[tuple[str, str]]:
    """Where the clips are not as many as the record says: its field, ``clips`` or ``counts``, and a sentence."""
    told = []
    if task.clips is not None and len(clips) != task.clips:
        told.append(("clips", f"the metadata names {len(clips):,} clips, and {task.name} has {task.clips:,}"))
    found = Counter(clip.fold for clip in clips)
    told += [
        ("counts", f"the metadata names {found[fold]:,} clips in {fold}, and {task.name} has {count:,}")
        for fold, count in task.counts.items()
        if found[fold] != count
    ]
    return told


def duplicates(clips: Sequence[Clip], digests: Sequence[str]) -> list[str]:
    """In sentences, which clips sound the same to the last bit; those in two folds one by one, others by their number.

    A clip whose digest is empty is left out.
    """
    alike: dict[str, list[Clip]] = defaultdict(list)
    for clip, digest in zip(clips, digests, strict=True):
        if digest:
            alike[digest].append(clip)
    twins = sorted((same for same in alike.values() if len(same) > 1), key=lambda same: same[0].id)
    across = [same for same in twins if len({clip.fold for clip in same}) > 1]
    told = [
        f"the same audio in {len({clip.fold for clip in same})} folds: "
        + some(f"{clip.id} (fold {clip.fold}, label {clip.target})" for clip in same)
        for same in across
    ]
    others = [same for same in twins if same not in across]
    if others:
        more = sum(len({str(clip.target) for clip in same}) > 1 for same in others)
        told.append(
            f"the same audio under several names within one fold: {len(others):,} times, "
            f"{f'under different labels {more:,} times' if more else 'always under one label'}; "
            f"{some(' = '.join(clip.id for clip in same) for same in others)}"
        )
    return told


def _decoded(clip: Clip) -> Sound:
    try:
        wave, rate = read_mono(clip.path, clip.start, clip.stop)
    except UserError as error:
        return Sound(problem=str(error))
    return Sound(len(wave) / rate, rate, hashlib.sha256(wave.tobytes()).hexdigest())


def _told(task: Task, clip: Clip, problem: str) -> str:
    known = "; published copies are known to lack it, so without that file the task runs"
    return problem + known if clip.id in task.may_lack else problem


def _misfits(task: Task, folder: Path, clips: Sequence[Clip], *, partial: bool) -> list[str]:
    try:
        check_clips(task, clips, partial=partial)
        if isinstance(task.target, Trials):
            load_trials(task, folder, clips, partial=partial)
    except UserError as error:
        return [str(error)]
    if absent := sorted(absent_labels(task, clips)) if not partial else []:
        return [f"the metadata names no clip of {len(absent)} labels: {', '.join(absent)}"]
    return []


def _lengths(sounds: Iterable[Sound]) -> list[str]:
    heard = [sound for sound in sounds if not sound.problem]
    if not heard:
        return []
    seconds, rates = [sound.seconds for sound in heard], Counter(sound.rate for sound in heard)
    told = ", ".join(f"{rate} Hz ({count:,})" for rate, count in rates.most_common())
    return [f"{sum(seconds) / 3600:,.2f} h in clips of {min(seconds):.2f} to {max(seconds):.2f} s, at {told}"]


def _tables(task: Task, folder: Path) -> list[Path]:
    """The files that say which clip is in which fold, wherever in the folder they lie, behind links too."""
    found: dict[str, list[Path]] = {name: [] for name in task.tables}
    for place in _folders(folder) if found else ():
        for name in found:
            if (place / name).is_file():
                found[name].append(place / name)
    return [path for paths in found.values() for path in sorted(paths)]


def _folders(folder: Path) -> Iterator[Path]:
    """A folder and all below it, each once, however many links lead to it."""
    known: set[str] = set()
    for place, folders, _ in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in known:
            folders.clear()
        else:
            known.add(real)
            yield Path(place)
