"""IEMOCAP: which lines are labels, and who speaks."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.registry import load_task

import trees

Refused = Callable[[str], AbstractContextManager[None]]
LINE = "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    trees.write("iemocap", tmp_path)
    return tmp_path / "IEMOCAP_full_release"


def test_excitement_is_happiness_and_other_emotions_are_left_out(root: Path) -> None:
    labels = Counter(clip.target for clip in load_task("iemocap").list_clips(root))
    assert labels == {"neu": 10, "hap": 20, "ang": 10, "sad": 10}


def test_the_speaker_is_the_turns_own_and_not_that_of_the_dialogues_name(root: Path) -> None:
    groups = {clip.id: clip.group for clip in load_task("iemocap").list_clips(root)}
    assert groups["Ses01F_impro01_F000"] == "1F"
    assert groups["Ses01F_impro01_M000"] == "1M"


@pytest.mark.parametrize(
    ("turn", "dialogue"),
    [("Ses02M_script01_1_F012", "Ses02M_script01_1"), ("Ses05F_script01_3_MXX12", "Ses05F_script01_3")],
)
def test_turns_of_scripts_lie_in_their_dialogues_folder(root: Path, turn: str, dialogue: str) -> None:
    session = f"Session{turn[4]}"
    (root / session / "dialog" / "EmoEvaluation" / f"{dialogue}.txt").write_text(
        LINE.replace("Ses01F_impro01_F000", turn)
    )
    (clip,) = (clip for clip in load_task("iemocap").list_clips(root) if clip.id == turn)
    assert clip.path == root / session / "sentences" / "wav" / dialogue / f"{turn}.wav"


@pytest.mark.parametrize("line", [LINE.replace("\t", " "), LINE.replace("Ses01F", "Ses09F")])
def test_a_line_of_another_kind_is_refused(root: Path, refused: Refused, line: str) -> None:
    (root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt").write_text(line)
    with refused("which is not: times, turn, emotion, three values"):
        load_task("iemocap").list_clips(root)
