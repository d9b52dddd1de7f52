"""Archives are unpacked into a folder and nowhere else: no path out of it, no links, no more than a bounded size."""

import errno
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from harness.errors import UserError

CHUNK = 1 << 20
#: The mark with which a split zip archive begins.
SPLIT = b"PK\x07\x08"


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to: ``bytes``, or ``ratio`` times its own size if that is more; and so many files.

    Sound is packed to a half or a third, and digital silence to a thousandth: an archive of many times its size holds
    nothing to listen to.
    """

    bytes: int = 4 << 30
    ratio: float = 100.0
    files: int = 5_000_000


LIMITS = Limits()


class Member(NamedTuple):
    """One entry of an archive; ``kind`` is ``file``, ``folder``, or what else it is in words."""

    name: str
    kind: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def unpack(archive: Path, folder: Path, limits: Limits = LIMITS, *, parts: Sequence[int] = ()) -> None:
    """Unpack a zip or tar archive into a folder; what was unpacked before an error stays there.

    ``parts`` are the bytes of each of the files that it was joined from, if it came in several.

    Raises:
        UserError: it is no archive, damaged, encrypted, or larger than the limits; or it holds a path out of the
            folder, a link or a device.
    """
    try:
        members = _zip_members(archive, parts) if zipfile.is_zipfile(archive) else _tar_members(archive)
        _write_all(members, folder, max(limits.bytes, int(limits.ratio * archive.stat().st_size)), limits.files)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"the archive cannot be unpacked: the disk with {folder} is full") from error
        raise _damaged(error) from error
    except (RuntimeError, NotImplementedError) as error:  # what zipfile says of passwords and rare compressions
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"the archive cannot be unpacked ({reason}): unpack it by other means") from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> UserError:
    return UserError(f"the archive cannot be unpacked: it is damaged or no zip or tar file ({type(error).__name__})")


def _write_all(members: Iterator[Member], folder: Path, most: int, files: int) -> None:
    written = 0
    for count, member in enumerate(members, 1):
        if count > files:
            raise UserError(f"the archive is not unpacked: it holds more than {files:,} files")
        path = _place(folder, member.name)
        if member.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            continue
        if member.kind != "file":
            raise UserError(f"the archive is not unpacked: {member.name!r} in it is {member.kind}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, path.open("wb") as file:
            while chunk := source.read(CHUNK):
                written += len(chunk)
                if written > most:  # what is declared may be a lie
                    raise UserError(
                        f"the archive is not unpacked: it holds more than {most:,} bytes, many times its own size"
                    )
                file.write(chunk)


def _place(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UserError(f"the archive is not unpacked: it would write {name!r} outside its folder")
    return folder / path


def _zip_members(archive: Path, parts: Sequence[int]) -> Iterator[Member]:
    with archive.open("rb") as file, zipfile.ZipFile(file) as members:
        file.seek(0)
        split = file.read(len(SPLIT)) == SPLIT
        for info in _joined(members.infolist(), parts) if split else members.infolist():
            kind = "folder" if info.is_dir() else _ZIP_KINDS.get(stat.S_IFMT(info.external_attr >> 16), "a device")
            yield Member(info.filename, kind, lambda info=info: members.open(info))  # type: ignore[misc]


def _joined(infos: Sequence[zipfile.ZipInfo], parts: Sequence[int]) -> Iterator[zipfile.ZipInfo]:
    """The entries of a split archive that is one file again, in which each is placed from the beginning of its part."""
    starts = [0, *accumulate(parts)]
    # All are read as if placed from the beginning of the part with the directory; the very first follows the mark.
    shift = min((info.header_offset for info in infos if info.volume == 0), default=0) - len(SPLIT)
    for info in infos:
        if info.volume >= len(parts):
            raise zipfile.BadZipFile(f"part {info.volume + 1} is not there")
        own = zipfile.ZipInfo(info.orig_filename, info.date_time)  # whatever else was worked out of the places is wrong
        for name in ("compress_type", "flag_bits", "CRC", "compress_size", "file_size", "external_attr"):
            setattr(own, name, getattr(info, name))
        own.header_offset = info.header_offset - shift + starts[info.volume]
        yield own


#: Archives from systems without such types leave the type out.
_ZIP_KINDS = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "a link"}


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive) as tar:
        for info in tar:
            link = info.issym() or info.islnk()
            kind = "file" if info.isreg() else "folder" if info.isdir() else "a link" if link else "a device"
            yield Member(info.name, kind, lambda info=info: _content(tar, info))  # type: ignore[misc]
        # The checksum of a compressed archive stands at its very end, where nothing has looked yet.
        while tar.fileobj is not None and tar.fileobj.read(CHUNK):
            pass


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(info)
    if content is None:
        raise tarfile.ReadError(f"{info.name} has no content")
    return content
