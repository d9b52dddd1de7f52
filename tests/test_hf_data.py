"""Data sets of Hugging Face's datasets: columns are found or named, splits understood, audio copied as it is stored."""

import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import soundfile

import harness
from harness.data import ready_folder
from harness.datasets import load_clips
from harness.registry import load_task
from harness.types import Class, Tags

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def still() -> None:
    """No bars."""
    datasets.disable_progress_bars()


def audio(label: str, take: int) -> dict[str, Any]:
    """A stored file: a tone for each label, in noise."""
    time = np.arange(4000) / 16_000
    noise = np.random.default_rng(take).standard_normal(4000)
    out = io.BytesIO()
    soundfile.write(out, 0.3 * np.sin(time * 2000 * len(label)) + 0.02 * noise, 16_000, format="FLAC")
    return {"bytes": out.getvalue(), "path": f"{take}.flac"}


def rows(labels: Sequence[Any] = ("a", "bb"), takes: int = 4, **columns: Any) -> Any:
    """So many clips of each label."""
    listed = [label for label in labels for _ in range(takes)]
    sounds = [audio(str(label), take) for take, label in enumerate(listed)]
    made = datasets.Dataset.from_dict({"audio": sounds, "label": listed} | columns)
    return made.cast_column("audio", datasets.Audio())


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., str]:
    """Saves splits, or a single one, and gives the task's name."""

    def saved(made: Any, **options: str) -> str:
        folder = tmp_path / "mine"
        (datasets.DatasetDict(made) if isinstance(made, dict) else made).save_to_disk(folder)
        return ",".join([f"hf:{folder}", *(f"{name}={value}" for name, value in options.items())])

    return saved


Save = Callable[..., str]


def test_a_saved_folder_runs(save: Save, folders: dict[str, str]) -> None:
    name = save({"train": rows(), "validation": rows(), "test": rows()})
    result = harness.run("mel", name, **folders)
    assert (result.score, result.data["clips"]) == (1.0, 24)
    assert result.task.startswith("hf:mine@")


def test_class_names_are_the_labels(save: Save) -> None:
    made = rows((0, 1)).cast_column("label", datasets.ClassLabel(names=["cat", "dog"]))
    assert load_task(save({"train": made, "validation": made, "test": made})).target == Class(("cat", "dog"))


def test_lists_of_labels_are_tags(save: Save) -> None:
    made = rows(("a", "bb")).remove_columns("label").add_column("tags", [["x"], ["x", "y"], [], ["y"]] * 2)
    assert load_task(save({"train": made, "test": made})).target == Tags(("x", "y"))


def test_audio_is_copied_as_it_is_stored(save: Save, tmp_path: Path) -> None:
    made = rows()
    task = load_task(save({"train": made, "validation": made, "test": made}))
    folder = ready_folder(task, [str(tmp_path / "data")])
    first = load_clips(task, folder)[0]
    assert first.path.read_bytes() == audio("a", 0)["bytes"]
    assert first.path.is_relative_to(tmp_path / "data")


def test_audio_may_be_paths_of_files(save: Save, tmp_path: Path) -> None:
    file = tmp_path / "one.wav"
    soundfile.write(file, np.random.default_rng(0).uniform(-0.1, 0.1, 800), 8000)
    made = datasets.Dataset.from_dict({"file": [str(file)] * 9, "label": list("abc") * 3})
    task = load_task(save(made, audio="file"))
    assert load_clips(task, ready_folder(task, [str(tmp_path / "data")]))[0].path.read_bytes() == file.read_bytes()


def test_without_a_test_split_folds_are_made_of_groups(save: Save) -> None:
    speakers = [f"s{take % 4}" for take in range(8)]
    task = load_task(save({"train": rows(speaker=speakers)}))
    assert len(task.splits) == 4
    assert "groups are in the column speaker" in task.folding


def test_three_splits_with_names_of_their_own_are_folds(save: Save) -> None:
    task = load_task(save({name: rows() for name in ("one", "two", "three")}))
    assert {split.test for split in task.splits} == {("one",), ("two",), ("three",)}


def test_columns_may_be_named(save: Save) -> None:
    made = rows(mood=list("xyxyxyxy"))
    assert load_task(save({"train": made, "test": made}, label="mood")).target == Class(("x", "y"))


def test_the_same_folder_is_the_same_task(save: Save) -> None:
    name = save({"train": rows(), "test": rows()})
    assert load_task(name).folder == load_task(name).folder


BAD: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "no label": ({"rename": ("label", "mood")}, {}, "no column of .* is taken for the label, of audio, mood"),
    "no such column": ({}, {"label": "lable"}, "has no column 'lable': did you mean 'label'"),
    "an unknown option": ({}, {"labell": "x"}, "where OPTION=VALUE is due: did you mean 'label'"),
    "an empty label": ({"labels": ("a", None)}, {}, "row 4 of train in .* has no label"),
}


@pytest.mark.parametrize(("change", "options", "sentence"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_understood_is_refused(
    save: Save, refused: Refused, change: dict[str, Any], options: dict[str, str], sentence: str
) -> None:
    made = rows(change.get("labels", ("a", "bb")))
    if "rename" in change:
        made = made.rename_column(*change["rename"])
    name = save({"train": made, "test": made}, **options)
    with refused(sentence):
        load_task(name)


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("cannot be opened"):
        load_task(f"hf:{tmp_path}")


def test_audio_that_is_not_there_is_named(save: Save, tmp_path: Path, refused: Refused) -> None:
    made = datasets.Dataset.from_dict({"file": [str(tmp_path / "gone.wav")] * 9, "label": list("abc") * 3})
    with refused("row 0 of train holds no audio"):
        ready_folder(load_task(save(made, audio="file")), [str(tmp_path / "data")])
