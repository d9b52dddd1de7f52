"""VocalSound: lists of two releases, with paths of another machine."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.datasets import check_clips
from harness.registry import load_task

import trees
from trees._writing import as_json, sound

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    trees.write("vocalsound", tmp_path)
    return tmp_path


def test_what_no_list_names_is_left_out(tree: Path) -> None:
    task = load_task("vocalsound")
    clips = task.list_clips(tree)
    check_clips(task, clips)
    assert len(clips) == 15 and "f0003_1_sniff" not in {clip.id for clip in clips}


def test_the_lists_and_audio_of_the_other_release_are_read_alike(tree: Path) -> None:
    before = load_task("vocalsound").list_clips(tree)
    for name in ("tr", "val", "te"):
        (tree / "datafiles" / f"{name}.json").rename(tree / "datafiles" / f"{name}_rev.json")
    (tree / "audio_16k").rename(tree / "data_44k")
    after = load_task("vocalsound").list_clips(tree)
    assert [(clip.id, clip.fold) for clip in after] == [(clip.id, clip.fold) for clip in before]
    assert {clip.path.parent.name for clip in after} == {"data_44k"}


def test_a_list_without_its_data_is_refused(tree: Path, refused: Refused) -> None:
    as_json(tree / "datafiles" / "val.json", [{"wav": "x"}])
    with refused(r"val\.json is no list of VocalSound"):
        load_task("vocalsound").list_clips(tree)


def test_a_listed_file_of_another_kind_is_refused(tree: Path, refused: Refused) -> None:
    as_json(tree / "datafiles" / "val.json", {"data": [{"wav": "/x/m0011_0_hiccup.wav"}]})
    with refused("'m0011_0_hiccup.wav' does not belong"):
        load_task("vocalsound").list_clips(tree)


def test_a_release_without_audio_is_told_as_unpacked_in_part(tmp_path: Path, refused: Refused) -> None:
    as_json(tmp_path / "datafiles" / "tr.json", {"data": []})
    sound(tmp_path / "f0003_0_cough.wav")
    with refused("has no audio: it must be in audio_44k, data_44k or audio_16k"):
        load_task("vocalsound").list_clips(tmp_path)
