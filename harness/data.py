"""Where data lives: find a task's folder, fetch and unpack it, verify it, publish it whole or not at all."""

import http.client
import lzma
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from harness.audio import read_mono
from harness.datasets import Archive, Task, absent_labels, check_clips, load_trials
from harness.errors import UserError, choices
from harness.registry import plugins
from harness.types import Clip, Trials

Progress = Callable[[int, int], None]


def cache_folder(variable: str, name: str) -> Path:
    """``$HARNESS_DATA`` or ``$HARNESS_STORE``, or a folder under the user's cache."""
    if given := os.environ.get(variable):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / name


def task_folder(task: Task, given: Sequence[str] = ()) -> Path:
    """The folder of a task's data.

    Each of ``given`` is DIR, which holds one folder per task, or TASK=DIR, which is that folder itself. Neither moves
    data whose place the task's own name says.
    """
    if isinstance(task.folder, Path):
        return task.folder
    roots = []
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or "/" in name:
            roots.append(Path(text))
        elif name in (task.name, task.name.partition(":")[0], task.folder):
            return Path(folder)
        elif (family := name.partition(":")[0]) not in (known := plugins("tasks")):
            raise UserError(f"--data {text} names no task: {choices(family, known)}")
    folders = [root / task.folder for root in roots or [cache_folder("HARNESS_DATA", "data")]]
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


def ready_folder(task: Task, given: Sequence[str] = ()) -> Path:
    """Like :func:`task_folder`, but the folder is there: an embedded task is made on first use.

    Raises:
        UserError: the folder is missing and has to be fetched first.
    """
    folder = task_folder(task, given)
    if folder.is_dir() and any(folder.iterdir()):
        return folder
    if folder.exists() and not folder.is_dir():
        raise UserError(f"the data of {task.name} cannot be in {folder}: that is a file, where a folder is needed")
    if callable(task.source):
        with published(folder) as part:
            task.source(part)
        return folder
    raise UserError(
        f"the data of {task.name} is not there: {folder} is missing or empty; --data DIR must hold a folder "
        f"{task.folder!r}, or `harness data fetch {task.name}` gets it"
    )


@contextmanager
def published(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes ``folder`` when the block ends well and vanishes when it does not.

    Raises:
        UserError: the place cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".part-{folder.name}-"))
    except OSError as error:
        raise UserError(f"the data folder {folder.parent} cannot be written: {error.strerror}") from error
    try:
        yield part
        part.chmod(0o755)
        try:
            part.rename(folder)
        except OSError as error:
            if not folder.is_dir():  # else another process was first
                raise UserError(f"the data folder {folder} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def fetch(task: Task, given: Sequence[str] = (), progress: Progress = lambda done, total: None) -> Path:
    """Get a task's data into its folder; does nothing where the folder is there already.

    Raises:
        UserError: the task has no archive, the archive cannot be had, or it is damaged or hostile.
    """
    folder = task_folder(task, given)
    if callable(task.source) or (folder.is_dir() and any(folder.iterdir())):
        return ready_folder(task, given)
    if task.source is None:
        raise UserError(
            f"{task.name} has no public archive: put its data into {folder} by hand; its page is {task.paper}"
        )
    with published(folder) as part:
        archive = part / ".archive"
        _download(task.source, archive, progress)
        unpack(archive, part)
        archive.unlink()
    return folder


def _download(source: Archive, path: Path, progress: Progress) -> None:
    try:
        with urllib.request.urlopen(source.url, timeout=60) as response, path.open("wb") as file:
            total = int(response.headers.get("Content-Length") or 0)
            while chunk := response.read(1 << 20):
                file.write(chunk)
                progress(file.tell(), total)
            if total and file.tell() != total:
                raise UserError(f"{source.url} broke off after {file.tell():,} of {total:,} bytes: try again")
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{source.url} cannot be fetched ({reason}): get it by other means and unpack it") from error


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive into a folder; nothing of it lands elsewhere.

    Raises:
        UserError: it is no archive, damaged, or names a path outside the folder.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as members:
                for name in members.namelist():
                    if not (folder / name).resolve().is_relative_to(folder.resolve()):
                        raise UserError(f"the archive is not unpacked: it would write {name!r} outside its folder")
                members.extractall(folder)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
                # The checksum of a compressed archive stands at its very end, where nothing has looked yet.
                while tar.fileobj is not None and tar.fileobj.read(1 << 20):
                    pass
    except tarfile.FilterError as error:
        raise UserError(f"the archive is not unpacked: {error}") from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise UserError(
            f"the archive cannot be unpacked: it is damaged or no zip or tar file ({type(error).__name__})"
        ) from error


def verify(task: Task, given: Sequence[str] = (), progress: Progress = lambda done, total: None) -> list[str]:
    """Decode every clip and name what is missing, unreadable or not as the task's record says.

    An empty list is a clean bill.
    """
    folder = ready_folder(task, given)
    clips = task.list_clips(folder)
    problems = []
    if task.clips is not None and len(clips) != task.clips:
        problems.append(f"the metadata names {len(clips):,} clips, and {task.name} has {task.clips:,}")
    with ThreadPoolExecutor() as pool:
        for done, problem in enumerate(pool.map(_problem, clips), 1):
            if problem:
                problems.append(problem)
            progress(done, len(clips))
    try:
        check_clips(task, clips)
        if absent := sorted(absent_labels(task, clips)):
            problems.append(f"the metadata names no clip of {len(absent)} labels: {', '.join(absent)}")
        if isinstance(task.target, Trials):
            load_trials(task, folder, clips)
    except UserError as error:
        problems.append(str(error))
    return problems


def _problem(clip: Clip) -> str | None:
    try:
        read_mono(clip.path, clip.start, clip.stop)
    except UserError as error:
        return str(error)
    return None
