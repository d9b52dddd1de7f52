"""The data sets of BEANS: its own splits, and the folds that keep tapes, sessions and recordings apart."""

import importlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from harness.registry import load_task
from harness.types import Clip

import trees
from trees._writing import table

rules = importlib.import_module("harness.tasks._beans")
cbi = importlib.import_module("harness.tasks.cbi")
Refused = Callable[[str], AbstractContextManager[None]]

GROUPED = ("watkins", "dogs", "humbugdb")


def listed(name: str, folder: Path) -> list[Clip]:
    trees.write(name, folder)
    return load_task(name).list_clips(folder)


@pytest.mark.parametrize(
    ("clips", "sizes"),
    [(1695, (1017, 339, 339)), (10_000, (6000, 2000, 2000)), (693, (415, 139, 139)), (9295, (5577, 1859, 1859))],
)
def test_the_parts_have_their_published_sizes(clips: int, sizes: tuple[int, int, int]) -> None:
    labels = [str(number) for number in np.random.default_rng(0).integers(10, size=clips)]
    found = Counter(rules.beans_parts(labels))
    assert (found["train"], found["valid"], found["test"]) == sizes


def test_the_parts_are_those_of_splitting_rows_twice() -> None:
    rng = np.random.default_rng(1)
    rows = [(f"{number}.wav", str(rng.integers(7))) for number in range(500)]
    train, rest = train_test_split(rows, test_size=0.4, random_state=42, stratify=[label for _, label in rows])
    valid, test = train_test_split(rest, test_size=0.5, random_state=42, stratify=[label for _, label in rest])
    where = {row: part for part, own in (("train", train), ("valid", valid), ("test", test)) for row in own}
    assert rules.beans_parts([label for _, label in rows]) == [where[row] for row in rows]


def test_a_label_with_one_clip_cannot_be_split_as_beans_does(refused: Refused) -> None:
    with refused("names 1 clip\\(s\\) of 'b', too few to be split as BEANS does"):
        rules.beans_parts(["a"] * 20 + ["b"])


@pytest.mark.parametrize("name", GROUPED)
def test_groups_are_apart_unless_asked_for_otherwise(tmp_path: Path, name: str) -> None:
    where = defaultdict(set)
    for clip in listed(name, tmp_path):
        where[clip.group].add(clip.fold)
    assert {len(folds) for folds in where.values()} == {1}


@pytest.mark.parametrize("name", GROUPED)
def test_both_variants_have_the_same_clips(tmp_path: Path, name: str) -> None:
    apart, beans = listed(name, tmp_path), load_task(f"{name}:beans").list_clips(tmp_path)
    assert [(clip.id, clip.target, clip.group) for clip in apart] == [(c.id, c.target, c.group) for c in beans]


def test_a_tape_of_two_species_is_one_group(tmp_path: Path) -> None:
    clips = [clip for clip in listed("watkins", tmp_path) if clip.group == "61025"]
    assert len({clip.target for clip in clips}) == 3 and len({clip.fold for clip in clips}) == 1


def test_the_species_with_two_cuts_is_left_out(tmp_path: Path) -> None:
    assert not [clip for clip in listed("watkins", tmp_path) if clip.id.startswith("Weddell_Seal")]


def test_sessions_of_dogs_are_read_from_names_of_either_form(tmp_path: Path) -> None:
    groups = {clip.id: clip.group for clip in listed("dogs", tmp_path)}
    assert (groups["Mac-3-A-3a..aif"], groups["Freid3-P-a.wav"]) == ("Mac 3", "Freid 3")


def test_rare_species_are_others_and_no_species_is_no_mosquito(tmp_path: Path) -> None:
    assert {str(clip.target) for clip in listed("humbugdb", tmp_path)} == {"ae aegypti", "others", "non-mosquito"}


def test_only_what_is_longer_than_beans_hears_is_cut(tmp_path: Path) -> None:
    stops = Counter(clip.stop for clip in [*listed("humbugdb", tmp_path / "a"), *listed("cbi", tmp_path / "b")])
    assert (stops[3.0], stops[10.0], stops[None]) == (1, 1, 58)


def test_a_length_that_is_no_number_is_refused(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "data" / "metadata" / "neurips_2021_zenodo_0_0_1.csv"
    table(path, [("id", "length", "name", "species"), (53, "short", "x.wav", "")])
    with refused("the length 'short', which is no number"):
        load_task("humbugdb").list_clips(tmp_path)


def test_recordists_are_dealt_as_beans_does() -> None:
    recordists = [f"r{number}" for number in np.random.default_rng(2).integers(90, size=400)]
    people = np.array(list(dict.fromkeys(recordists)), dtype=object)
    random.seed(42)
    random.shuffle(people)  # type: ignore[arg-type]  # an array, as pandas gives
    first, second = int(0.6 * len(people)), int(0.8 * len(people))
    expected = dict.fromkeys(people[:first], "train") | dict.fromkeys(people[first:second], "valid")
    assert cbi._parts(recordists) == expected | dict.fromkeys(people[second:], "test")
