"""VoxLingua107: the stretches of a video stay together."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.partial import load_present
from harness.registry import load_task
from harness.tasks import voxlingua107

import trees


def test_stretches_of_a_video_are_in_one_fold_whatever_characters_its_name_has(tmp_path: Path) -> None:
    trees.write("voxlingua107:dev", tmp_path)
    clips = load_task("voxlingua107:dev").list_clips(tmp_path)
    assert len({clip.group for clip in clips}) == len(clips) / 2
    assert {len(clip.group) for clip in clips} == {11}
    assert len({(clip.group, clip.fold) for clip in clips}) == len(clips) / 2


def test_every_fold_has_every_language_as_far_as_videos_go(tmp_path: Path) -> None:
    trees.write("voxlingua107:dev", tmp_path)
    clips = load_task("voxlingua107:dev").list_clips(tmp_path)
    assert len({(clip.fold, clip.target) for clip in clips}) == 5 * 3


def test_the_excerpt_is_read_with_and_without_the_archives_own_folder(shared: Path, tmp_path: Path) -> None:
    task, excerpt = load_task("voxlingua107:dev"), shared / "data" / "excerpts" / "vox_lingua-train"
    (tmp_path / "dev").symlink_to(excerpt, target_is_directory=True)
    for folder in (excerpt, tmp_path):
        present = load_present(task, folder)
        assert (len(present.clips), len(present.task.splits), present.whole) == (20, 5, False)


def many(folder: Path, counts: dict[str, int]) -> None:
    """So many empty stretches of each language, two of every video."""
    for language, count in counts.items():
        (folder / "dev" / language).mkdir(parents=True)
        for i in range(count):
            name = f"{language}{i // 2:09}__U__S{i}---{i:04}.000-{i + 9:04}.000.wav"
            (folder / "dev" / language / name).write_bytes(b"a stretch")


LARGEST = dict(zip(("zh", "ru", "fr", "de", "et", "lv", "tr", "ar", "uk", "fi"), voxlingua107.MOST, strict=True))
REST = {label: 27 for label in voxlingua107.LABELS if label not in LARGEST}
REST["az"] += voxlingua107.STRETCHES - sum(voxlingua107.MOST) - sum(REST.values())


@pytest.mark.parametrize("variant", ["top10", "top10-hear"])
def test_the_largest_ten_languages_are_those_of_which_there_is_most(variant: str, tmp_path: Path) -> None:
    many(tmp_path, {**REST, **LARGEST})
    clips = load_task(f"voxlingua107:{variant}").list_clips(tmp_path)
    assert Counter(clip.target for clip in clips) == LARGEST
    assert len(clips) == 972
    straddling = len({(clip.group, clip.fold) for clip in clips}) - len({clip.group for clip in clips})
    assert (straddling > 0) == (variant == "top10-hear")


def test_where_all_stretches_are_there_and_the_ten_largest_are_others_it_is_said(
    tmp_path: Path, refused: Callable[[str], AbstractContextManager[None]]
) -> None:
    many(tmp_path, {**REST, **LARGEST, "zh": 99, "az": REST["az"] + 1})
    with refused("have 100, 100, 100, 100, 100, 99, 99, 95, 93, 85 of them, and HEAR's have 100, 100"):
        load_task("voxlingua107:top10").list_clips(tmp_path)
