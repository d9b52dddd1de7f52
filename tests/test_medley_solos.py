"""Medley-solos-DB: the table lies beside the audio, or in a folder as mirdata puts it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.partial import load_present
from harness.registry import load_task

import trees

MEDLEY = load_task("medley_solos")


@pytest.mark.parametrize("place", ["", "annotation"])
def test_the_table_may_lie_in_two_places(tmp_path: Path, place: str) -> None:
    trees.write("medley_solos", tmp_path)
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / "Medley-solos-DB_metadata.csv").rename(tmp_path / place / "Medley-solos-DB_metadata.csv")
    clips = load_present(MEDLEY, tmp_path).clips
    assert len(clips) == 18
    assert clips[0].id == "Medley-solos-DB_test-0_00000000-0000-0000-0000-000000000000"
    assert (clips[0].target, clips[0].fold, clips[0].group) == ("clarinet", "test", "0")


def test_an_instrument_without_a_name_is_refused(
    tmp_path: Path, refused: Callable[[str], AbstractContextManager[None]]
) -> None:
    trees.write("medley_solos", tmp_path)
    table = tmp_path / "Medley-solos-DB_metadata.csv"
    table.write_text(table.read_text().replace("flute,3,", "flute,8,"))
    for path in (tmp_path / "audio").glob("*-3_*"):
        path.rename(path.with_name(path.name.replace("-3_", "-8_")))
    with refused("medley_solos does not know the label '8'"):
        load_present(MEDLEY, tmp_path)
