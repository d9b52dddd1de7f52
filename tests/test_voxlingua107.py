"""VoxLingua107: the stretches of a video stay together."""

from pathlib import Path

from harness.partial import load_present
from harness.registry import load_task

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
