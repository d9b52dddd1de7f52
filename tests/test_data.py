"""Where data lies: found, made, fetched, unpacked and verified, whole or not at all."""

import gzip
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from harness.archives import unpack
from harness.data import FETCHED, fetch, published, ready_folder, task_folder
from harness.datasets import Task, rotation
from harness.errors import UserError
from harness.sources import Archive
from harness.types import Class, Clip
from harness.verify import verify

Refused = Callable[[str], AbstractContextManager[None]]

FOLDS = ("1", "2", "3")
#: Fold, label and group of each of the toy's clips.
NAMES = [f"{fold}-{label}-{fold}{label}" for fold in FOLDS for label in ("bark", "meow")]


def clip(folder: Path, fold: str, label: str, group: str) -> Clip:
    name = f"{fold}-{label}-{group}"
    return Clip(name, folder / f"{name}.wav", label, fold, group)


def list_clips(folder: Path) -> list[Clip]:
    rows = (folder / "meta.txt").read_text(encoding="utf-8").split()
    return [clip(folder, *name.split("-")) for name in sorted(rows)]


def make(folder: Path) -> None:
    (folder / "meta.txt").write_text("\n".join(NAMES), encoding="utf-8")
    for seed, name in enumerate(NAMES):
        soundfile.write(folder / f"{name}.wav", np.random.default_rng(seed).uniform(-0.5, 0.5, 800), 8000)


TOY = Task(
    name="toy:small",
    version="1",
    target=Class(("bark", "meow")),
    splits=rotation(FOLDS),
    list_clips=list_clips,
    clips=len(NAMES),
    folder="toy",
    source=make,
    paper="doi 10.1000/toy",
    licence="none",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where data go unless told otherwise."""
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "harness" / "data"


def files(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, with the contents of files; what fetching notes, and its locks, are left out."""
    paths = [path for path in folder.rglob("*") if path.name != FETCHED and not path.name.startswith(".lock-")]
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}


# Where a task's data lie.


def test_data_lie_in_the_users_cache_unless_told_otherwise(cache: Path) -> None:
    assert task_folder(TOY) == cache / "toy"


def test_data_lie_in_the_folder_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "elsewhere"))
    assert task_folder(TOY) == tmp_path / "elsewhere" / "toy"


def test_a_given_folder_holds_one_folder_per_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "elsewhere"))
    assert task_folder(TOY, [str(tmp_path)]) == tmp_path / "toy"


@pytest.mark.parametrize("name", ["toy:small", "toy"])
def test_a_folder_given_for_a_task_is_that_folder_itself(tmp_path: Path, name: str) -> None:
    given = [str(tmp_path / "all"), f"{name}={tmp_path / 'mine'}"]
    assert task_folder(TOY, given) == tmp_path / "mine"


def test_a_folder_given_for_another_task_is_not_used(tmp_path: Path, cache: Path) -> None:
    assert task_folder(TOY, [f"esc50={tmp_path}"]) == cache / "toy"


def test_a_folder_may_have_an_equals_sign_in_its_name(tmp_path: Path) -> None:
    assert task_folder(TOY, [f"toy={tmp_path / 'a=b'}"]) == tmp_path / "a=b"


def test_data_whose_place_the_task_names_lie_there_whatever_is_given(tmp_path: Path) -> None:
    task = replace(TOY, folder=tmp_path / "own")
    assert task_folder(task, [str(tmp_path), f"toy={tmp_path / 'mine'}"]) == tmp_path / "own"


# An embedded task is made.


def test_a_folder_that_is_there_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "mine").write_bytes(b"mine")
    assert files(ready_folder(TOY, [str(tmp_path)])) == {"mine": b"mine"}


def test_an_embedded_task_is_made_in_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    assert (ready_folder(TOY, [str(tmp_path)]) / "meta.txt").is_file()


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "toy").write_bytes(b"no folder")
    with refused("that is a file, where a folder is needed"):
        ready_folder(TOY, [str(tmp_path)])


def test_the_first_folder_that_is_there_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a" / "toy").mkdir(parents=True)
    assert task_folder(TOY, [str(tmp_path / "a"), str(tmp_path / "b")]) == tmp_path / "a" / "toy"


def test_a_folder_given_for_a_task_that_is_none_is_refused(refused: Refused) -> None:
    with refused("--data esc5=/x names no task: did you mean 'esc50'"):
        task_folder(TOY, ["esc5=/x"])


def test_an_embedded_task_is_made_on_first_use(cache: Path) -> None:
    folder = ready_folder(TOY)
    assert folder == cache / "toy"
    assert set(files(folder)) == {"meta.txt", *(f"{name}.wav" for name in NAMES)}


def test_an_embedded_task_is_made_once(cache: Path) -> None:
    made: list[Path] = []

    def maker(folder: Path) -> None:
        made.append(folder)
        make(folder)

    for _ in range(2):
        ready_folder(replace(TOY, source=maker))
    assert len(made) == 1


def test_a_maker_that_raises_leaves_nothing(cache: Path) -> None:
    def broken(folder: Path) -> None:
        make(folder)
        raise RuntimeError("the maker broke")

    with pytest.raises(RuntimeError, match="the maker broke"):
        ready_folder(replace(TOY, source=broken))
    assert files(cache) == {}


def test_a_folder_is_not_seen_before_it_is_whole(cache: Path) -> None:
    with published(cache / "toy") as part:
        make(part)
        assert not (cache / "toy").exists()
    assert list(cache.iterdir()) == [cache / "toy"]


def test_others_may_read_what_was_published(cache: Path) -> None:
    assert ready_folder(TOY).stat().st_mode & 0o777 == 0o755


def test_missing_data_are_named_with_what_to_do(tmp_path: Path, refused: Refused) -> None:
    task = replace(TOY, source=(Archive("http://127.0.0.1:9/toy.zip"),))
    with refused(rf"{tmp_path / 'toy'} is missing or empty; .*'toy'.*`harness data fetch toy:small`"):
        ready_folder(task, [str(tmp_path)])


def test_a_data_folder_below_a_file_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with refused("cannot be written"):
        ready_folder(TOY, [str(tmp_path / "file")])


# Archives are fetched.


def zipped(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(members: Mapping[str, bytes], how: str = "gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{how}") as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


CONTENT = {
    "meta.txt": b"a b c",
    "sub/a.wav": np.random.default_rng(0).bytes(3000),
    "sub/b.wav": b"something that is easily compressed " * 100,
}
UNPACKED = {**CONTENT, "sub": None}
ARCHIVES: dict[str, bytes] = {
    "zip": zipped(CONTENT),
    "tar": tarred(CONTENT, ""),
    "tar.gz": tarred(CONTENT, "gz"),
    "tar.bz2": tarred(CONTENT, "bz2"),
    "tar.xz": tarred(CONTENT, "xz"),
}


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An HTTP answer, byte by byte."""
    return "\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]).encode() + body


def sized(body: bytes) -> bytes:
    return answer(body, f"Content-Length: {len(body)}")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], Archive]]:
    """Gives an archive at an address of this machine that is answered as told."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    answers: dict[str, bytes] = {}

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(answers[self.path])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()

        def put(said: bytes) -> Archive:
            answers["/toy"] = said
            return Archive(f"http://127.0.0.1:{server.server_port}/toy")

        yield put
        server.shutdown()
        thread.join()


Serve = Callable[[bytes], Archive]


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_is_fetched_and_unpacked(cache: Path, serve: Serve, kind: str) -> None:
    folder = fetch(replace(TOY, source=(serve(sized(ARCHIVES[kind])),)))
    assert folder == cache / "toy"
    assert files(cache) == {"toy": None, **{f"toy/{name}": data for name, data in UNPACKED.items()}}


@pytest.mark.parametrize("parts", [1, 7])
def test_an_archive_of_undeclared_length_is_fetched(cache: Path, serve: Serve, parts: int) -> None:
    whole = ARCHIVES["zip"]
    step = len(whole) // parts + 1
    chunks = [whole[i : i + step] for i in range(0, len(whole), step)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
    folder = fetch(replace(TOY, source=(serve(answer(body, "Transfer-Encoding: chunked")),)))
    assert files(folder) == UNPACKED


def test_the_progress_of_a_download_ends_with_all_of_it(serve: Serve) -> None:
    seen: list[tuple[int | None, int | None]] = []
    body = ARCHIVES["zip"]
    fetch(replace(TOY, source=(serve(sized(body)),)), report=lambda event: seen.append((event.done, event.total)))
    assert (len(body), len(body)) in seen


def test_data_that_are_there_are_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "mine").write_bytes(b"mine")
    task = replace(TOY, source=(Archive("http://127.0.0.1:9/toy.zip"),))
    assert fetch(task, [str(tmp_path)]) == tmp_path / "toy"


def test_fetching_an_embedded_task_makes_it() -> None:
    assert (fetch(TOY) / "meta.txt").is_file()


def test_a_task_without_an_archive_names_its_page(refused: Refused) -> None:
    with refused("no public archive: put its data into .*toy by hand; its page is doi 10.1000/toy"):
        fetch(replace(TOY, source=None))


BROKEN = {
    "not found": answer(b"", "Content-Length: 0", status="404 Not Found"),
    "a broken server": answer(b"", "Content-Length: 0", status="500 Internal Server Error"),
    "half of what was declared": answer(ARCHIVES["zip"][:1000], f"Content-Length: {len(ARCHIVES['zip'])}"),
    "half a chunk": answer(b"%x\r\n" % 4000 + ARCHIVES["zip"][:1000], "Transfer-Encoding: chunked"),
    "no chunk size": answer(b"zzz\r\n" + ARCHIVES["zip"][:1000], "Transfer-Encoding: chunked"),
    "no HTTP": b"this is not HTTP at all\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN.keys())
def test_a_download_that_breaks_is_refused_and_leaves_nothing(
    cache: Path, serve: Serve, refused: Refused, said: bytes
) -> None:
    source = serve(said)
    with refused(source.url):
        fetch(replace(TOY, source=(source,)))
    assert files(cache) == {}


def test_a_server_that_is_not_there_is_refused(cache: Path, serve: Serve, refused: Refused) -> None:
    with closing(ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler).socket) as free:
        port = free.getsockname()[1]
    with refused(f"http://127.0.0.1:{port}/toy cannot be fetched"):
        fetch(replace(TOY, source=(Archive(f"http://127.0.0.1:{port}/toy"),)))
    assert files(cache) == {}


def test_a_page_that_is_no_archive_is_refused_and_leaves_nothing(cache: Path, serve: Serve, refused: Refused) -> None:
    with refused("damaged or no zip or tar file"):
        fetch(replace(TOY, source=(serve(sized(b"<html>please log in</html>")),)))
    assert files(cache) == {}


# Archives are damaged or hostile.


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_is_cut_short_is_refused(tmp_path: Path, refused: Refused, kind: str) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(ARCHIVES[kind][: len(ARCHIVES[kind]) // 2])
    with refused("cannot be unpacked: it is damaged"):
        unpack(archive, tmp_path / "data")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_flipped_byte_in_an_archive_is_refused_or_does_no_harm(tmp_path: Path, kind: str) -> None:
    whole, archive = ARCHIVES[kind], tmp_path / "archive"
    for at in np.random.default_rng(0).choice(len(whole), 80, replace=False):
        archive.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        folder = tmp_path / f"at{at}"
        folder.mkdir()
        try:
            unpack(archive, folder)
        except UserError as error:
            assert "damaged" in str(error) or "is not unpacked" in str(error)
        else:
            assert set(CONTENT.values()) == {data for data in files(folder).values() if data is not None}


def packed(kind: str, name: str) -> bytes:
    return (zipped if kind == "zip" else tarred)({"fine.txt": b"fine", name: b"hostile"})


@pytest.mark.parametrize("name", ["../out.txt", "sub/../../out.txt", "../data-not/out.txt", "{top}/out.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_path_that_leads_outside_writes_nothing_there(tmp_path: Path, kind: str, name: str) -> None:
    archive, folder = tmp_path / "archive", tmp_path / "data"
    folder.mkdir()
    archive.write_bytes(packed(kind, name.format(top=tmp_path)))
    try:
        unpack(archive, folder)
    except UserError as error:
        assert "is not unpacked" in str(error)
    assert set(tmp_path.iterdir()) == {archive, folder}


@pytest.mark.parametrize("name", ["../out.txt", "sub/../../out.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_path_that_leads_outside_is_refused(tmp_path: Path, refused: Refused, kind: str, name: str) -> None:
    (tmp_path / "archive").write_bytes(packed(kind, name))
    (tmp_path / "data").mkdir()
    with refused("is not unpacked.*out.txt"):
        unpack(tmp_path / "archive", tmp_path / "data")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_hostile_archive_leaves_no_folder(cache: Path, serve: Serve, refused: Refused, kind: str) -> None:
    with refused("is not unpacked"):
        fetch(replace(TOY, source=(serve(sized(packed(kind, "../out.txt"))),)))
    assert files(cache) == {}


@pytest.mark.parametrize("type_", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic", "hard"])
@pytest.mark.parametrize("target", ["..", "../secret", "{top}", "{top}/secret"])
def test_a_link_out_of_a_tar_file_is_refused(tmp_path: Path, refused: Refused, type_: bytes, target: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "data").mkdir()
    with tarfile.open(tmp_path / "archive", "w:gz") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = type_, target.format(top=tmp_path)
        archive.addfile(link)
        through = tarfile.TarInfo("link/out.txt")
        through.size = 7
        archive.addfile(through, io.BytesIO(b"hostile"))
    with refused("is not unpacked|cannot be unpacked"):
        unpack(tmp_path / "archive", tmp_path / "data")
    assert set(files(tmp_path)) == {"secret", "data", "archive"}


def test_a_link_in_a_zip_file_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "data").mkdir()
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(tmp_path / "secret"))
    with refused("'link' in it is a link"):
        unpack(tmp_path / "archive", tmp_path / "data")
    assert not (tmp_path / "data" / "link").is_symlink()


def test_a_device_in_a_tar_file_is_refused(tmp_path: Path, refused: Refused) -> None:
    with tarfile.open(tmp_path / "archive", "w") as archive:
        pipe = tarfile.TarInfo("pipe")
        pipe.type = tarfile.FIFOTYPE
        archive.addfile(pipe)
    with refused("is not unpacked"):
        unpack(tmp_path / "archive", tmp_path / "data")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_file_that_another_takes_for_a_folder_is_refused(tmp_path: Path, refused: Refused, kind: str) -> None:
    members = {"a": b"a file", "a/b": b"a file in a file"}
    (tmp_path / "archive").write_bytes((zipped if kind == "zip" else tarred)(members))
    with refused("unpacked"):
        unpack(tmp_path / "archive", tmp_path / "data")


def test_a_compressed_file_that_is_no_archive_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "archive").write_bytes(gzip.compress(b"one table, no archive"))
    with refused("damaged or no zip or tar file"):
        unpack(tmp_path / "archive", tmp_path / "data")


# Data are verified.


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """The folder of toy data, in a folder of data."""
    folder = tmp_path / "data" / "toy"
    folder.mkdir(parents=True)
    make(folder)
    return folder


def problems(toy: Path, task: Task = TOY) -> list[str]:
    return list(verify(task, [str(toy.parent)]).problems)


def test_sound_data_get_a_clean_bill(toy: Path) -> None:
    assert problems(toy) == []


def test_every_clip_that_is_not_sound_is_named(toy: Path) -> None:
    missing, unreadable, cut = (toy / f"{name}.wav" for name in NAMES[1:4])
    missing.unlink()
    unreadable.write_bytes(b"this is no sound")
    cut.write_bytes(cut.read_bytes()[:-100])
    found = problems(toy)
    assert [str(path) in line for path, line in zip((missing, unreadable, cut), found, strict=True)] == [True] * 3
    assert ["missing" in found[0], "cannot be read" in found[1], "cut short" in found[2]] == [True] * 3


@pytest.mark.parametrize("clips", [5, 7, 2000])
def test_a_number_of_clips_that_is_not_the_records_is_named(toy: Path, clips: int) -> None:
    (line,) = problems(toy, replace(TOY, clips=clips))
    assert line == f"the metadata names 6 clips, and toy:small has {clips:,}"


def test_a_label_that_the_record_lacks_is_named(toy: Path) -> None:
    (line,) = problems(toy, replace(TOY, target=Class(("bark",))))
    assert "'meow'" in line


def test_verification_reports_every_clip(toy: Path) -> None:
    seen: list[tuple[int, int]] = []
    verify(TOY, [str(toy.parent)], lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(1, 7)]


def test_tables_are_found_behind_links_and_each_folder_is_looked_through_once(toy: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere" / "meta"
    outside.mkdir(parents=True)
    (outside / "folds.csv").write_text("path,fold\n")
    (toy / "linked").symlink_to(outside.parent, target_is_directory=True)
    (outside / "round").symlink_to(toy, target_is_directory=True)
    notes = verify(replace(TOY, tables=("folds.csv",)), [f"toy={toy}"]).notes
    assert len([note for note in notes if note.startswith("sha256 of linked/meta/folds.csv: ")]) == 1
