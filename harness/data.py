"""Where data lies: find a task's folder, make it or fetch it, publish it whole or not at all."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.archives import unpack
from harness.datasets import Task
from harness.downloads import CHUNK, Progress, download
from harness.errors import UserError, choices
from harness.events import Event, Report, silent
from harness.registry import plugins
from harness.sources import Archive, ByHand

#: What a fetched folder says of the archives that it came in.
FETCHED = ".fetched.json"
#: How large the parts were that a download was joined from; it lies beside it.
PARTS = "parts.json"
UNCHECKED = "recorded when it was first fetched: no checksum of it is published"


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
    if _is_filled(folder):
        return folder
    if folder.exists() and not folder.is_dir():
        raise UserError(f"the data of {task.name} cannot be in {folder}: that is a file, where a folder is needed")
    if callable(task.source):
        with published(folder) as part:
            task.source(part)
        return folder
    missing = f"the data of {task.name} is not there: {folder} is missing or empty"
    if isinstance(task.source, ByHand):
        raise UserError(f"{missing}; {_errand(task.source)} there, or say with --data {task.name}=DIR where it lies")
    raise UserError(
        f"{missing}; --data DIR must hold a folder {task.folder!r}, or `harness data fetch {task.name}` gets it"
    )


def has_data(task: Task, given: Sequence[str] = ()) -> bool:
    """Whether the data are there, or can be made on the spot."""
    return callable(task.source) or _is_filled(task_folder(task, given))


def _is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _errand(source: ByHand) -> str:
    return f"no command may fetch it: {source.ask}, and put {source.put}"


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


def fetch(task: Task, given: Sequence[str] = (), report: Report = silent) -> Path:
    """Get a task's data into its folder; does nothing where the folder is there already.

    Several processes may do so at once: one fetches, the others wait for it.

    Raises:
        UserError: the task has no archive, one cannot be had, or it is damaged or hostile.
    """
    folder = task_folder(task, given)
    if callable(task.source) or _is_filled(folder):
        return ready_folder(task, given)
    if isinstance(task.source, ByHand):
        raise UserError(f"{task.name} has to be asked for, {_errand(task.source)} into {folder}")
    if task.source is None:
        raise UserError(
            f"{task.name} has no public archive: put its data into {folder} by hand; its page is {task.paper}"
        )
    with _alone(folder, report):
        if not _is_filled(folder):
            _fetch_all(task.source, folder, report)
    return folder


def told_of_fetch(folder: Path) -> list[str]:
    """In sentences, which archives a folder was fetched in, and what their checksums rest on."""
    if not (record := folder / FETCHED).is_file():
        return []
    return [
        f"{name}: sha256 {facts['sha256']}, {facts['checked']}"
        for name, facts in json.loads(record.read_text(encoding="utf-8")).items()
    ]


@contextmanager
def _alone(folder: Path, report: Report) -> Iterator[None]:
    """Keep other processes from fetching into a folder meanwhile."""
    from filelock import FileLock, Timeout

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".lock-{folder.name}")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            report(Event("fetch", f"another process is fetching into {folder}: waiting for it"))
            lock.acquire()
    except OSError as error:
        raise UserError(f"the data folder {folder.parent} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _fetch_all(archives: Sequence[Archive], folder: Path, report: Report) -> None:
    """Download every archive, then unpack them all; downloads are kept until that has worked, to go on from."""
    downloads = folder.parent / f".download-{folder.name}"
    places = {archive: downloads / str(number) for number, archive in enumerate(archives, 1)}
    try:
        files = {archive: _download(archive, place, report) for archive, place in places.items()}
        with published(folder) as part:
            facts = {archive.name: _checked(archive, file) for archive, file in files.items()}
            for archive, file in files.items():
                report(Event("unpack", f"unpacking {archive.name}"))
                _put(archive, file, part / archive.into)
            (part / FETCHED).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        shutil.rmtree(downloads)
    finally:
        for place in (*places.values(), downloads):
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()


def _download(archive: Archive, folder: Path, report: Report) -> Path:
    """The archive as one file."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [folder / f"part{number}" for number in range(len(archive.urls))]
    whole = folder / "whole"
    if whole.is_file():
        return whole
    for url, part in zip(archive.urls, parts, strict=True):
        download(url, part, _bar(f"{archive.name} {part.name}" if archive.more else archive.name, report))
    if len(parts) == 1:
        return parts[0].rename(whole)
    (folder / PARTS).write_text(json.dumps([part.stat().st_size for part in parts]), encoding="utf-8")
    joined = folder / "joined"
    with joined.open("wb") as file:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, file, CHUNK)
    joined.rename(whole)
    for part in parts:
        part.unlink()
    return whole


def _bar(name: str, report: Report) -> Progress:
    """A progress that is reported a hundred times at most, or every 100 MB where the length is unknown."""
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if done == total or done - told >= (total / 100 or 100e6):
            told = done
            report(Event("fetch", f"{name}: {done / 1e6:,.0f} MB", {"file": name}, done, total or None))

    return progress


def _checked(archive: Archive, file: Path) -> dict[str, Any]:
    """What is recorded of a downloaded archive.

    Raises:
        UserError: it is not the one that was published; it is removed.
    """
    kind, _, published_sum = archive.checksum.partition(":")
    if published_sum and (found := _digest(file, kind)) != published_sum:
        _remove(file)
        raise UserError(
            f"{archive.url} is not what was published: its {kind} is {found}, and {archive.cited} gives "
            f"{published_sum}; run the same command again, and if that does not help, get it by other means"
        )
    return {
        "urls": list(archive.urls),
        "bytes": file.stat().st_size,
        "sha256": _digest(file, "sha256"),
        "checked": f"and the {kind} that {archive.cited} gives" if published_sum else UNCHECKED,
        "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _digest(file: Path, kind: str) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, kind).hexdigest()


def _put(archive: Archive, file: Path, place: Path) -> None:
    """Unpack an archive, or copy a single file.

    Raises:
        UserError: it is damaged or hostile; it is removed, so that it is fetched anew next time.
    """
    place.mkdir(parents=True, exist_ok=True)
    if archive.loose:
        shutil.copyfile(file, place / archive.name)
        return
    sizes = file.with_name(PARTS)
    parts = json.loads(sizes.read_text(encoding="utf-8")) if sizes.is_file() else ()
    try:
        unpack(file, place, parts=parts)
    except UserError as error:
        _remove(file)
        raise UserError(f"{archive.url}: {error}") from error


def _remove(file: Path) -> None:
    file.unlink()
    file.with_name(PARTS).unlink(missing_ok=True)
