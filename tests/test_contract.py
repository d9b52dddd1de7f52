"""The task contract as checks: each finds what it is there for."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harness.contract import CHECKS, TaskSubject, check_task, examine
from harness.datasets import Task, rotation
from harness.errors import UserError
from harness.types import Class, Clip, Split, Trial, Trials

Refused = Callable[[str], AbstractContextManager[None]]

FOLDS = ("1", "2", "3")
NAMES = [f"{fold}-{label}" for fold in FOLDS for label in ("bark", "meow")]


def listed(folder: Path) -> list[Clip]:
    if not any(folder.iterdir()):
        raise UserError("there is nothing")
    return [
        Clip(name, folder / f"{name}.wav", name.partition("-")[2], name.partition("-")[0], f"group {name}")
        for name in NAMES
    ]


TOY = Task(
    name="toy",
    version="1",
    target=Class(("bark", "meow")),
    splits=rotation(FOLDS),
    list_clips=listed,
    clips=6,
    folder="toy",
    source=None,
    paper="doi 10.1000/toy",
    licence="none",
    description="A toy.",
    counts=dict.fromkeys(FOLDS, 2),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six clips."""
    for seed, name in enumerate(NAMES):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(seed).uniform(-0.5, 0.5, 800), 8000)
    return tmp_path


@pytest.fixture
def subject(folder: Path, install: Callable[..., Path]) -> Callable[..., TaskSubject]:
    """The toy as a plugin, with other facts; what is listed may be changed clip by clip."""
    install("theirs", {"tasks.toy": ""})

    def make(change: Callable[[Clip], Clip] | None = None, **facts: Any) -> TaskSubject:
        if change is not None:
            facts["list_clips"] = lambda folder: [change(clip) for clip in listed(folder)]
        task = replace(TOY, **facts)
        return TaskSubject("toy", task, folder, tuple(task.list_clips(folder)))

    return make


Make = Callable[..., TaskSubject]


@pytest.mark.parametrize("check", CHECKS)
def test_a_sound_task_passes(subject: Make, check: str) -> None:
    finding = examine(subject(), check)
    assert finding.state == ("left out" if check == "trials" else "well"), finding


def first(**facts: Any) -> Callable[[Clip], Clip]:
    """Changes the first clip."""
    return lambda clip: replace(clip, **facts) if clip.id == NAMES[0] else clip


ILL: dict[str, tuple[str, dict[str, Any], str]] = {
    "no licence": ("record", {"licence": ""}, "licence is empty"),
    "counts of another number": ("record", {"clips": 7}, "counts add up to 6 and clips is 7"),
    "counts of no fold": ("record", {"counts": {"9": 6}}, "the fold '9', which no split uses"),
    "doubts of no fact": ("record", {"unconfirmed": frozenset({"colour"})}, "names colour"),
    "a metric of another kind": ("record", {"metric": "eer"}, "does not fit"),
    "a fold tested twice": ("splits", {"splits": (*rotation(FOLDS), Split(("2",), ("3",), ("1",)))}, "1 are tested"),
    "an unknown label": ("labels", {"change": first(target="moo")}, "does not know the label 'moo'"),
    "an idle label": ("labels", {"target": Class(("bark", "meow", "moo"))}, "no clip has moo"),
    "a doubled id": ("folds", {"change": first(id=NAMES[1])}, "more than once"),
    "a strange fold": ("folds", {"change": first(fold="4")}, "fold '4'"),
    "a group in two folds": ("groups", {"change": first(group="group 2-bark")}, "lie in more than one fold"),
    "clips beyond the published": ("counts", {"clips": 5}, "names 6 clips, and toy has 5"),
    "another fold's count": ("counts", {"counts": {"1": 3, "2": 1}}, "names 2 clips in 1, and toy has 3"),
    "an unsorted list": ("listing", {"list_clips": lambda folder: listed(folder)[::-1]}, "not sorted"),
    "an id with the place in it": (
        "listing",
        {"list_clips": lambda folder: [replace(c, id=f"{folder.name}/{c.id}") for c in listed(folder)]},
        "change with the folder's place",
    ),
    "an id of two characters for one": ("listing", {"change": first(id="0e\u0301")}, "not in NFC"),
    "a stretch beyond the end": ("audio", {"change": first(start=0.0, stop=9.0)}, "no stretch from 0.0 s to 9.0 s"),
    "an empty folder that is none": ("empty", {"list_clips": lambda folder: []}, "0 clips"),
    "a bug": ("empty", {"list_clips": lambda folder: [] if math.inf else [1 / 0]}, "0 clips"),
    "wrong trials": (
        "trials",
        {"target": Trials(), "list_trials": lambda folder: [Trial("1-bark", "2-bark", False)]},
        "wrong of the speakers",
    ),
}


@pytest.mark.parametrize(("check", "facts", "seen"), ILL.values(), ids=ILL.keys())
def test_each_check_finds_its_fault(subject: Make, check: str, facts: dict[str, Any], seen: str) -> None:
    finding = examine(subject(**facts), check)
    assert (finding.state, finding.change != "") == ("ILL", True)
    assert seen in finding.seen


def test_a_file_that_is_no_audio_is_found(subject: Make, folder: Path) -> None:
    (folder / "2-meow.wav").write_bytes(b"no audio at all, but long enough to have been some")
    finding = examine(subject(), "audio")
    assert (finding.state, "2-meow.wav cannot be read" in finding.seen) == ("ILL", True)


def test_an_exception_is_a_finding(subject: Make) -> None:
    finding = examine(subject(list_clips=listed, target=None), "labels")
    assert finding.state == "ILL"


def test_counts_wait_for_the_whole_set(subject: Make, folder: Path) -> None:
    (folder / "2-meow.wav").unlink()
    assert examine(subject(), "counts").left_out == "5 of 6 clips are there"


def test_counts_that_nobody_confirmed_are_told_and_no_fault(subject: Make) -> None:
    finding = examine(subject(counts={"1": 3}, unconfirmed=frozenset({"counts"})), "counts")
    assert (finding.state, "toy has 3" in finding.seen) == ("well", True)


def test_without_data_what_needs_them_is_left_out() -> None:
    subject = TaskSubject.of("us8k", ["us8k=/nowhere"])
    states = {check: examine(subject, check).state for check in CHECKS}
    assert [check for check, state in states.items() if state == "well"] == ["record", "splits", "empty"]


def test_a_suite_may_hold_its_own_task_to_the_contract(toys: Path, folders: dict[str, str]) -> None:
    check_task("toy:right", "labels", [folders["data"]])


def test_a_suite_is_told_what_to_change(toys: Path, folders: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match=r"toy:right, record: tried .* description is empty; fill in the record"):
        check_task("toy:right", "record", [folders["data"]])
