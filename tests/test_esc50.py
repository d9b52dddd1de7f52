"""ESC-50: the authors' table and folders are read as they are, and a part of the data is no substitute for all."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.data import ready_folder
from harness.datasets import check_clips, load_clips
from harness.tasks import esc50
from harness.types import Clip

Refused = Callable[[str], AbstractContextManager[None]]

ESC50, ESC10 = esc50.task(""), esc50.task("esc10")
HEADER = "filename,fold,target,category,esc10,src_file,take"
#: As in the authors' table, but out of order.
ROWS = (
    "2-106015-B-49.wav,2,49,hand_saw,False,106015,B",
    "1-100032-A-0.wav,1,0,dog,True,100032,A",
    "1-100038-A-14.wav,1,14,chirping_birds,False,100038,A",
    "5-9032-A-0.ogg,5,0,dog,True,9032,A",
)


def write(root: Path, rows: Iterable[str] = ROWS, header: str = HEADER) -> None:
    """Lay a few rows out as the authors do."""
    (root / "meta").mkdir(parents=True)
    (root / "audio").mkdir()
    (root / "meta" / "esc50.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")


@pytest.fixture(params=["", "ESC-50-master"], ids=["contents", "archive"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where the data lie in a task's folder: its contents, or the archive's own folder in it."""
    return tmp_path / str(request.param)


def test_every_row_is_a_clip(tmp_path: Path, root: Path) -> None:
    write(root)
    assert ESC50.list_clips(tmp_path) == [
        Clip("1-100032-A-0", root / "audio" / "1-100032-A-0.wav", "dog", "1", "100032"),
        Clip("1-100038-A-14", root / "audio" / "1-100038-A-14.wav", "chirping_birds", "1", "100038"),
        Clip("2-106015-B-49", root / "audio" / "2-106015-B-49.wav", "hand_saw", "2", "106015"),
        Clip("5-9032-A-0", root / "audio" / "5-9032-A-0.ogg", "dog", "5", "9032"),
    ]


def test_the_subset_has_the_rows_that_the_authors_mark(tmp_path: Path, root: Path) -> None:
    write(root)
    assert [clip.id for clip in ESC10.list_clips(tmp_path)] == ["1-100032-A-0", "5-9032-A-0"]


def test_columns_may_be_in_any_order(tmp_path: Path) -> None:
    write(tmp_path, ["0,True,7,A,dog,x.wav,3"], "target,esc10,src_file,take,category,filename,fold")
    assert ESC50.list_clips(tmp_path) == [Clip("x", tmp_path / "audio" / "x.wav", "dog", "3", "7")]


def test_ids_do_not_depend_on_the_place_or_the_format(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two" / "ESC-50-master", [row.replace(".wav", ".flac") for row in ROWS])
    one, two = (ESC50.list_clips(tmp_path / name) for name in ("one", "two"))
    assert [clip.id for clip in one] == [clip.id for clip in two]


@pytest.mark.parametrize("name", ["../../secret.wav", "/etc/secret.wav", "../meta/../../secret.wav", "a/secret.wav"])
def test_a_file_name_never_leads_out_of_the_audio_folder(tmp_path: Path, name: str) -> None:
    write(tmp_path, [f"{name},1,0,dog,True,1,A"])
    (clip,) = ESC50.list_clips(tmp_path)
    assert clip.path == tmp_path / "audio" / "secret.wav"


@pytest.mark.parametrize("name", ["..", "a/..", "/"])
def test_a_file_name_that_is_none_is_no_file(tmp_path: Path, name: str) -> None:
    write(tmp_path, [f"{name},1,0,dog,True,1,A"])
    (clip,) = ESC50.list_clips(tmp_path)
    assert not clip.path.is_file()


def test_a_folder_without_the_table_is_refused(tmp_path: Path, root: Path, refused: Refused) -> None:
    root.mkdir(exist_ok=True)
    table = root.relative_to(tmp_path) / "meta" / "esc50.csv"
    with refused(f"ESC-50 is not in {tmp_path}: there is no {table} in it"):
        ESC50.list_clips(tmp_path)


@pytest.mark.parametrize("column", ["filename", "fold", "category", "esc10", "src_file"])
def test_a_table_that_lacks_a_column_is_refused(tmp_path: Path, refused: Refused, column: str) -> None:
    write(tmp_path, header=HEADER.replace(column, "other"))
    with refused(f"esc50.csv lacks the column '{column}'"):
        ESC50.list_clips(tmp_path)


def test_a_table_that_is_no_text_is_refused(tmp_path: Path, refused: Refused) -> None:
    write(tmp_path)
    (tmp_path / "meta" / "esc50.csv").write_bytes(b"\xff\xfe\x00n\x00o\x80")
    with refused("esc50.csv"):
        ESC50.list_clips(tmp_path)


@pytest.mark.parametrize("rows", [ROWS, ()])
def test_a_few_rows_are_not_the_data_set(tmp_path: Path, refused: Refused, rows: tuple[str, ...]) -> None:
    write(tmp_path, rows)
    with refused(f"has 2,000 clips, .* names {len(rows)}: {2000 - len(rows):,} are missing"):
        load_clips(ESC50, tmp_path)


def test_there_are_fifty_classes_and_ten_of_them_in_the_subset() -> None:
    assert len(set(ESC50.target.labels)) == 50
    assert len(set(ESC10.target.labels) & set(ESC50.target.labels)) == len(ESC10.target.labels) == 10


def test_the_two_variants_share_their_data() -> None:
    assert (ESC50.folder, ESC50.source, ESC50.splits) == (ESC10.folder, ESC10.source, ESC10.splits)


def test_benchmarks_prescribe_for_the_whole_set_alone() -> None:
    assert {name: dict(own) for name, own in ESC50.published.items()} == {
        "hear": {"seconds": 5.0},
        "arch": {"seconds": 5.0},
        "evar": {"seconds": 5.0},
        "xares": {"epochs": 10, "rate": 1e-3, "batch": 32},
    }
    assert not ESC10.published


# On data of the authors.


@pytest.fixture
def data(shared: Path) -> Path:
    folder = shared / "data"
    if not (folder / "esc50").is_dir():
        pytest.skip(f"there is no ESC-10 in {folder}")
    return ready_folder(ESC10, [str(folder)])


def test_the_subset_has_four_hundred_clips(data: Path) -> None:
    assert len(load_clips(ESC10, data)) == 400


def test_the_subset_has_forty_clips_of_each_class(data: Path) -> None:
    counts = Counter(clip.target for clip in load_clips(ESC10, data))
    assert counts == dict.fromkeys(ESC10.target.labels, 40)


def test_the_subset_has_eight_clips_of_each_class_in_each_fold(data: Path) -> None:
    counts = Counter((clip.fold, clip.target) for clip in load_clips(ESC10, data))
    assert counts == {(fold, label): 8 for fold in "12345" for label in ESC10.target.labels}


def test_a_clips_id_holds_its_fold_its_group_and_the_number_of_its_class(data: Path) -> None:
    for clip in load_clips(ESC10, data):
        fold, group, _, number = clip.id.split("-")
        assert (clip.fold, clip.group, clip.target) == (fold, group, esc50.LABELS[int(number)])


def test_the_subset_is_sorted_by_id(data: Path) -> None:
    ids = [clip.id for clip in load_clips(ESC10, data)]
    assert ids == sorted(ids)


def test_no_recording_of_the_subset_lies_in_two_folds(data: Path) -> None:
    places = {(clip.group, clip.fold) for clip in load_clips(ESC10, data)}
    assert len(places) == len({group for group, _ in places})


def test_the_whole_set_is_refused_where_only_the_subset_lies(data: Path, refused: Refused) -> None:
    with refused("esc50 has 2,000 clips, .* names 400: 1,600 are missing; .*choose another variant"):
        load_clips(ESC50, data)


@pytest.fixture
def table(shared: Path, tmp_path: Path) -> list[Clip]:
    """What the authors' whole table lists; there is no audio with it."""
    path = shared / "data" / "excerpts" / "esc50-all_folds" / "ESC-50-master" / "meta" / "esc50.csv"
    if not path.is_file():
        pytest.skip(f"the authors' table is not there: {path}")
    rows = path.read_text(encoding="utf-8").split()[1:]
    if len(rows) < 2000:
        pytest.skip(f"the authors' table is not whole: {path} has {len(rows)} rows")
    write(tmp_path, rows)
    clips: list[Clip] = ESC50.list_clips(tmp_path)
    return clips


def test_the_authors_whole_table_passes(table: list[Clip]) -> None:
    check_clips(ESC50, table)
    assert len(table) == ESC50.clips


def test_just_the_known_recordings_lie_in_two_folds(table: list[Clip]) -> None:
    folds = Counter(group for group, _ in {(clip.group, clip.fold) for clip in table})
    assert {group for group, count in folds.items() if count > 1} == esc50.SPANNING
