"""Archives are fetched: continued where they broke off, by one process at a time, checked, and no bombs."""

import hashlib
import io
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from harness.archives import Limits, unpack
from harness.data import FETCHED, fetch, ready_folder, told_of_fetch
from harness.datasets import Task, rotation
from harness.events import Event
from harness.sources import Archive, ByHand
from harness.types import Class

Refused = Callable[[str], AbstractContextManager[None]]

TOY = Task(
    name="toy",
    version="1",
    target=Class(("bark", "meow")),
    splits=rotation(("1", "2", "3")),
    list_clips=lambda folder: [],
    clips=None,
    folder="toy",
    source=None,
    paper="doi 10.1000/toy",
    licence="none",
)
NOISE = np.random.default_rng(0).bytes(200_000)


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


@dataclass
class Server:
    """Files at addresses of this machine; what is in ``cut`` breaks off once after so many bytes."""

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def put(self, name: str, content: bytes, tag: str = '"one"', cut: int | None = None) -> str:
        self.files[name], self.tags[name] = content, tag
        if cut is not None:
            self.cut[name] = cut
        return f"http://127.0.0.1:{self.port}/{name}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that knows ranges and versions."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path[1:]
            content, tag, asked = held.files[name], held.tags[name], self.headers.get("Range")
            held.asked.append((name, asked))
            first = 0
            if asked is not None and self.headers.get("If-Range") == tag:
                first = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            if tag:
                self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            self.wfile.write(content[first : held.cut.pop(name, len(content))])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as serving:
        held = Server(serving.server_port)
        thread = threading.Thread(target=serving.serve_forever, args=[0.01])
        thread.start()
        yield held
        serving.shutdown()
        thread.join()


def fetched(folder: Path, *archives: Archive) -> Path:
    return fetch(replace(TOY, source=archives), [str(folder)])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != FETCHED
    }


def test_a_download_that_broke_off_is_continued(tmp_path: Path, server: Server, refused: Refused) -> None:
    archive = Archive(server.put("a.zip", zipped(noise=NOISE), cut=50_000))
    with refused("broke off after 50,000 of .* run the same command again"):
        fetched(tmp_path, archive)
    assert contents(fetched(tmp_path, archive)) == {"noise": NOISE}
    assert [asked for _, asked in server.asked] == [None, "bytes=50000-"]


def test_another_version_is_fetched_from_its_beginning(tmp_path: Path, server: Server, refused: Refused) -> None:
    archive = Archive(server.put("a.zip", zipped(noise=NOISE), cut=50_000))
    with refused("broke off"):
        fetched(tmp_path, archive)
    server.put("a.zip", zipped(other=NOISE[::-1]), tag='"two"')
    assert contents(fetched(tmp_path, archive)) == {"other": NOISE[::-1]}


def test_what_has_no_version_is_not_continued(tmp_path: Path, server: Server, refused: Refused) -> None:
    archive = Archive(server.put("a.zip", zipped(noise=NOISE), tag="", cut=50_000))
    with refused("broke off"):
        fetched(tmp_path, archive)
    assert contents(fetched(tmp_path, archive)) == {"noise": NOISE}
    assert [asked for _, asked in server.asked] == [None, None]


def test_an_archive_that_has_come_is_not_fetched_again_when_the_next_breaks(
    tmp_path: Path, server: Server, refused: Refused
) -> None:
    one = Archive(server.put("one.zip", zipped(one=NOISE)))
    two = Archive(server.put("two.zip", zipped(two=NOISE), cut=10))
    with refused("two.zip broke off"):
        fetched(tmp_path, one, two)
    fetched(tmp_path, one, two)
    assert [name for name, _ in server.asked] == ["one.zip", "two.zip", "two.zip"]


def test_nothing_is_left_beside_the_data(tmp_path: Path, server: Server) -> None:
    fetched(tmp_path, Archive(server.put("a.zip", zipped(noise=NOISE))))
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".lock")] == ["toy"]


def test_archives_go_where_the_task_says(tmp_path: Path, server: Server) -> None:
    folder = fetched(
        tmp_path,
        Archive(server.put("a.zip", zipped(inner=b"1")), into="a"),
        Archive(server.put("list.txt", b"2"), into="b", loose=True),
    )
    assert contents(folder) == {"a/inner": b"1", "b/list.txt": b"2"}


def test_parts_are_joined(tmp_path: Path, server: Server) -> None:
    whole = zipped(noise=NOISE)
    first, second = server.put("a.001", whole[:99_999]), server.put("a.002", whole[99_999:])
    assert contents(fetched(tmp_path, Archive(first, more=(second,)))) == {"noise": NOISE}


def split(members: dict[str, bytes], size: int) -> list[bytes]:
    """A zip archive in parts of that size, in which entries are placed from the beginning of their part (`zip -s`)."""
    out = io.BytesIO(b"PK\x07\x08")
    out.seek(4)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    whole, place = bytearray(out.getvalue()), archive.start_dir
    for name in members:
        part, offset = divmod(struct.unpack_from("<L", whole, place + 42)[0], size)
        struct.pack_into("<H", whole, place + 34, part)
        struct.pack_into("<L", whole, place + 42, offset)
        place += 46 + len(name)
    part, offset = divmod(archive.start_dir, size)
    struct.pack_into("<HH", whole, place + 4, len(whole) // size, part)
    struct.pack_into("<L", whole, place + 16, offset)
    return [bytes(whole[first : first + size]) for first in range(0, len(whole), size)]


@pytest.mark.parametrize("size", [9_000, 70_000, 130_000])
def test_a_split_zip_archive_is_joined(tmp_path: Path, server: Server, size: int) -> None:
    members = {f"{number}.wav": NOISE[: 30_000 * number] for number in range(1, 4)}
    first, *more = (server.put(f"a.z{place:02}", part) for place, part in enumerate(split(members, size), 1))
    assert contents(fetched(tmp_path, Archive(first, more=tuple(more)))) == members


def test_a_split_zip_archive_that_lacks_a_part_is_refused(tmp_path: Path, server: Server, refused: Refused) -> None:
    first, *_, last = (
        server.put(f"{place}", part) for place, part in enumerate(split({"a": NOISE, "b": NOISE}, 90_000))
    )
    with refused("damaged"):
        fetched(tmp_path, Archive(first, more=(last,)))
    assert not (tmp_path / "toy").exists()


def test_a_damaged_archive_is_fetched_anew_next_time(tmp_path: Path, server: Server, refused: Refused) -> None:
    archive = Archive(server.put("a.zip", b"<html>please log in</html>"))
    with refused("damaged or no zip or tar file"):
        fetched(tmp_path, archive)
    server.put("a.zip", zipped(noise=NOISE))
    assert contents(fetched(tmp_path, archive)) == {"noise": NOISE}


def test_a_checksum_that_nobody_publishes_is_recorded_and_told(tmp_path: Path, server: Server) -> None:
    content = zipped(noise=NOISE)
    (told,) = told_of_fetch(fetched(tmp_path, Archive(server.put("a.zip", content))))
    digest = hashlib.sha256(content).hexdigest()
    assert told == f"a.zip: sha256 {digest}, recorded when it was first fetched: no checksum of it is published"


def test_a_published_checksum_is_held_to(tmp_path: Path, server: Server, refused: Refused) -> None:
    content = zipped(noise=NOISE)
    right = f"md5:{hashlib.md5(content).hexdigest()}"
    url = server.put("a.zip", content)
    with refused("is not what was published: its md5 is .*, and a paper gives 0000"):
        fetched(tmp_path, Archive(url, checksum="md5:0000", cited="a paper"))
    (told,) = told_of_fetch(fetched(tmp_path, Archive(url, checksum=right, cited="a paper")))
    assert told.endswith("and the md5 that a paper gives")


def test_a_checksum_without_a_source_cannot_be_written_down() -> None:
    with pytest.raises(ValueError, match="where it is published"):
        Archive("http://x/a.zip", checksum="md5:0")


def test_two_that_fetch_at_once_fetch_once(tmp_path: Path, server: Server) -> None:
    archive = Archive(server.put("a.zip", zipped(noise=NOISE)))
    threads = [threading.Thread(target=fetched, args=(tmp_path, archive)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [name for name, _ in server.asked] == ["a.zip"]
    assert contents(tmp_path / "toy") == {"noise": NOISE}


def test_progress_is_told_no_more_than_a_hundred_times(tmp_path: Path, server: Server) -> None:
    events: list[Event] = []
    task = replace(TOY, source=(Archive(server.put("a.zip", zipped(noise=NOISE * 50))),))
    fetch(task, [str(tmp_path)], events.append)
    assert 0 < len([event for event in events if event.done is not None]) <= 101


@pytest.mark.parametrize("call", [fetch, ready_folder])
def test_data_that_must_be_asked_for_say_where(
    tmp_path: Path, refused: Refused, call: Callable[[Task, list[str]], Path]
) -> None:
    task = replace(TOY, source=ByHand("sign the form at https://example.org", "the folder Toy_release"))
    with refused("sign the form at https://example.org, and put the folder Toy_release"):
        call(task, [str(tmp_path)])


# Archives that are larger than any sound.


def bomb(kind: str, size: int) -> bytes:
    if kind == "zip":
        return zipped(bomb=b"\0" * size)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{kind}") as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo("bomb")
        info.size = size
        archive.addfile(info, io.BytesIO(b"\0" * size))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["zip", "gz", "xz"])
def test_a_bomb_is_refused(tmp_path: Path, refused: Refused, kind: str) -> None:
    (tmp_path / "archive").write_bytes(bomb(kind, 5_000_000))
    with refused("holds more than 1,000,000 bytes, many times its own size"):
        unpack(tmp_path / "archive", tmp_path / "data", Limits(bytes=1_000_000, ratio=10))
    assert (tmp_path / "data" / "bomb").stat().st_size <= 1_000_000


def test_an_archive_may_hold_many_times_its_size_if_that_is_little(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(bomb("zip", 900_000))
    unpack(tmp_path / "archive", tmp_path / "data", Limits(bytes=1_000_000, ratio=10))
    assert (tmp_path / "data" / "bomb").stat().st_size == 900_000


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path: Path, refused: Refused) -> None:
    content = bomb("zip", 5_000_000)
    lie = content.replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    (tmp_path / "archive").write_bytes(lie)
    with refused("unpacked"):
        unpack(tmp_path / "archive", tmp_path / "data", Limits(bytes=1_000_000, ratio=10))


def test_too_many_files_are_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "archive").write_bytes(zipped(**{str(i): b"" for i in range(11)}))
    with refused("holds more than 10 files"):
        unpack(tmp_path / "archive", tmp_path / "data", Limits(files=10))
