"""A user's own audio, in a table or in folders: what is read, what is made, and what every mistake is told."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from harness.data import fetch, ready_folder, task_folder
from harness.datasets import Task, check_clips, load_clips
from harness.registry import describe, load_task, plugins, task_names
from harness.types import Class, Clip, Split, Tags
from harness.verify import verify

Refused = Callable[[str], AbstractContextManager[None]]

NAMES = tuple(f"{label}{i}.wav" for label in ("dog", "cat") for i in range(10))
ROWS = tuple(f"{name},{name[:3]}" for name in NAMES)


def write(path: Path, header: str, rows: Iterable[str], encoding: str = "utf-8") -> Path:
    """A table, and a file that is not opened for every path in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows, ""]), encoding=encoding)
    for row in rows:
        if name := row.split(",")[0].strip():
            touch(path.parent / name)
    return path


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not opened here")
    return path


def table(folder: Path, header: str = "path,label", rows: Sequence[str] = ROWS) -> Task:
    return load_task(f"csv:{write(folder / 'mine.csv', header, rows)}")


def clips_of(task: Task) -> dict[str, Clip]:
    return {clip.id: clip for clip in load_clips(task, ready_folder(task))}


def with_column(column: str, values: Sequence[str]) -> tuple[str, list[str]]:
    """The usual table with another column, whose values take turns."""
    return f"path,label,{column}", [f"{row},{values[i % len(values)]}" for i, row in enumerate(ROWS)]


# A table.


def test_every_row_is_a_clip_and_every_file_its_own_group(tmp_path: Path) -> None:
    clips = clips_of(table(tmp_path))
    assert sorted(clips) == sorted(NAMES)
    assert all(clip.path == tmp_path / name and clip.group == name for name, clip in clips.items())
    assert all(clip.target == name[:3] for name, clip in clips.items())


def test_without_folds_five_are_made_that_hold_each_label_equally_often(tmp_path: Path) -> None:
    task = table(tmp_path)
    assert Counter((clip.fold, clip.target) for clip in clips_of(task).values()) == {
        (fold, label): 2 for fold in "12345" for label in ("dog", "cat")
    }
    assert task.folding == "5 grouped, stratified folds (seed 0); each file is its own group"
    assert task.folding in task.description


def test_the_order_of_the_rows_moves_no_clip_into_another_fold(tmp_path: Path) -> None:
    one, other = table(tmp_path / "a"), table(tmp_path / "b", rows=ROWS[::-1])
    assert {n: c.fold for n, c in clips_of(one).items()} == {n: c.fold for n, c in clips_of(other).items()}


def test_made_folds_keep_groups_whole(tmp_path: Path) -> None:
    task = table(tmp_path, *with_column("group", ["a", "b", "c", "d"]))
    check_clips(task, list(clips_of(task).values()))
    assert len(task.splits) == 4
    assert task.folding == "4 grouped, stratified folds (seed 0); groups are in the column group"


def test_stretches_of_one_file_are_of_one_group_and_known_by_their_seconds(tmp_path: Path) -> None:
    rows = [f"{name},{label},{start},{stop}" for name in NAMES for label, start, stop in (("x", "", 1), ("y", 1, 2.50))]
    clips = clips_of(table(tmp_path, "path,label,start,stop", rows))
    assert {clip.id: (clip.start, clip.stop) for clip in clips.values() if clip.group == "dog0.wav"} == {
        "dog0.wav#-1.0": (None, 1.0),
        "dog0.wav#1.0-2.5": (1.0, 2.5),
    }
    assert len({(clip.group, clip.fold) for clip in clips.values()}) == len(NAMES)


@pytest.mark.parametrize("tags", [["dog;wet"], ["dog;", ""], ["dog;wet", "wet", ""]])
def test_a_semicolon_makes_tags(tmp_path: Path, tags: list[str]) -> None:
    task = table(tmp_path, rows=[f"{i}.wav,{tags[i % len(tags)]}" for i in range(12)])
    assert task.target == Tags(("dog", "wet") if "wet" in " ".join(tags) else ("dog",))
    assert [clip.target for clip in sorted(clips_of(task).values(), key=lambda clip: int(clip.id[:-4]))] == [
        tuple(tag for tag in tags[i % len(tags)].split(";") if tag) for i in range(12)
    ]


def test_a_tag_that_is_written_twice_counts_once(tmp_path: Path) -> None:
    clips = clips_of(table(tmp_path, rows=[f"{i}.wav,dog; wet;dog" for i in range(6)]))
    assert clips["0.wav"].target == ("dog", "wet")


def test_given_folds_take_turns_in_natural_order(tmp_path: Path) -> None:
    task = table(tmp_path, *with_column("fold", ["10", "9", "1"]))
    assert [split.test for split in task.splits] == [("1",), ("9",), ("10",)]
    assert clips_of(task)["dog0.wav"].fold == "10"
    assert task.folding == "3 folds, as given; each file is its own group"


@pytest.mark.parametrize("word", ["valid", "validation", "val", "dev", "Dev"])
def test_a_given_split_is_used_as_it_is(tmp_path: Path, word: str) -> None:
    task = table(tmp_path, *with_column("split", ["train", word, "test"]))
    assert task.splits == (Split(("train",), ("valid",), ("test",)),)
    assert [clips_of(task)[name].fold for name in NAMES[:3]] == ["train", "valid", "test"]
    assert task.folding == "one split, as given; each file is its own group"


def test_a_split_without_valid_gets_a_fifth_of_train(tmp_path: Path) -> None:
    task = table(tmp_path, *with_column("split", ["train", "train", "train", "test"]))
    clips = clips_of(task)
    assert Counter(clip.fold for clip in clips.values()) == {"train": 12, "valid": 3, "test": 5}
    assert all(clips[name].fold == "test" for name in NAMES[3::4])
    assert task.folding.startswith("one split, as given, but valid is one of 5 grouped, stratified folds (seed 0) of t")


def test_columns_may_be_in_any_order_and_others_are_ignored(tmp_path: Path) -> None:
    write(tmp_path / "mine.csv", "label,state,path", [])
    (tmp_path / "mine.csv").write_text("label,state,path\n" + "".join(f"{n[:3]},old,{n}\n" for n in NAMES))
    for name in NAMES:
        touch(tmp_path / name)
    assert sorted(clips_of(load_task(f"csv:{tmp_path / 'mine.csv'}"))) == sorted(NAMES)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_is_read_as_spreadsheets_write_it(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "mine.csv"
    text = "path, label\r\n\r\n" + "".join(f'"ü, {name}", {name[:3]}\r\n' for name in NAMES) + ",\r\n"
    file.write_bytes(text.encode(encoding))
    for name in NAMES:
        touch(tmp_path / f"ü, {name}")
    clips = clips_of(load_task(f"csv:{file}"))
    assert sorted(clips) == sorted(f"ü, {name}" for name in NAMES)
    assert {clip.target for clip in clips.values()} == {"dog", "cat"}


def test_paths_are_relative_to_the_table_and_the_table_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "tables" / "mine.csv", "path,label", [f"../audio/{row}" for row in ROWS])
    monkeypatch.chdir(tmp_path)
    clips = clips_of(load_task("csv:tables/mine.csv"))
    assert sorted(clips) == sorted(f"../audio/{name}" for name in NAMES)


def test_nothing_of_where_the_table_lies_is_shown(tmp_path: Path) -> None:
    home = tmp_path / "secret"
    absolute = [f"{touch(home / 'deep' / row.split(',')[0])},{row.split(',')[1]}" for row in ROWS]
    (home / "mine.csv").write_text("\n".join(["path,label", *absolute]))
    task = load_task(f"csv:{home / 'mine.csv'}")
    facts = describe("tasks", f"csv:{home / 'mine.csv'}")
    shown = [task.name, task.version, task.description, task.folding, str(facts)]
    shown += [f"{clip.id} {clip.group}" for clip in clips_of(task).values()]
    assert not any("secret" in text or "deep" in text or str(tmp_path) in text for text in shown)


def test_files_of_one_name_at_two_absolute_places_are_two_clips(tmp_path: Path) -> None:
    rows = [f"{tmp_path}/{place}/{row}" for place in ("one", "two") for row in ROWS]
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(["path,label", *rows]))
    ids = [clip.id for clip in load_task(f"csv:{file}").list_clips(tmp_path)]
    assert len(set(ids)) == 2 * len(NAMES)
    assert all(re.fullmatch(r"(dog|cat)\d\.wav-[0-9a-f]{8}", name) for name in ids)


def test_a_tables_name_and_version_are_of_its_contents(tmp_path: Path) -> None:
    one, copy, other = table(tmp_path / "a"), table(tmp_path / "b"), table(tmp_path / "c", rows=ROWS[:-1])
    digest = hashlib.sha256((tmp_path / "a" / "mine.csv").read_bytes()).hexdigest()
    assert (one.name, one.version) == (f"csv:mine.csv@{digest[:8]}", digest[:16]) == (copy.name, copy.version)
    assert other.version != one.version


WRONG = {
    "empty": ("", [], "the first line of mine.csv is empty: it must name the columns path and label"),
    "no rows": ("path,label", [], "mine.csv lists no clips: there is nothing below its first line"),
    "semicolons": (
        "path;label",
        ["a.wav;dog"],
        "mine.csv has one column only, 'path;label': it needs path and label, ",
    ),
    "a column twice": ("path,label,path", ROWS, "mine.csv has the column 'path' more than once"),
    "no label": ("path,speaker", ROWS, "mine.csv lacks the column 'label': it has path, speaker"),
    "labels": ("path,labels", ROWS, "mine.csv has a column 'labels' and none 'label': did you mean 'label'? rename it"),
    "capitals": ("Path,label", ROWS, "has a column 'Path' and none 'path': did you mean 'path'? rename it"),
    "filename": ("filename,label", ROWS, "has a column 'filename' and none 'path': did you mean 'path'? rename it"),
    "groups": (*with_column("groups", "ab"), "has a column 'groups' and none 'group': did you mean 'group'? rename it"),
    "end": (*with_column("end", "12"), "has a column 'end' and none 'stop': did you mean 'stop'? rename it"),
    "fold and split": ("path,label,fold,split", ROWS, "both a column 'fold' and a column 'split': keep the one that"),
    "too many cells": ("path,label", ["a.wav,dog", "b.wav,dog,cat"], "line 3 of mine.csv has 3 cells, and the first "),
    "too few cells": ("path,label", ["a.wav"], "line 2 of mine.csv has 1 cells, and the first line names 2 columns: a"),
    "an open quote": ("path,label", ['"a.wav,dog'], "line 2 of mine.csv cannot be read as CSV: unexpected end of data"),
    "no path": ("path,label", [",dog"], "line 2 of mine.csv has no path"),
    "no class": ("path,label", ["", "a.wav,"], "line 3 of mine.csv has no label"),
    "no group": ("path,label,group", ["a.wav,dog,"], "line 2 of mine.csv has no group"),
    "no fold": ("path,label,fold", ["a.wav,dog,"], "line 2 of mine.csv has no fold"),
    "one label": ("path,label", [f"{i}.wav,dog" for i in range(9)], "mine.csv has 1 label(s), dog: give it two or"),
    "no tag": ("path,label", [f"{i}.wav,;" for i in range(9)], "csv:mine.csv has 0 label(s), : give it two or more"),
    "a row twice": ("path,label", [*ROWS, ROWS[1]], "line 22 of mine.csv lists 'dog1.wav' again, after line 3 of mine"),
    "a stretch twice": (
        "path,label,start,stop",
        ["a.wav,dog,,1", "a.wav,cat,0,1.0"],
        "line 3 of mine.csv lists 'a.wav#0.0-1.0' again, after line 2 of mine.csv",
    ),
    "two spellings": (
        "path,label",
        [*ROWS, "x/../dog1.wav,dog"],
        "line 22 of mine.csv and line 3 of mine.csv name one ",
    ),
    "no number": (
        "path,label,start",
        ["a.wav,dog,soon"],
        "line 2 of mine.csv has the start 'soon', which is no number",
    ),
    "not finite": (
        "path,label,stop",
        ["a.wav,dog,nan"],
        "line 2 of mine.csv has the stop 'nan': it must be a number of",
    ),
    "negative": ("path,label,start", ["a.wav,dog,-1"], "line 2 of mine.csv has the start '-1': it must be a number of"),
    "backwards": (
        "path,label,start,stop",
        ["a.wav,dog,2,1.5"],
        "line 2 of mine.csv starts at 2.0 s and stops at 1.5 s:",
    ),
    "nothing": ("path,label,stop", ["a.wav,dog,0"], "line 2 of mine.csv starts at 0.0 s and stops at 0.0 s: it must"),
    "another split": (*with_column("split", ["train", "tset"]), "has the split 'tset': did you mean 'test'? there is"),
    "no test": (
        *with_column("split", ["train", "dev"]),
        "csv:mine.csv has no clip in test: a split has train and test",
    ),
    "no train": (*with_column("split", ["test", "dev"]), "csv:mine.csv has no clip in train: a split has train and"),
    "two folds": (
        *with_column("fold", "12"),
        "csv:mine.csv has 2 fold(s), 1, 2: folds take turns in training, choosing",
    ),
    "two groups": (*with_column("group", "ab"), "csv:mine.csv has too few groups: three groups or more are needed to"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_in_a_table_is_told(tmp_path: Path, refused: Refused, mistake: str) -> None:
    header, rows, sentence = WRONG[mistake]
    (tmp_path / "mine.csv").write_text("\n".join([header, *rows]))
    with refused(re.escape(sentence)):
        load_task(f"csv:{tmp_path / 'mine.csv'}")


def test_a_table_that_is_no_text_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "mine.csv").write_bytes("path,label\nübung.wav,dog".encode("latin-1"))
    with refused("mine.csv is no text in UTF-8: save it as CSV in UTF-8"):
        load_task(f"csv:{tmp_path / 'mine.csv'}")


def test_a_table_that_is_not_there_is_refused(refused: Refused) -> None:
    with refused("the table 'none.csv' cannot be read: No such file or directory"):
        load_task("csv:none.csv")


def test_a_folder_is_no_table(tmp_path: Path, refused: Refused) -> None:
    with refused(f"'{tmp_path}' is a folder: write folder:{tmp_path} for a folder with one folder per label"):
        load_task(f"csv:{tmp_path}")


def test_missing_audio_is_named(tmp_path: Path, refused: Refused) -> None:
    task = table(tmp_path)
    (tmp_path / "dog3.wav").unlink()
    with refused(f"1 of 20 audio files of csv:mine.csv@{task.version[:8]} are missing from {tmp_path}: dog3"):
        load_clips(task, ready_folder(task))


@pytest.mark.parametrize(("column", "values"), [("fold", "123"), ("split", ("train", "test"))])
def test_a_group_over_given_folds_is_refused_by_name(
    tmp_path: Path, refused: Refused, column: str, values: Sequence[str]
) -> None:
    header, rows = with_column(column, values)
    rows = [f"{row},{'everywhere' if i < 4 else f'g{i}'}" for i, row in enumerate(rows)]
    task = table(tmp_path, f"{header},group", rows)
    with refused(r"1 group\(s\) of csv:mine.csv@\w+ lie in more than one fold, .*: 'everywhere' \(folds .*move each"):
        load_clips(task, ready_folder(task))


def test_stretches_of_one_file_in_two_given_folds_are_refused(tmp_path: Path, refused: Refused) -> None:
    rows = [f"{name},{label},{label},{i},{i + 1}" for name in NAMES[:4] for i, label in enumerate("abc")]
    task = table(tmp_path, "path,label,fold,start,stop", rows)
    with refused(r"4 group\(s\) .*'dog0.wav' \(folds a, b, c\)"):
        load_clips(task, ready_folder(task))


# Folders.


def labelled(root: Path, names: Iterable[str]) -> Task:
    for name in names:
        touch(root / name)
    return load_task(f"folder:{root}")


PLAIN = tuple(f"{name[:3]}/{name}" for name in NAMES)


def test_each_folder_is_a_label_and_each_file_in_it_a_clip(tmp_path: Path) -> None:
    names = [*PLAIN, "dog/deep/er/A.FLAC", "cat/b.ogg", "cat/c.mp3"]
    task = labelled(tmp_path / "sounds", names)
    clips = clips_of(task)
    assert task.target == Class(("cat", "dog"))
    assert {name: clip.target for name, clip in clips.items()} == {name: name[:3] for name in names}
    assert all(clip.group == name and clip.path == tmp_path / "sounds" / name for name, clip in clips.items())
    assert {clip.fold for clip in clips.values()} == set("12345")
    assert "each file is its own group" in task.description


@pytest.mark.parametrize("word", ["valid", "validation", "val", "dev"])
def test_folders_of_a_split_are_used_as_they_are(tmp_path: Path, word: str) -> None:
    names = [f"{part}/{name}" for part in ("train", word, "test") for name in PLAIN]
    task = labelled(tmp_path, names)
    assert task.splits == (Split(("train",), ("valid",), ("test",)),)
    for name, clip in clips_of(task).items():
        part, label, _ = name.split("/")
        assert (clip.fold, clip.target) == ("valid" if part == word else part, label)


def test_folders_of_a_split_without_valid_get_a_fifth_of_train(tmp_path: Path) -> None:
    task = labelled(tmp_path, [f"{part}/{name}" for part in ("train", "test") for name in PLAIN])
    assert Counter(clip.fold for clip in clips_of(task).values()) == {"train": 16, "valid": 4, "test": 20}


def test_what_is_hidden_or_no_audio_is_not_read(tmp_path: Path) -> None:
    labelled(tmp_path, [*PLAIN, "dog/._dog0.wav", ".git/x.wav", "README.md", "dog/notes.txt"])
    (tmp_path / "dog" / ".link.wav").symlink_to("/etc/passwd")
    assert sorted(clips_of(load_task(f"folder:{tmp_path}"))) == sorted(PLAIN)


def test_a_folders_name_and_version_are_of_its_files_and_their_sizes(tmp_path: Path) -> None:
    one, copy = labelled(tmp_path / "a" / "mine", PLAIN), labelled(tmp_path / "b" / "mine", PLAIN)
    assert re.fullmatch("folder:mine@[0-9a-f]{8}", one.name)
    assert (one.name, one.version) == (copy.name, copy.version)
    (tmp_path / "b" / "mine" / PLAIN[0]).write_bytes(b"longer than it was before")
    assert load_task(f"folder:{tmp_path / 'b' / 'mine'}").version != one.version


def test_nothing_of_where_a_folder_lies_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled(tmp_path / "secret" / "mine", PLAIN)
    monkeypatch.chdir(tmp_path / "secret" / "mine")
    task = load_task("folder:.")
    assert re.fullmatch("folder:mine@[0-9a-f]{8}", task.name)
    shown = [task.name, task.version, task.description, *task.list_clips(Path())]
    assert not any("secret" in str(text) for text in shown)


DISORDER = {
    "nothing": ([], "there is no audio in '{root}': it must hold a folder for each label, with audio in it"),
    "text only": (["dog/a.txt"], "there is no audio in '{root}': it must hold"),
    "one label": ([*PLAIN[:10]], "folder:mine has 1 label(s), dog: give it two or more"),
    "a stray file": ([*PLAIN, "a.wav"], "'a.wav' in '{root}' has no label: put it into the folder of its label"),
    "a stray file in a part": (
        [f"{part}/{name}" for part in ("train", "test") for name in PLAIN] + ["test/a.wav"],
        "'test/a.wav' in '{root}' has no label: put it",
    ),
    "only files": (["a.wav", "b.wav"], "'a.wav' in '{root}' has no label: put it"),
    "a silent label": ([*PLAIN, "owl/a.txt"], "the label 'owl' in '{root}' has no audio: put some into its folder, or"),
    "no test": ([f"train/{name}" for name in PLAIN], "folder:mine has no clip in test: a split has train and test"),
    "another folder": (
        [f"{part}/{name}" for part in ("train", "test", "extra") for name in PLAIN],
        "'{root}' has the folder 'extra' beside train and test: take it out of there",
    ),
    "another kind": ([*PLAIN, "dog/a.m4a"], "'dog/a.m4a' in mine is of a kind that cannot be read: convert it to WAV"),
    "two files": (["dog/a.wav", "cat/b.wav"], "folder:mine has too few groups: three groups or more are needed to"),
}


@pytest.mark.parametrize("disorder", DISORDER)
def test_disorder_in_a_folder_is_told(tmp_path: Path, refused: Refused, disorder: str) -> None:
    names, sentence = DISORDER[disorder]
    root = tmp_path / "mine"
    root.mkdir()
    with refused(re.escape(sentence.format(root=root))):
        labelled(root, names)


@pytest.mark.parametrize(("name", "target"), [("dog/link.wav", "dog0.wav"), ("dog/x.wav", "/etc/passwd"), ("up", "..")])
def test_a_link_to_audio_or_to_a_folder_is_refused(tmp_path: Path, refused: Refused, name: str, target: str) -> None:
    labelled(tmp_path / "mine", PLAIN)
    (tmp_path / "mine" / name).symlink_to(target)
    with refused(f"'{name}' in mine is a link, which might lead anywhere: put the audio itself there"):
        load_task(f"folder:{tmp_path / 'mine'}")


def test_a_file_name_that_is_no_text_is_refused(tmp_path: Path, refused: Refused) -> None:
    try:
        touch(Path(os.fsdecode(os.fsencode(tmp_path) + b"/dog/\xff.wav")))
    except OSError:
        pytest.skip("this file system takes no such name")
    with refused(r"the name 'dog/\\udcff.wav' in .* is no UTF-8: rename it"):
        load_task(f"folder:{tmp_path}")


def test_a_folder_that_is_not_there_is_refused(refused: Refused) -> None:
    with refused("there is no folder 'none'"):
        load_task("folder:none")


def test_a_table_is_no_folder(tmp_path: Path, refused: Refused) -> None:
    file = touch(tmp_path / "mine.csv")
    with refused(f"'{file}' is a file: write csv:{file} for a table"):
        load_task(f"folder:{file}")


# Where the data lie, and what is known of them.


@pytest.fixture(params=["csv", "folder"])
def own(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The name of a task whose audio can be decoded."""
    root = tmp_path / "mine"
    for seed, name in enumerate(PLAIN):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, np.random.default_rng(seed).uniform(-0.5, 0.5, 800), 8000)
    if request.param == "folder":
        return f"folder:{root}"
    (root / "mine.csv").write_text("\n".join(["path,label", *(f"{name},{name[:3]}" for name in PLAIN)]))
    return f"csv:{root / 'mine.csv'}"


def test_the_data_lie_where_the_name_says(tmp_path: Path, own: str) -> None:
    task = load_task(own)
    assert task_folder(task, [str(tmp_path / "elsewhere")]) == tmp_path / "mine"
    assert fetch(task) == ready_folder(task) == tmp_path / "mine"


def test_ones_own_audio_is_verified(tmp_path: Path, own: str) -> None:
    assert verify(load_task(own)).problems == ()
    (tmp_path / "mine" / "dog" / "dog1.wav").write_bytes(b"no audio any more")
    (problem,) = verify(load_task(own)).problems
    assert problem.startswith(f"the audio file {tmp_path}/mine/dog/dog1.wav cannot be read")


def test_ones_own_audio_is_described(own: str) -> None:
    facts = describe("tasks", own)
    assert (facts["clips"], facts["target"], facts["splits"]) == ("20", "one of 2 labels", "5 folds in turn")
    assert facts["folds"] == "5 grouped, stratified folds (seed 0); each file is its own group"


@pytest.mark.parametrize(("family", "argument"), [("csv", "FILE"), ("folder", "FOLDER")])
def test_without_a_file_it_is_told_what_to_write(family: str, argument: str, refused: Refused) -> None:
    for name in (family, f"{family}:"):
        with refused(f"{family} needs a {argument.lower()} after a colon: write {family}:{argument}"):
            load_task(name)
    assert describe("tasks", family)["name"] == f"{family}:{argument}"


def test_every_column_is_described() -> None:
    facts = describe("tasks", "csv")
    assert all(any(column in key for key in facts) for column in ("path", "label", "fold", "split", "group", "start"))


@pytest.mark.parametrize("family", [name for name, plugin in plugins("tasks").items() if plugin.built_in])
def test_the_names_of_a_task_are_read_without_importing_it(family: str) -> None:
    module = plugins("tasks")[family].load()
    named = [module.ARGUMENT] if hasattr(module, "ARGUMENT") else module.VARIANTS
    assert task_names(family) == [f"{family}:{word}" if word else family for word in named]


@pytest.mark.usefixtures("toys")
def test_of_another_packages_task_the_family_is_listed() -> None:
    assert task_names("toy") == ["toy"]
