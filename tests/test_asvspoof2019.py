"""ASVspoof 2019: what is scored, and by which metric."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import harness
from harness.datasets import check_labels
from harness.registry import load_task

import trees

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    trees.write("asvspoof2019:LA", tmp_path / "asvspoof2019")
    return tmp_path / "asvspoof2019"


def test_it_is_scored_by_the_equal_error_rate_which_is_lower_where_it_is_better(
    root: Path, folders: dict[str, str], quick: None
) -> None:
    folders["data"] = f"asvspoof2019:LA={root}"
    result = harness.run("mel", "asvspoof2019:LA", partial=True, **folders)
    assert (result.metric, result.score) == ("eer", 0.0)
    assert result.metrics["accuracy"] == 1.0


def test_audio_that_no_table_names_is_left_out(root: Path) -> None:
    clips = load_task("asvspoof2019:LA").list_clips(root)
    assert len(clips) == 24
    assert not any("9999999" in clip.id for clip in clips)


def test_a_key_of_another_kind_is_refused(root: Path, refused: Refused) -> None:
    table = root / "LA" / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.train.trn.txt"
    table.write_text(table.read_text().replace("bonafide", "human"))
    task = load_task("asvspoof2019:LA")
    with refused("does not know the label 'human'"):
        check_labels(task, task.list_clips(root))
