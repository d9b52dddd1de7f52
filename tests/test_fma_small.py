"""FMA small: one table of all of FMA, whose columns two lines name, is read row by row."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.registry import load_task

import trees

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trees.write("fma_small", tmp_path)
    return tmp_path


def test_tracks_of_the_subset_that_are_whole_are_listed(folder: Path) -> None:
    clips = load_task("fma_small").list_clips(folder)
    assert Counter(clip.fold for clip in clips) == {"train": 6, "valid": 6, "test": 6}
    first = clips[0]
    assert first.path == folder / "fma_small" / "001" / "001140.mp3"
    assert (first.id, first.target, first.group) == ("001/001140", "Hip-Hop", "580")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("genre_top", "genre", "tracks.csv lacks the column 'track.genre_top': it has .*, set.split, set.subset"),
        ("2,0,1,training", "2,0,training", "row 2 of .*tracks.csv has 6 cells, and there are 7 columns"),
    ],
)
def test_a_table_of_another_form_is_refused(folder: Path, refused: Refused, old: str, new: str, sentence: str) -> None:
    table = folder / "fma_metadata" / "tracks.csv"
    text = table.read_text(encoding="utf-8")
    assert old in text
    table.write_text(text.replace(old, new, 1), encoding="utf-8")
    with refused(sentence):
        load_task("fma_small").list_clips(folder)


def test_a_table_in_another_encoding_is_refused(folder: Path, refused: Refused) -> None:
    table = folder / "fma_metadata" / "tracks.csv"
    table.write_bytes(table.read_bytes().replace(b"title", b"\xe9tude"))
    with refused("tracks.csv is no text in UTF-8"):
        load_task("fma_small").list_clips(folder)


def test_a_table_that_cannot_be_read_is_refused(folder: Path, refused: Refused) -> None:
    table = folder / "fma_metadata" / "tracks.csv"
    table.unlink()
    table.mkdir()
    with refused("tracks.csv cannot be read: Is a directory"):
        load_task("fma_small").list_clips(folder)
