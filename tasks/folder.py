"""Your own audio, in one folder per label: folder:FOLDER, perhaps with train, valid and test in between."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from harness.datasets import Task
from harness.errors import UserError
from harness.types import Clip

from ._files import AUDIO
from ._tables import PARTS, absolute, own_task

ARGUMENT = "FOLDER"
GUIDE = {
    "FOLDER/LABEL/": "audio files, at any depth; five folds are made, alike in their labels, always the same",
    "FOLDER/PART/LABEL/": "the same, where each PART is train, valid (or validation, val, dev) or test; valid may be "
    "left to be made of train",
    "groups": "each file is its own; what must not lie in two folds, such as a speaker, needs a table and csv:FILE",
    "not read": "hidden files, and files that are no audio; a link to audio or to a folder is refused",
}
#: What soundfile does not read; such a file would be missed without a word.
UNREADABLE = frozenset((".m4a", ".aac", ".mp4", ".wma", ".webm", ".amr", ".ape", ".mka"))


def task(text: str) -> Task:
    """The task of a folder.

    Raises:
        UserError: the folder is not laid out as it must be.
    """
    root = absolute(text)
    if not root.is_dir():
        raise UserError(
            f"{text!r} is a file: write csv:{text} for a table" if root.exists() else f"there is no folder {text!r}"
        )
    files = sorted(path.relative_to(root) for path in _audio(root, root))
    if not files:
        raise UserError(f"there is no audio in {text!r}: it must hold a folder for each label, with audio in it")
    split = _is_split(text, root)
    depth = 2 if split else 1
    if stray := [file for file in files if len(file.parts) <= depth]:
        raise UserError(f"{stray[0].as_posix()!r} in {text!r} has no label: put it into the folder of its label")
    _refuse_empty(text, root, depth, {file.parts[depth - 1] for file in files})
    clips = [_clip(file, split) for file in files]
    content = json.dumps([[file.as_posix(), (root / file).stat().st_size] for file in files])
    digest = hashlib.sha256(content.encode()).hexdigest()
    folds = "split" if split else ""
    return own_task("folder", root, digest, clips, folds=folds, groups="each file is its own group")


def _audio(root: Path, folder: Path) -> Iterator[Path]:
    """Every audio file below a folder."""
    for path in _entries(folder):
        if path.is_symlink() and (path.is_dir() or path.suffix.lower() in AUDIO):
            raise UserError(
                f"{path.relative_to(root).as_posix()!r} in {root.name} is a link, which might lead anywhere: put the "
                "audio itself there, or list it in a table for csv:FILE"
            )
        if path.is_dir():
            yield from _audio(root, path)
        elif path.suffix.lower() in UNREADABLE:
            raise UserError(
                f"{path.relative_to(root).as_posix()!r} in {root.name} is of a kind that cannot be read: convert it to "
                "WAV or FLAC, or take it out"
            )
        elif path.suffix.lower() in AUDIO:
            if not _is_text(str(path.relative_to(root))):
                raise UserError(f"the name {str(path.relative_to(root))!r} in {root.name} is no UTF-8: rename it")
            yield path


def _is_text(name: str) -> bool:
    """Whether a name can be written down: the system gives bytes that are no UTF-8 as halves of characters."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _entries(folder: Path) -> list[Path]:
    """What is in a folder and not hidden."""
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise UserError(f"the folder {str(folder)!r} cannot be read: {error.strerror}") from error


def _is_split(text: str, root: Path) -> bool:
    """Whether the folders in a folder are parts of a split, and not labels."""
    names = {path.name for path in _entries(root) if path.is_dir()}
    others = sorted(name for name in names if name.lower() not in PARTS)
    if others and {"train", "test"} <= {name.lower() for name in names}:
        raise UserError(f"{text!r} has the folder {others[0]!r} beside train and test: take it out of there")
    return not others


def _refuse_empty(text: str, root: Path, depth: int, heard: set[str]) -> None:
    folders = [root] if depth == 1 else [path for path in _entries(root) if path.is_dir()]
    labels = {path.name for folder in folders for path in _entries(folder) if path.is_dir()}
    if silent := sorted(labels - heard):
        raise UserError(f"the label {silent[0]!r} in {text!r} has no audio: put some into its folder, or take it away")


def _clip(file: Path, split: bool) -> Clip:
    name = file.as_posix()
    fold = PARTS[file.parts[0].lower()] if split else ""
    return Clip(id=name, path=file, target=file.parts[1 if split else 0], fold=fold, group=name)
