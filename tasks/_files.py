"""How data sets lie on disk: their root, their audio, and ids that do not depend on the place."""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from harness.errors import UserError

#: What soundfile reads.
AUDIO = frozenset(
    (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64")
)
#: What systems leave in folders and archives.
JUNK = frozenset(("__MACOSX", "Thumbs.db"))


def root_of(folder: Path, tops: str | Sequence[str], holds: str, title: str) -> Path:
    """Where a data set's contents lie in a task's folder: in the folder that its archive makes, or directly.

    ``tops`` are that folder's name, or the several that releases have; ``holds`` is a file or folder in it without
    which the rest is of no use; ``title`` is the data set's name for a sentence.

    Raises:
        UserError: ``holds`` is in none of these places.
    """
    roots = [*(folder / top for top in ([tops] if isinstance(tops, str) else tops)), folder]
    for root in roots:
        if (root / holds).exists():
            return root
    begun = next((root for root in roots[:-1] if root.is_dir()), folder)
    there = "; was its archive unpacked to its end?" if begun.is_dir() and any(begun.iterdir()) else ""
    raise UserError(f"{title} is not in {folder}: there is no {(begun / holds).relative_to(folder)} in it{there}")


def audio_in(folder: Path, suffixes: frozenset[str] = AUDIO) -> list[Path]:
    """Every audio file below a folder, sorted by its path; suffixes count in any case, and junk is left out.

    A file without bytes is listed: reading it is refused, and verifying names it.
    """
    return sorted((path for path in _walk(folder) if path.suffix.lower() in suffixes), key=lambda path: path.as_posix())


def _walk(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name in JUNK:
                continue
            if entry.is_dir():
                yield from _walk(folder / entry.name)
            else:
                yield folder / entry.name


def inside(root: Path, name: str) -> Path:
    """A file that a list or table names, below the root.

    Raises:
        UserError: the name leads elsewhere.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UserError(f"the metadata in {root} name the file {name!r}, which is not in there")
    return root / path


def id_of(path: Path, root: Path) -> str:
    """A clip's id: its path below the root without the suffix, with slashes, in Unicode's NFC."""
    return unicodedata.normalize("NFC", path.relative_to(root).with_suffix("").as_posix())


def name_parts(pattern: re.Pattern[str], path: Path, form: str) -> dict[str, str]:
    """What a file's name says, by the pattern's groups; ``form`` shows what a name looks like.

    Raises:
        UserError: the name is of another kind.
    """
    match = pattern.fullmatch(unicodedata.normalize("NFC", path.name))
    if match is None:
        raise UserError(
            f"{path.name!r} does not belong in {path.parent}, where names are like {form}: take it out of there"
        )
    return match.groupdict()


def refuse_pointers(paths: Sequence[Path], title: str) -> None:
    """Refuse files of a repository that git-lfs has not yet put in place, as the first one tells.

    Raises:
        UserError: so it is.
    """
    if not paths or paths[0].stat().st_size > 1000:
        return
    if paths[0].read_bytes().startswith(b"version https://git-lfs"):
        raise UserError(f"the audio of {title} in {paths[0].parent} is pointers, no sound: run `git lfs pull` there")
