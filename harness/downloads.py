"""Downloads that go on where they broke off."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from harness.errors import UserError
from harness.files import write_atomically

Progress = Callable[[int, int], None]
"""Told after every chunk: bytes that are there, and all that there will be, 0 where that is unknown."""

CHUNK = 1 << 20
AGENT = "frozen-audio-harness"


def download(url: str, path: Path, progress: Progress) -> None:
    """Fetch a file, which is at its path when it is whole; does nothing if it is.

    What an earlier try left in part is continued where the server marks versions (a strong ETag, or Last-Modified) and
    its mark is still the same (RFC 9110, section 13.1.5).

    Raises:
        UserError: it cannot be had, or broke off.
    """
    if path.is_file():
        return
    part, note = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.json")
    mark = _mark_of(url, part, note)
    try:
        _receive(url, part, note, mark, progress)
        part.replace(path)
    except urllib.error.HTTPError as error:
        error.close()
        if mark and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            note.unlink()
            download(url, path, progress)
            return
        raise _unfetched(url, error) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unfetched(url, error) from error
    finally:
        if path.is_file():
            note.unlink(missing_ok=True)
        elif not note.is_file():  # it could not be told from another version
            part.unlink(missing_ok=True)


def _mark_of(url: str, part: Path, note: Path) -> str:
    """What marks the version of which a part is there; empty if there is none, or it is not known."""
    if not (part.is_file() and note.is_file()):
        return ""
    noted: Mapping[str, str] = json.loads(note.read_text(encoding="utf-8"))
    return noted["mark"] if noted["url"] == url else ""


def _receive(url: str, part: Path, note: Path, mark: str, progress: Progress) -> None:
    have = part.stat().st_size if mark else 0
    headers = {"User-Agent": AGENT} | ({"Range": f"bytes={have}-", "If-Range": mark} if mark else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as response:
        if response.status != HTTPStatus.PARTIAL_CONTENT:  # the whole file, perhaps another version of it
            have = 0
            _write_note(url, note, response.headers)
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise http.client.HTTPException(f"asked for bytes from {have:,} on, it gave others")
        total = int(response.headers.get("Content-Length") or 0) and have + int(response.headers["Content-Length"])
        with part.open("ab" if have else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                progress(file.tell(), total)
            if total and file.tell() != total:
                raise UserError(f"{url} broke off after {file.tell():,} of {total:,} bytes: run the same command again")


def _write_note(url: str, note: Path, headers: Mapping[str, str]) -> None:
    """Note what marks the version that is about to come, or forget an older one's mark."""
    tag = headers.get("ETag", "")
    mark = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
    if mark:
        write_atomically(note, json.dumps({"url": url, "mark": mark}).encode())
    else:
        note.unlink(missing_ok=True)


def _unfetched(url: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return UserError(
        f"{url} cannot be fetched ({reason}): try again later, or get it by other means and unpack it by hand"
    )
