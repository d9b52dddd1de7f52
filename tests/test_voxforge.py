"""VoxForge: languages come from the list of archives, and speakers from their names."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from harness.registry import load_task

import trees

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    trees.write("voxforge", tmp_path)
    return tmp_path


def test_seven_tenths_of_the_listed_speakers_train_and_two_are_tested(root: Path) -> None:
    clips = load_task("voxforge").list_clips(root)
    listed = {clip.group for clip in clips} | {"absent"}
    order = sorted(listed)
    np.random.RandomState(0).shuffle(order)
    first, second = int(0.7 * len(order)), int((0.7 + 0.1) * len(order))
    parts = {"train": order[:first], "valid": order[first:second], "test": order[second:]}
    assert {(clip.group, clip.fold) for clip in clips} == {
        (speaker, part) for part, own in parts.items() for speaker in own if speaker != "absent"
    }


@pytest.mark.parametrize(("folder", "language"), [("de", "de"), ("SpeechCorpus", "en"), ("Russian", "ru")])
def test_the_language_stands_in_the_address(root: Path, folder: str, language: str) -> None:
    line = (
        f"http://www.repository.voxforge1.org/downloads/{folder}/Trunk/Audio/Main/16kHz_16bit/guenter-20140214-den.tgz"
    )
    (root / "voxforge_urls.txt").write_text(line)
    (clip,) = load_task("voxforge").list_clips(root)
    assert (clip.target, clip.group, clip.id) == (language, "guenter", "guenter-20140214-den/wav/de5-001")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("downloads/xx/Trunk/Audio/a-1-b.tgz", "which is no address with LANGUAGE/Trunk"),
        ("a-1-b.tgz", "which is no address with LANGUAGE/Trunk"),
        ("downloads/de/Trunk/Audio/a-1-b.tgz", "none of the 1 folders that voxforge_urls.txt names holds audio"),
    ],
)
def test_a_list_that_names_nothing_of_use_is_refused(root: Path, refused: Refused, line: str, sentence: str) -> None:
    (root / "voxforge_urls.txt").write_text(line)
    with refused(sentence):
        load_task("voxforge").list_clips(root)
