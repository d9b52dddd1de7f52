"""AudioMNIST: the authors' folds of speakers."""

import csv
from pathlib import Path

from harness.registry import load_task

import trees
from trees._writing import sound


def test_folds_are_those_that_the_authors_publish(shared: Path, tmp_path: Path) -> None:
    with (shared / "specs" / "splits" / "audio_mnist.csv").open(newline="") as table:
        published = {row["speaker"].zfill(2): row["fold"] for row in csv.DictReader(table)}
    for speaker in published:
        sound(tmp_path / "data" / speaker / f"0_{speaker}_0.wav", seconds=0.01)
    found = {clip.group: clip.fold for clip in load_task("audio_mnist").list_clips(tmp_path)}
    assert found == published


def test_a_fold_is_tested_and_the_next_one_chooses() -> None:
    splits = load_task("audio_mnist").splits
    assert [(*split.test, *split.valid) for split in splits] == [
        ("0", "1"),
        ("1", "2"),
        ("2", "3"),
        ("3", "4"),
        ("4", "0"),
    ]


def test_a_label_is_the_digit_and_a_group_the_speaker(tmp_path: Path) -> None:
    trees.write("audio_mnist", tmp_path)
    (clip,) = (clip for clip in load_task("audio_mnist").list_clips(tmp_path) if clip.id == "07/9_07_0")
    assert (clip.target, clip.group) == ("9", "07")
