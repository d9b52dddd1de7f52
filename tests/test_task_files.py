"""What parsers of data sets share: roots, audio files, tables, and the published rules by which clips are dealt."""

import csv
import importlib
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.datasets import load_clips
from harness.partial import load_present
from harness.registry import load_task
from harness.types import Clip
from harness.verify import verify

import trees

files = importlib.import_module("harness.tasks._files")
metadata = importlib.import_module("harness.tasks._metadata")
rules = importlib.import_module("harness.tasks._splits")
Refused = Callable[[str], AbstractContextManager[None]]

# Files.


@pytest.mark.parametrize("top", ["", "Set", "Set-master"])
def test_a_root_is_the_archives_own_folder_or_its_inside(tmp_path: Path, top: str) -> None:
    (tmp_path / top / "audio").mkdir(parents=True)
    assert files.root_of(tmp_path, ("Set", "Set-master"), "audio", "Set") == tmp_path / top


def test_a_missing_root_says_what_is_missing(tmp_path: Path, refused: Refused) -> None:
    with refused(f"Set is not in {tmp_path}: there is no audio in it$"):
        files.root_of(tmp_path, "Set", "audio", "Set")


def test_an_archive_that_was_unpacked_in_part_is_told(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "Set" / "meta").mkdir(parents=True)
    with refused("there is no Set/audio in it; was its archive unpacked to its end"):
        files.root_of(tmp_path, "Set", "audio", "Set")


def test_audio_is_found_at_any_depth_in_any_case_and_junk_is_left_out(tmp_path: Path) -> None:
    for name in (
        "b.WAV",
        "a/x#1 [y].flac",
        "a/._x.wav",
        "__MACOSX/b.wav",
        ".DS_Store",
        "Thumbs.db",
        "a/x.txt",
        "c.mp3",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [path.relative_to(tmp_path).as_posix() for path in files.audio_in(tmp_path)]
    assert found == ["a/x#1 [y].flac", "b.WAV", "c.mp3"]


def test_an_id_is_the_path_in_nfc_without_suffix(tmp_path: Path) -> None:
    assert files.id_of(tmp_path / "a" / "e\u0301.x.wav", tmp_path) == "a/\u00e9.x"


@pytest.mark.parametrize("name", ["../x.wav", "/etc/x.wav", "a/../../x.wav", ""])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, refused: Refused, name: str) -> None:
    with refused("which is not in there"):
        files.inside(tmp_path, name)


def test_pointers_of_git_lfs_are_told_from_sound(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "x.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with refused("pointers, no sound: run `git lfs pull` there"):
        files.refuse_pointers([tmp_path / "x.wav"], "Set")


# Tables.


def test_a_table_may_have_no_header(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("1\tx\n2\ty\n")
    rows = metadata.read_table(tmp_path / "t", ("b",), delimiter="\t", header=("a", "b"))
    assert rows == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]


def test_cells_may_be_long_and_hold_commas_and_lines(tmp_path: Path) -> None:
    long = "x" * 200_000
    (tmp_path / "t").write_text(f'\ufeffa,b\n"1,\n2",{long}\n')
    assert metadata.read_table(tmp_path / "t", ("a", "b")) == [{"a": "1,\n2", "b": long}]


BAD_TABLES = {
    "a missing column": (b"a,c\n1,2\n", "t lacks the column 'b': it has a, c"),
    "nothing": (b"", "t lacks the column 'a': it has none"),
    "a short row": (b"a,b\n1\n", "row 1 of .*t has 1 cells, and there are 2 columns"),
    "no text": (b"\xff\xfe\x00", "no text in UTF-8"),
}


@pytest.mark.parametrize(("content", "sentence"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_a_bad_table_is_refused(tmp_path: Path, refused: Refused, content: bytes, sentence: str) -> None:
    (tmp_path / "t").write_bytes(content)
    with refused(sentence):
        metadata.read_table(tmp_path / "t", ("a", "b"))


def test_json_that_is_none_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "j").write_text("{")
    with refused("cannot be read as JSON"):
        metadata.read_json(tmp_path / "j")


# Rules.


def test_hear_deals_the_firearms_as_published() -> None:
    folds = rules.hear_folds({f"fid{i}": {"mic1"} for i in range(1, 8)}, 7)
    assert sorted(folds, key=lambda key: folds[key]) == ["fid3", "fid2", "fid5", "fid4", "fid1", "fid7", "fid6"]


def test_hear_deals_anew_until_every_fold_has_every_label() -> None:
    keys = {f"{label}{i}": {label} for label in "abc" for i in range(4)}
    folds = rules.hear_folds(keys, 3)
    assert {(fold, key[0]) for key, fold in folds.items()} == {
        (f"fold{i:02}", label) for i in range(3) for label in "abc"
    }


def test_hear_rounds_parts_as_published() -> None:
    assert Counter(rules.hear_parts(map(str, range(72)), 0.2, 0.2).values()) == {"train": 44, "valid": 14, "test": 14}


def test_hear_samples_as_pandas_does() -> None:
    import pandas as pd

    stems = [f"w{i:03}" for i in range(50)]
    seed = 0x2F  # another seed would do
    drawn = pd.DataFrame({"stem": sorted(stems)}).sample(frac=1, random_state=seed)["stem"].tolist()
    import numpy as np

    order = np.random.RandomState(seed).choice(50, 50, replace=False)
    assert drawn == [sorted(stems)[i] for i in order]
    assert len(rules.hear_sample(stems, "train", 20)) == 20


@pytest.mark.parametrize(
    ("file", "shares", "column"),
    [
        ("crema_d_tfds_speakers.csv", (0.7, 0.1, 0.2), None),
        *[("serab_speakers.csv", (0.6, 0.2, 0.2), each) for each in ("emodb", "emovo", "ravdess")],
    ],
)
def test_speakers_are_dealt_as_tensorflow_datasets_does(
    shared: Path, file: str, shares: tuple[float, ...], column: str | None
) -> None:
    path = shared / "specs" / "splits" / file
    if not path.is_file():
        pytest.skip(f"the list is not there: {path}")
    with path.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if column is None or row["dataset"] == column]
    given = {row["speaker"]: row["split"] for row in rows}
    assert rules.tfds_speakers(given, shares) == given


def test_where_validation_is_lacking_it_is_a_grouped_part_of_train() -> None:
    clips = [Clip(f"{i:03}", Path("x"), "ab"[i % 2], "train", f"g{i // 4}") for i in range(200)]
    dealt = rules.with_valid(clips)
    assert Counter(clip.fold for clip in dealt) == {"train": 180, "valid": 20}
    assert len({(clip.group, clip.fold) for clip in dealt}) == 50


def test_the_filtered_tracks_are_those_of_the_published_list(shared: Path) -> None:
    path = shared / "specs" / "splits" / "gtzan.csv"
    if not path.is_file():
        pytest.skip(f"the list is not there: {path}")
    with path.open(newline="") as lines:
        given = {row["id"].removesuffix(".wav"): row["split"] for row in csv.DictReader(lines)}
    tasks = importlib.import_module("harness.tasks.gtzan")
    tracks = {f"{genre}/{genre}.{i:05}": letter for genre, own in tasks.TRACKS.items() for i, letter in enumerate(own)}
    assert {name: tasks.PART[letter] for name, letter in tracks.items() if letter != "-"} == given


# Bad data have their sentence, here of one family that stands for all.


@pytest.fixture
def us8k(tmp_path: Path) -> Path:
    trees.write("us8k", tmp_path)
    return tmp_path


def edit(folder: Path, old: str, new: str) -> None:
    table = folder / "UrbanSound8K" / "metadata" / "UrbanSound8K.csv"
    text = table.read_text(encoding="utf-8")
    assert old in text
    table.write_text(text.replace(old, new), encoding="utf-8")


EDITS = {
    "a missing column": ("fsID", "source", "UrbanSound8K.csv lacks the column 'fsID'"),
    "an unknown label": (",dog_bark", ",dog_meow", "does not know the label 'dog_meow'"),
    "a recording in two folds": ("100020", "100010", r"'100010' \(folds 1, 2\)"),
    "an unknown fold": (",7,3,", ",17,3,", "no clips in, fold '17'"),
}


@pytest.mark.parametrize(("old", "new", "sentence"), EDITS.values(), ids=EDITS.keys())
def test_metadata_that_are_wrong_are_refused(us8k: Path, refused: Refused, old: str, new: str, sentence: str) -> None:
    edit(us8k, old, new)
    if old == ",7,3,":
        (us8k / "UrbanSound8K" / "audio" / "fold7").rename(us8k / "UrbanSound8K" / "audio" / "fold17")
    if old == "100020":
        for path in (us8k / "UrbanSound8K" / "audio" / "fold2").glob("100020*"):
            path.rename(path.with_name(path.name.replace("100020", "100010")))
    with refused(sentence):
        load_present(load_task("us8k"), us8k)


def test_files_that_are_missing_are_counted(us8k: Path, refused: Refused) -> None:
    with refused("us8k has 8,732 clips, but .* holds or names 30: 8,702 are missing"):
        load_clips(load_task("us8k"), us8k)


def test_verifying_names_what_is_no_audio_and_what_has_no_bytes(us8k: Path) -> None:
    audio = us8k / "UrbanSound8K" / "audio"
    (audio / "fold1" / "100010-3-0-0.wav").write_bytes(b"<html>no audio, but long enough to be taken for it</html>")
    (audio / "fold2" / "100020-3-0-0.wav").write_bytes(b"")
    found = verify(load_task("us8k"), [f"us8k={us8k}"]).problems
    assert any("100010-3-0-0.wav cannot be read" in line for line in found)
    assert any("100020-3-0-0.wav is empty" in line for line in found)


def test_verifying_tells_lengths_rates_and_tables(us8k: Path) -> None:
    notes = verify(load_task("us8k"), [f"us8k={us8k}"], partial=True).notes
    assert "0.00 h in clips of 0.25 to 0.25 s, at 44100 Hz (10), 48000 Hz (10), 22050 Hz (10)" in notes
    assert any(line.startswith("sha256 of UrbanSound8K/metadata/UrbanSound8K.csv: ") for line in notes)


def test_the_same_audio_in_two_folds_is_told(us8k: Path) -> None:
    audio = us8k / "UrbanSound8K" / "audio"
    twin = (audio / "fold3" / "100030-3-0-0.wav").read_bytes()
    (audio / "fold5" / "100051-8-0-0.wav").write_bytes(twin)
    (audio / "fold3" / "100032-9-0-0.wav").write_bytes(twin)
    (line,) = [note for note in verify(load_task("us8k"), [f"us8k={us8k}"]).notes if "same audio" in note]
    assert line == (
        "the same audio in 2 folds: fold3/100030-3-0-0 (fold 3, label dog_bark), fold3/100032-9-0-0 (fold 3, label "
        "street_music), fold5/100051-8-0-0 (fold 5, label siren)"
    )


def test_the_same_audio_in_one_fold_is_counted(us8k: Path) -> None:
    fold = us8k / "UrbanSound8K" / "audio" / "fold3"
    (fold / "100032-9-0-0.wav").write_bytes((fold / "100030-3-0-0.wav").read_bytes())
    (line,) = [note for note in verify(load_task("us8k"), [f"us8k={us8k}"]).notes if "same audio" in note]
    assert line == (
        "the same audio under several names within one fold: 1 times, under different labels 1 times; "
        "fold3/100030-3-0-0 = fold3/100032-9-0-0"
    )
