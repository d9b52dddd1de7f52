"""A data set of Hugging Face's datasets: hf:ORG/NAME on the hub, or hf:FOLDER that save_to_disk has written."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.datasets import Task
from harness.errors import UserError, choices
from harness.types import Clip

from ._tables import PARTS, own_task

ARGUMENT = "NAME"
GUIDE = {
    "NAME": "ORG/NAME on the hub, or a folder that save_to_disk has written",
    "columns": "that of the audio is found by its type, label and group by their names; or they are named: "
    "hf:NAME,audio=COLUMN,label=COLUMN,group=COLUMN",
    "config, revision": "hf:NAME,config=CONFIG,revision=COMMIT",
    "splits": "train, validation and test, of which validation may be left to be made of train; of one split alone "
    "five folds are made, grouped and alike in their labels, always the same; three or more with other names are folds",
    "labels": "one a clip, or a list of any number, which makes it a task of tags",
    "audio": "is copied once, as it is stored, into the data folder",
}
OPTIONS = ("audio", "label", "group", "config", "revision")
#: Names of columns that mean a label, or what must not be in two folds; the first that is there is taken.
LABELS = ("label", "labels", "class", "category", "target", "tags", "genre", "emotion", "species", "intent", "language")
GROUPS = ("group", "speaker", "speaker_id", "recording", "recordist", "artist", "artist_id", "client_id")

#: A split's rows, which `datasets` has no types for.
Rows = Any


def task(text: str) -> Task:
    """The task of a data set; its audio is copied when it is first used.

    Raises:
        UserError: it cannot be had, or no column is to be taken for the audio or the label.
    """
    name, options = _understood(text)
    sets = _opened(name, options)
    columns = _columns(name, next(iter(sets.values())), options)
    clips = [clip for split, rows in sets.items() for clip in _clips(name, split, rows, columns)]
    state = [[split, rows._fingerprint] for split, rows in sorted(sets.items())]
    digest = hashlib.sha256(json.dumps([state, sorted(columns.items())]).encode()).hexdigest()
    groups = f"groups are in the column {columns['group']}" if "group" in columns else "each clip is its own group"
    place = Path(name)
    own = own_task("hf", place, digest, clips, folds=_kind_of_splits(sets), groups=groups)
    source = partial(_copy, sets, columns["audio"])
    return replace(own, folder=f"hf-{place.name}-{digest[:16]}", source=source)


def _understood(text: str) -> tuple[str, dict[str, str]]:
    name, *given = text.split(",")
    options: dict[str, str] = {}
    for each in given:
        option, equals, value = each.partition("=")
        if not equals or not value or option not in OPTIONS:
            raise UserError(f"hf:{text} has {each!r}, where OPTION=VALUE is due: {choices(option, OPTIONS)}")
        options[option] = value
    return name, options


def _opened(name: str, options: Mapping[str, str]) -> dict[str, Rows]:
    """The splits by their names."""
    import datasets

    try:
        if Path(name).is_dir():
            found = datasets.load_from_disk(name)
        else:
            found = datasets.load_dataset(name, options.get("config"), revision=options.get("revision"))
    except (OSError, ValueError, RuntimeError) as error:  # what the library raises of names, configurations, networks
        reason = " ".join(str(error).split()).rstrip(".").replace(". ", "; ")
        raise UserError(f"the data set {name!r} cannot be opened ({reason})") from error
    return dict(found) if isinstance(found, dict) else {str(found.split or "train"): found}


def _columns(name: str, rows: Rows, options: Mapping[str, str]) -> dict[str, str]:
    """Which columns hold audio, label and, where there is one, group."""
    import datasets

    features = rows.features
    for role in ("audio", "label", "group"):
        if role in options and options[role] not in features:
            raise UserError(f"{name} has no column {options[role]!r}: {choices(options[role], features)}")
    found = {
        "audio": [column for column, feature in features.items() if isinstance(feature, datasets.Audio)],
        "label": [column for column in LABELS if column in features],
        "group": [column for column in GROUPS if column in features],
    }
    columns = {role: options.get(role) or next(iter(found[role]), "") for role in found}
    for role in ("audio", "label"):
        if not columns[role]:
            raise UserError(
                f"no column of {name} is taken for the {role}, of {', '.join(features)}: write hf:{name},{role}=COLUMN"
            )
    return {role: column for role, column in columns.items() if column}


def _kind_of_splits(sets: Mapping[str, Rows]) -> str:
    """The word of :data:`FOLDS` for what the splits are."""
    if len(sets) == 1:
        return ""
    return "split" if all(split in PARTS for split in sets) or len(sets) < 3 else "fold"


def _clips(name: str, split: str, rows: Rows, columns: Mapping[str, str]) -> Iterator[Clip]:
    """A split's clips, with paths below the folder that :func:`_copy` fills."""
    told = rows.select_columns([columns[role] for role in ("label", "group") if role in columns])
    shown = _shown(rows.features[columns["label"]])
    for number, row in enumerate(told):
        label = shown(row[columns["label"]])
        if label is None:
            raise UserError(f"row {number} of {split} in {name} has no label")
        clip = f"{split}/{number:06}"
        group = str(row[columns["group"]]) if "group" in columns else clip
        yield Clip(clip, Path(clip), label, PARTS.get(split, split), group)


def _shown(feature: Any) -> Callable[[Any], Any]:
    """How a column's values become labels; None where there is none."""
    names = getattr(feature, "names", None)
    if names is not None:
        return lambda value: None if value is None or value < 0 else names[value]
    if (inner := getattr(feature, "feature", None)) is not None:
        each = _shown(inner)
        return lambda values: tuple(dict.fromkeys(map(each, values or ())))
    return lambda value: None if value is None else str(value)


def _copy(sets: Mapping[str, Rows], column: str, folder: Path) -> None:
    """Write the audio of every clip, as it is stored, into an empty folder."""
    import datasets

    for split, rows in sets.items():
        (folder / split).mkdir()
        stored = rows.select_columns([column])
        if isinstance(stored.features[column], datasets.Audio):
            stored = stored.cast_column(column, datasets.Audio(decode=False))
        for number, row in enumerate(stored):
            _write(row[column], folder / split / f"{number:06}", f"row {number} of {split}")


def _write(audio: Any, path: Path, where: str) -> None:
    content = audio.get("bytes") if isinstance(audio, Mapping) else None
    source = audio.get("path") if isinstance(audio, Mapping) else audio
    if content is not None:
        path.write_bytes(content)
    elif isinstance(source, str) and Path(source).is_file():
        shutil.copyfile(source, path)
    else:
        raise UserError(f"{where} holds no audio, neither the bytes of a file nor the path of one that is there")
