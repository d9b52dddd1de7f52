"""The task contract: official splits, and clips that are held against their task's record."""

import math
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.datasets import Task, absent_labels, check_clips, load_clips, load_trials, remarks, rotation
from harness.types import Class, Clip, Events, Slots, SoundEvent, Split, Tags, Target, Trial, Trials, Value

Refused = Callable[[str], AbstractContextManager[None]]

FOLDS = ("1", "2", "3")
CLIPS = [
    Clip(f"{fold}-{label}-{take}", Path(f"{fold}-{label}-{take}.wav"), label, fold, f"group {fold}{take}")
    for fold in FOLDS
    for label in ("bark", "meow")
    for take in ("a", "b")
]
TOY = Task(
    name="toy",
    version="1",
    target=Class(("bark", "meow")),
    splits=rotation(FOLDS),
    list_clips=lambda folder: [replace(clip, path=folder / clip.path) for clip in CLIPS],
    clips=len(CLIPS),
    folder="toy",
    source=None,
    paper="doi 10.1000/toy",
    licence="none",
)


def spread(group: str, folds: Sequence[str], target: Any = "bark") -> list[Clip]:
    """A clip of one group in each of the folds."""
    return [Clip(f"{group}-{fold}", Path("x.wav"), target, fold, group) for fold in folds]


def changed(index: int, **fields: Any) -> list[Clip]:
    """The toy's clips, one of them changed."""
    return [replace(clip, **fields) if i == index else clip for i, clip in enumerate(CLIPS)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file for every clip."""
    for clip in CLIPS:
        (tmp_path / clip.path).write_bytes(b"not opened here")
    return tmp_path


# Splits.


def test_five_folds_turn_as_written_down() -> None:
    assert [(*split.test, *split.valid, split.train) for split in rotation("12345")] == [
        ("1", "2", ("3", "4", "5")),
        ("2", "3", ("1", "4", "5")),
        ("3", "4", ("1", "2", "5")),
        ("4", "5", ("1", "2", "3")),
        ("5", "1", ("2", "3", "4")),
    ]


@pytest.mark.parametrize("count", [3, 5, 10])
def test_every_split_uses_every_fold_once(count: int) -> None:
    folds = [f"fold {i}" for i in range(count)]
    for split in rotation(folds):
        assert sorted([*split.train, *split.valid, *split.test]) == sorted(folds)


@pytest.mark.parametrize("count", [3, 5, 10])
def test_every_fold_tests_once_and_chooses_once(count: int) -> None:
    folds = [f"fold {i}" for i in range(count)]
    assert [fold for split in rotation(folds) for fold in split.test] == folds
    assert sorted(fold for split in rotation(folds) for fold in split.valid) == sorted(folds)


# Clips against the record.


def test_clips_that_are_as_the_record_says_pass(folder: Path) -> None:
    assert load_clips(TOY, folder) == TOY.list_clips(folder)


def test_a_doubled_id_is_named(refused: Refused) -> None:
    with refused("names the clip '1-bark-a' more than once"):
        check_clips(TOY, changed(5, id="1-bark-a"))


def test_an_unknown_label_is_named(refused: Refused) -> None:
    with refused("does not know the label 'moo'"):
        check_clips(TOY, changed(5, target="moo"))


def test_a_fold_that_no_split_uses_is_named(refused: Refused) -> None:
    with refused("no use for, or no clips in, fold '4'"):
        check_clips(TOY, changed(5, fold="4", group="alone"))


def test_a_fold_without_clips_is_named(refused: Refused) -> None:
    with refused("no use for, or no clips in, fold '3'"):
        check_clips(TOY, [clip for clip in CLIPS if clip.fold != "3"])


def test_a_group_in_two_folds_is_named(refused: Refused) -> None:
    with refused(r"^1 group\(s\) of toy lie in more than one fold, .*: 'group 1a' \(folds 1, 3\); move each into one"):
        check_clips(TOY, changed(11, group="group 1a"))


def test_of_many_groups_in_two_folds_five_are_named_and_all_are_counted(refused: Refused) -> None:
    clips = [clip for i in range(7) for clip in spread(f"g{i}", ("1", "2", "3"))]
    with refused(r"^7 group\(s\) .*: 'g0' \(folds 1, 2, 3\), .*, 'g4' \(folds 1, 2, 3\) and 2 more; move"):
        check_clips(TOY, clips)


def test_groups_that_are_known_to_lie_in_several_folds_wholesale_are_allowed() -> None:
    check_clips(replace(TOY, leaks="speaker"), [clip for i in range(7) for clip in spread(f"g{i}", FOLDS)])


def test_a_group_that_is_known_to_span_folds_is_allowed() -> None:
    check_clips(replace(TOY, spanning=frozenset({"group 1a"})), changed(11, group="group 1a"))


def test_knowing_that_one_group_spans_folds_allows_no_other(refused: Refused) -> None:
    with refused("'group 1a'"):
        check_clips(replace(TOY, spanning=frozenset({"group 2a"})), changed(11, group="group 1a"))


def test_missing_clips_are_counted_with_what_to_do(folder: Path, refused: Refused) -> None:
    task = replace(TOY, clips=2000)
    with refused("has 2,000 clips, .* names 12: 1,988 are missing; .*`harness data fetch toy`"):
        load_clips(task, folder)


def test_more_clips_than_the_record_says_are_refused(folder: Path, refused: Refused) -> None:
    with refused("has 11 clips, .* names 12"):
        load_clips(replace(TOY, clips=11), folder)


@pytest.mark.parametrize("gone", [[0], [3, 4], range(12)])
def test_missing_files_are_counted_and_the_first_ten_are_named(
    folder: Path, refused: Refused, gone: Sequence[int]
) -> None:
    for i in gone:
        (folder / CLIPS[i].path).unlink()
    first = ", ".join(str(CLIPS[i].path) for i in gone[:10])
    more = " and 2 more;" if len(gone) == 12 else ";"
    with refused(f"{len(gone)} of 12 audio files of toy are missing from {folder}: {first}{more}"):
        load_clips(TOY, folder)


def test_loaded_clips_are_checked(folder: Path, refused: Refused) -> None:
    def leaky(folder: Path) -> list[Clip]:
        return [replace(clip, path=folder / clip.path) for clip in changed(11, group="group 1a")]

    with refused("lie in more than one fold"):
        load_clips(replace(TOY, list_clips=leaky), folder)


@pytest.mark.parametrize(
    "folds",
    [
        (("1", "2"), ("2",), ("3",)),
        (("1",), ("2",), ("3", "1")),
        (("1",), ("2", "3"), ("3",)),
        (("1", "2", "3"), (), ("3",)),
    ],
)
def test_a_split_that_does_not_keep_its_folds_apart_cannot_be_made(folds: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(ValueError, match="training, validation and test folds are not kept apart"):
        Split(*folds)


def test_a_task_may_have_as_many_clips_as_there_are(folder: Path) -> None:
    assert len(load_clips(replace(TOY, clips=None), folder)) == len(CLIPS)


# Labels of every kind.

SLOTS = Slots(("action", "object"), (("on", "off"), ("light", "music")))
KINDS: dict[str, tuple[Target, tuple[Any, ...]]] = {
    "class": (Class(("bark", "meow")), ("bark", "meow")),
    "tags": (Tags(("bark", "meow")), (("bark", "meow"), (), ("meow",))),
    "slots": (SLOTS, (("on", "light"), ("off", "music"))),
    "value": (Value(), (0.5, -3.0, 7)),
    "events": (Events(("bark",)), ((SoundEvent("bark", 0.0, 1.5),), ())),
    "trials": (Trials(), ("ann", "bob")),
}


def labelled(target: Target, labels: Sequence[Any]) -> tuple[Task, list[Clip]]:
    """A task of another kind, whose clips have these labels in turn."""
    clips = [replace(clip, target=labels[i % len(labels)]) for i, clip in enumerate(CLIPS)]
    return replace(TOY, target=target), clips


@pytest.mark.parametrize("kind", KINDS)
def test_fitting_labels_of_every_kind_pass(kind: str) -> None:
    check_clips(*labelled(*KINDS[kind]))


@pytest.mark.parametrize(
    ("kind", "label", "sentence"),
    [
        ("class", ("bark",), "labels the clip '1-bark-b' with ('bark',), which must be one label"),
        ("class", "moo", "does not know the label 'moo'"),
        ("tags", "bark", "which must be a tuple of labels"),
        ("tags", ("bark", "moo"), "does not know the label 'moo'"),
        ("slots", ("on",), "which must be a tuple of 2 labels"),
        ("slots", ("light", "on"), "does not know the label 'action=light'"),
        ("value", "0.5", "which must be a finite number"),
        ("value", math.nan, "which must be a finite number"),
        ("value", math.inf, "which must be a finite number"),
        ("events", (SoundEvent("moo", 0.0, 1.0),), "does not know the label 'moo'"),
        ("events", (SoundEvent("bark", 1.0, 1.0),), "each with 0 <= onset < offset"),
        ("events", (SoundEvent("bark", -0.1, 1.0),), "each with 0 <= onset < offset"),
        ("events", (SoundEvent("bark", 0.0, math.inf),), "each with 0 <= onset < offset"),
        ("events", (SoundEvent("bark", math.nan, 1.0),), "each with 0 <= onset < offset"),
        ("events", ("bark",), "each with 0 <= onset < offset"),
        ("trials", "", "which must be a speaker"),
    ],
)
def test_a_label_that_does_not_fit_its_kind_is_named(kind: str, label: Any, sentence: str, refused: Refused) -> None:
    task, clips = labelled(*KINDS[kind])
    clips[1] = replace(clips[1], target=label)
    with refused(re.escape(sentence)):
        check_clips(task, clips)


# Trials.

SPEAKERS = [
    Clip(f"{who}{take}", Path("x.wav"), who, fold, who)
    for who, fold in zip("abc", FOLDS, strict=True)
    for take in (1, 2)
]
SAME, OTHER = Trial("a1", "a2", True), Trial("a1", "b1", False)
#: Both of the first two folds are tested.
VERIFICATION = replace(TOY, target=Trials(), splits=rotation(FOLDS)[:2])


def asked(*trials: Trial) -> Task:
    """The task of telling speakers apart, with these trials."""
    return replace(VERIFICATION, list_trials=lambda folder: list(trials))


def test_trials_that_fit_the_clips_pass() -> None:
    assert load_trials(asked(SAME, OTHER), Path(), SPEAKERS) == [SAME, OTHER]


@pytest.mark.parametrize(
    ("trials", "sentence"),
    [
        ((SAME, Trial("a1", "z9", False)), "a trial of toy names the clip 'z9', which is not there"),
        ((SAME, Trial("c1", "a1", False)), "a trial of toy names the clip 'c1', which is in no test fold"),
        ((SAME, Trial("a1", "b1", True)), "is wrong of the speakers of 'a1' and 'b1'"),
        ((OTHER, Trial("a1", "a2", False)), "is wrong of the speakers of 'a1' and 'a2'"),
        ((SAME, Trial("b1", "b2", True)), "must be of one speaker in some and of two in others"),
        ((OTHER,), "must be of one speaker in some and of two in others"),
        ((), "must be of one speaker in some and of two in others"),
    ],
)
def test_trials_that_do_not_fit_are_named(trials: tuple[Trial, ...], sentence: str, refused: Refused) -> None:
    with refused(sentence):
        load_trials(asked(*trials), Path(), SPEAKERS)


def test_a_task_of_trials_without_trials_is_refused(refused: Refused) -> None:
    with refused("toy asks for a speaker's sameness, but lists no trials"):
        load_trials(VERIFICATION, Path(), SPEAKERS)


# Remarks.

ONCE = (Split(("1",), ("2",), ("3",)),)


@pytest.mark.parametrize("kind", ["class", "tags", "slots"])
def test_of_labels_that_every_part_of_a_split_has_there_is_nothing_to_tell(kind: str) -> None:
    assert remarks(*labelled(*KINDS[kind])) == []


@pytest.mark.parametrize("kind", ["value", "events", "trials"])
def test_of_other_kinds_there_is_nothing_to_tell(kind: str) -> None:
    target, labels = KINDS[kind]
    assert remarks(*labelled(target, labels[:1])) == []


@pytest.mark.parametrize(
    ("folds", "sentence"),
    [
        ("23", "'moo') have clips in its test folds and none in its training folds"),
        ("2", "'moo') have clips in its validation folds and none in its training folds"),
        ("13", "'moo') have no clip in its validation folds"),
        ("1", "'moo') have no clip in its validation folds"),
    ],
)
@pytest.mark.parametrize("tagged", [False, True], ids=["class", "tags"])
def test_a_label_that_a_part_of_a_split_lacks_is_told(folds: str, sentence: str, tagged: bool) -> None:
    labels = ("bark", "meow", "moo")
    task = replace(TOY, splits=ONCE, target=Tags(labels) if tagged else Class(labels))
    more = spread("extra", folds, ("moo",) if tagged else "moo")
    usual = [replace(clip, target=(str(clip.target),)) if tagged else clip for clip in CLIPS]
    assert remarks(task, [*usual, *more]) == [f"in split 1, which tests on 3, 1 label(s) ({sentence}"]


def test_a_label_that_is_only_tested_is_told_as_such_and_as_never_chosen_by() -> None:
    task = replace(TOY, splits=ONCE, target=Class(("bark", "meow", "moo")))
    only_tested, never_chosen = remarks(task, [*CLIPS, *spread("extra", "3", "moo")])
    assert "none in its training folds" in only_tested
    assert "no clip in its validation folds" in never_chosen


def test_a_label_without_any_clip_is_told_once() -> None:
    task = replace(TOY, target=Class(("bark", "meow", "moo", "quack")))
    assert remarks(task, CLIPS) == ["2 label(s) ('moo', 'quack') have no clip at all"]
    assert absent_labels(task, CLIPS) == {"moo", "quack"}


def test_labels_of_slots_are_told_with_their_slot() -> None:
    task, clips = labelled(SLOTS, [("on", "light"), ("on", "music")])
    assert remarks(task, clips) == ["1 label(s) ('action=off') have no clip at all"]


def test_of_many_labels_five_are_named_and_each_split_has_one_sentence() -> None:
    labels = [f"l{i}" for i in range(7)]
    task = replace(TOY, target=Class(("bark", "meow", *labels)))
    told = remarks(task, [*CLIPS, *(clip for label in labels for clip in spread(label, ("1", "3"), label))])
    named = "7 label(s) ('l0', 'l1', 'l2', 'l3', 'l4' and 2 more) have"
    assert told == [
        f"in split 1, which tests on 1, {named} no clip in its validation folds",
        f"in split 3, which tests on 3, {named} clips in its test folds and none in its training folds",
    ]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_folds_cannot_rotate(count: int) -> None:
    with pytest.raises(ValueError, match="three folds or more"):
        rotation(FOLDS[:count])
