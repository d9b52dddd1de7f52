"""VoxCeleb1: who chooses, which trials are asked, and what lies where."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.datasets import check_clips, load_trials
from harness.registry import load_task
from harness.types import Clip

import trees

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    trees.write("voxceleb1:sid", tmp_path)
    return tmp_path / "VoxCeleb1"


def listed(variant: str, root: Path) -> list[Clip]:
    return load_task(f"voxceleb1:{variant}").list_clips(root)


def test_speakers_of_trials_neither_train_nor_choose(root: Path) -> None:
    clips = listed("verification", root)
    speakers = {fold: {clip.target for clip in clips if clip.fold == fold} for fold in ("train", "valid", "test")}
    assert speakers["test"] == {"id10270", "id10271"}
    assert speakers["valid"] == {"id10001", "id10011"}
    assert speakers["train"] == {f"id{number}" for number in range(10_002, 10_011)}


@pytest.mark.parametrize(("variant", "trials", "tested"), [("verification", 4, 4), ("verification-original", 5, 6)])
def test_only_clips_of_the_variants_own_trials_are_tested(root: Path, variant: str, trials: int, tested: int) -> None:
    task = load_task(f"voxceleb1:{variant}")
    clips = task.list_clips(root)
    assert len(load_trials(task, root, clips)) == trials
    assert sum(clip.fold == "test" for clip in clips) == tested


def test_a_video_that_trains_and_chooses_is_two_groups_and_one_that_trains_and_scores_is_refused(
    root: Path, refused: Refused
) -> None:
    lines = ["1 id10001/one/00001.wav", "2 id10001/one/00002.wav", "3 id10001/two/00001.wav"]
    (root / "iden_split.txt").write_text("\n".join(lines))
    groups = [clip.group for clip in listed("sid", root)]
    assert groups == ["id10001/one", "id10001/one (dev)", "id10001/two"]
    (root / "iden_split.txt").write_text("\n".join([*lines, "3 id10001/one/00003.wav"]))
    with refused("1 group.s. of voxceleb1:sid lie in more than one fold.*'id10001/one' .folds test, train"):
        check_clips(load_task("voxceleb1:sid"), listed("sid", root))


def test_speakers_may_lie_in_one_folder(root: Path) -> None:
    before = listed("sid", root)
    for part in ("dev", "test"):
        for speaker in sorted((root / part / "wav").iterdir()):
            (root / "wav").mkdir(exist_ok=True)
            speaker.rename(root / "wav" / speaker.name)
        (root / part / "wav").rmdir()
    after = listed("sid", root)
    assert [clip.id for clip in after] == [clip.id for clip in before]
    assert all(clip.path.is_file() for clip in after)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("4 id10001/one/00001.wav", "no use for, or no clips in, fold '4'"),
        ("1 id19999/one/00001.wav", "does not know the label 'id19999'"),
        ("1 ../one/00001.wav", "name the file '../one/00001.wav', which is not in there"),
        ("id10001/one/00001.wav", "row 1 of .*iden_split.txt has 1 cells, and there are 2 columns"),
    ],
)
def test_a_list_that_says_what_cannot_be_is_refused(root: Path, refused: Refused, line: str, sentence: str) -> None:
    (root / "iden_split.txt").write_text(line)
    with refused(sentence):
        check_clips(load_task("voxceleb1:sid"), listed("sid", root), partial=True)
