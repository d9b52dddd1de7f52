"""The feature store: what is put comes back, what is missing is planned, what is damaged is named."""

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from harness import store as module
from harness.audio import Header
from harness.errors import UserError
from harness.store import SHARD_CLIPS, SHARD_SECONDS, FeatureStore, Piece, Shelf, file_hash, plan_shards

Refused = Callable[[str], AbstractContextManager[None]]

ENCODER = {"upstream": "toy", "revision": "1", "options": {"size": "tiny"}}
LAYERS = (*map(str, range(13)), "final")
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeatureStore]:
    with closing(FeatureStore(tmp_path / "store")) as store:
        yield store


@pytest.fixture
def shelf(store: FeatureStore) -> Shelf:
    return store.shelf(ENCODER)


def row(key: str, layer: str, dtype: torch.dtype = torch.float32, frames: int | None = None) -> Tensor:
    """What a clip has in a layer: noise that depends on both."""
    seed = int.from_bytes(hashlib.sha256(f"{key} {layer}".encode()).digest()[:4])
    shape = (3,) if frames is None else (frames, 3)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def put(shelf: Shelf, keys: Sequence[str], layers: Sequence[str] = ("0", "final")) -> Path:
    """Put noise for some clips; returns the shard."""
    before = set(shelf.shards.glob("*"))
    shelf.put(keys, {layer: [row(key, layer) for key in keys] for layer in layers})
    (path,) = set(shelf.shards.glob("*")) - before
    return path


def pieces(count: int, longest: float = 30.0, seed: int = 0) -> list[Piece]:
    draw = random.Random(seed)
    return [Piece(f"clip{i:03}", round(draw.uniform(0.5, longest), 2)) for i in range(count)]


# What is put comes back.


@pytest.mark.parametrize("dtype", DTYPES)
def test_vectors_come_back_as_they_were_put(shelf: Shelf, dtype: torch.dtype) -> None:
    keys = ["c", "a", "b"]
    shelf.put(keys, {layer: [row(key, layer, dtype) for key in keys] for layer in LAYERS})
    for layer, rows in shelf.get(keys).items():
        assert all(found.dtype == dtype for found in rows)
        assert all(torch.equal(found, row(key, layer, dtype)) for key, found in zip(keys, rows, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_frames_come_back_as_they_were_put(shelf: Shelf, dtype: torch.dtype) -> None:
    frames = {"c": 5, "a": 1, "b": 9}
    shelf.put(list(frames), {layer: [row(k, layer, dtype, n) for k, n in frames.items()] for layer in LAYERS})
    for layer, rows in shelf.get(list(frames)).items():
        assert all(found.dtype == dtype for found in rows)
        for found, (key, count) in zip(rows, frames.items(), strict=True):
            assert torch.equal(found, row(key, layer, dtype, count))


@pytest.mark.parametrize("seed", range(5))
def test_clips_come_back_in_the_order_they_are_asked_for(shelf: Shelf, seed: int) -> None:
    for shard in ("dfa", "bgh", "ec"):
        put(shelf, shard)
    keys = random.Random(seed).sample("abcdefgh", 6)
    for layer, rows in shelf.get(keys).items():
        assert all(torch.equal(found, row(key, layer)) for key, found in zip(keys, rows, strict=True))


def test_a_clip_that_is_asked_for_twice_comes_back_twice(shelf: Shelf) -> None:
    put(shelf, "ab")
    found = shelf.get(["b", "a", "b"])["0"]
    assert len(found) == 3
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[0], row("b", "0"))


def test_layers_come_back_in_the_order_of_their_numbers_and_final_last(shelf: Shelf) -> None:
    put(shelf, "ab", random.Random(1).sample(LAYERS, len(LAYERS)))
    assert tuple(shelf.get(["a"])) == LAYERS


def test_layers_may_differ_in_width(shelf: Shelf, noise: Callable[..., Tensor]) -> None:
    given = {"0": [noise(2), noise(2, seed=1)], "1": [noise(7), noise(7, seed=1)]}
    shelf.put(["a", "b"], given)
    found = shelf.get(["b"])
    assert torch.equal(found["0"][0], given["0"][1])
    assert torch.equal(found["1"][0], given["1"][1])


def test_a_store_that_is_opened_anew_holds_what_was_put(tmp_path: Path) -> None:
    with closing(FeatureStore(tmp_path)) as first:
        put(first.shelf(ENCODER), "ab")
    with closing(FeatureStore(tmp_path)) as second:
        assert torch.equal(second.shelf(ENCODER).get(["b"])["final"][0], row("b", "final"))


def test_the_index_says_in_which_shard_and_row_a_clip_lies(shelf: Shelf) -> None:
    first, second = put(shelf, "cab"), put(shelf, "ed")
    assert shelf.index() == {
        "c": (first, 0),
        "a": (first, 1),
        "b": (first, 2),
        "e": (second, 0),
        "d": (second, 1),
    }


def test_two_encoders_share_nothing(store: FeatureStore) -> None:
    put(store.shelf(ENCODER), "ab")
    assert store.shelf({**ENCODER, "revision": "2"}).index() == {}


def test_the_order_in_which_an_encoder_is_described_does_not_matter(store: FeatureStore) -> None:
    put(store.shelf(ENCODER), "ab")
    assert set(store.shelf(dict(reversed(ENCODER.items()))).index()) == {"a", "b"}


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="there is no /proc, which says what takes memory")
@pytest.mark.parametrize("frames", [None, 1000])
def test_features_that_nobody_looks_at_take_no_memory(shelf: Shelf, frames: int | None) -> None:
    shape = (2_000_000,) if frames is None else (frames, 2000)
    rows = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in range(5)]
    shelf.put("abcde", {"0": rows})
    found = shelf.get("abcde")["0"]
    # A system may bring in some megabytes around what is touched.
    assert sum(resident(path) for path in shelf.shards.iterdir()) < shelf.size() / 5
    assert torch.equal(found[3], rows[3])


def resident(path: Path) -> int:
    """How many bytes of a file this process has mapped and touched.

    Raises:
        AssertionError: it has mapped none.
    """
    lines = Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if line.endswith(str(path))]
    assert starts, f"{path} is not mapped"
    sizes = [next(line for line in lines[i:] if line.startswith("Rss:")) for i in starts]
    return sum(1024 * int(size.split()[1]) for size in sizes)


def test_features_outlive_their_file(shelf: Shelf) -> None:
    path = put(shelf, "ab")
    found = shelf.get(["b"])["0"]
    path.unlink()
    assert torch.equal(found[0], row("b", "0"))


def test_features_that_are_changed_leave_the_file_as_it_was(shelf: Shelf) -> None:
    put(shelf, "ab")
    shelf.get(["b"])["0"][0].add_(1)
    assert torch.equal(shelf.get(["b"])["0"][0], row("b", "0"))


def test_a_shard_is_a_plain_safetensors_file(shelf: Shelf) -> None:
    found = load_file(put(shelf, "ab"))
    assert torch.equal(found["final"], torch.stack([row(key, "final") for key in "ab"]))


def test_a_shard_is_written_as_safetensors_itself_would(shelf: Shelf) -> None:
    path = put(shelf, "ab")
    with safe_open(path, "pt") as file:
        again = save({name: file.get_tensor(name) for name in file.keys()}, file.metadata())  # noqa: SIM118
    assert path.read_bytes() == again


def test_the_size_is_that_of_the_files(shelf: Shelf) -> None:
    paths = [put(shelf, "ab"), put(shelf, "c")]
    assert shelf.size() == sum(path.stat().st_size for path in paths)


def test_the_same_features_are_written_as_the_same_bytes(store: FeatureStore) -> None:
    one, two = (put(store.shelf({**ENCODER, "revision": revision}), "ab", LAYERS) for revision in "12")
    assert one.read_bytes() == two.read_bytes()


def test_a_shard_is_alone_in_its_folder_once_it_is_put(shelf: Shelf) -> None:
    path = put(shelf, "ab")
    assert [path] == list(shelf.folder.rglob("*.*"))


def test_a_shard_that_cannot_be_written_leaves_nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises((OSError, UserError)):
        put(shelf, "ab")
    assert list(shelf.folder.rglob("*.*")) == []


# What is missing is planned.


def test_only_missing_clips_are_planned(shelf: Shelf) -> None:
    put(shelf, ["clip000", "clip003"])
    planned = shelf.plan(pieces(5))
    assert sorted(chain(*planned)) == ["clip001", "clip002", "clip004"]


def test_nothing_is_planned_where_nothing_is_missing(shelf: Shelf) -> None:
    path = put(shelf, [piece.key for piece in pieces(5)])
    assert shelf.plan(pieces(5)) == []
    assert list(shelf.folder.rglob("*.*")) == [path]


def test_content_that_several_clips_share_is_planned_once(shelf: Shelf) -> None:
    planned = shelf.plan([*pieces(40), *pieces(20)])
    assert sorted(chain(*planned)) == [piece.key for piece in pieces(40)]


@pytest.mark.parametrize("longest", [0.6, 2.0, 10.0, 60.0])
def test_shards_keep_within_their_limits(longest: float) -> None:
    seconds = {piece.key: piece.seconds for piece in pieces(300, longest)}
    for shard in plan_shards(pieces(300, longest)):
        assert 0 < len(shard) <= SHARD_CLIPS
        assert sum(seconds[key] for key in shard) <= SHARD_SECONDS


@pytest.mark.parametrize("longest", [0.6, 2.0, 10.0, 60.0])
def test_no_shard_could_have_taken_the_next_clip(longest: float) -> None:
    seconds = {piece.key: piece.seconds for piece in pieces(300, longest)}
    shards = plan_shards(pieces(300, longest))
    for shard, after in pairwise(shards):
        assert len(shard) == SHARD_CLIPS or sum(seconds[k] for k in [*shard, after[0]]) > SHARD_SECONDS


def test_shards_hold_clips_of_similar_length() -> None:
    seconds = {piece.key: piece.seconds for piece in pieces(300)}
    planned = [seconds[key] for shard in plan_shards(pieces(300)) for key in shard]
    assert planned == sorted(seconds.values())


def test_a_clip_above_the_limit_has_a_shard_of_its_own() -> None:
    long = [Piece("long", 2 * SHARD_SECONDS), Piece("longer", 3 * SHARD_SECONDS)]
    assert plan_shards([*long, Piece("short", 1.0)]) == [["short"], ["long"], ["longer"]]


def test_the_plan_does_not_depend_on_the_order_of_the_clips() -> None:
    given = [*pieces(100), *(Piece(f"same{i}", 4.0) for i in range(50))]
    assert plan_shards(given) == plan_shards(random.Random(2).sample(given, len(given)))


@pytest.mark.parametrize("done", [0, 1, 2])
def test_an_interrupted_plan_is_continued_with_the_same_shards(shelf: Shelf, done: int) -> None:
    planned = shelf.plan(pieces(100))
    put(shelf, planned[done])
    assert shelf.plan(pieces(100)) == [shard for shard in planned if shard != planned[done]]


def test_a_plan_survives_its_process(tmp_path: Path) -> None:
    with closing(FeatureStore(tmp_path)) as first:
        planned = first.shelf(ENCODER).plan(pieces(100))
    with closing(FeatureStore(tmp_path)) as second:
        put(second.shelf(ENCODER), planned[0])
        assert second.shelf(ENCODER).plan(pieces(100)[::-1]) == planned[1:]


def test_clips_that_join_later_get_shards_of_their_own(shelf: Shelf) -> None:
    planned = shelf.plan(pieces(100))
    put(shelf, planned[0])
    again = shelf.plan(pieces(130))
    assert again[: len(planned) - 1] == planned[1:]
    assert sorted(chain(*again[len(planned) - 1 :])) == [f"clip{i}" for i in range(100, 130)]


def test_planned_shards_are_made_anew_without_clips_that_are_no_longer_asked_for(shelf: Shelf) -> None:
    planned = shelf.plan(pieces(100))
    dropped = planned[1][0]
    again = shelf.plan([piece for piece in pieces(100) if piece.key != dropped])
    assert again[:-1] == [shard for shard in planned if shard != planned[1]]
    assert again[-1] == planned[1][1:]


def test_no_clip_is_in_two_shards_however_often_plans_change(shelf: Shelf) -> None:
    for count in (60, 100, 45, 130, 80):
        planned = chain.from_iterable(shelf.plan(pieces(count)))
        assert sorted(planned) == [piece.key for piece in pieces(count)]


def test_the_shelf_says_whose_features_it_will_hold(shelf: Shelf) -> None:
    shelf.plan(pieces(3))
    assert json.loads((shelf.folder / "encoder.json").read_text(encoding="utf-8")) == ENCODER


# What is damaged is named.


def with_header(header: object) -> Callable[[bytes], bytes]:
    """Replaces a shard's header and leaves its tensors."""

    def damage(data: bytes) -> bytes:
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + int.from_bytes(data[:8], "little") :]

    return damage


def with_shard(shard: object) -> Callable[[bytes], bytes]:
    """Replaces what a shard says of itself."""
    return with_header({"__metadata__": {"shard": json.dumps(shard)}})


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "the last byte flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "the first number flipped": lambda data: data[:-40] + bytes([data[-40] ^ 128]) + data[-39:],
    "the last byte cut": lambda data: data[:-1],
    "the second half cut": lambda data: data[: len(data) // 2],
    "four bytes left": lambda data: data[:4],
    "no bytes left": lambda data: b"",
    "a byte too many": lambda data: data + b"x",
    "text": lambda data: b"this is no shard at all, but a sentence\n" * 9,
    "noise": lambda data: np.random.default_rng(0).bytes(len(data)),
    "a header of 2^63 bytes": lambda data: b"\xff" * 8 + data[8:],
    "a header of 2^62 bytes": lambda data: (2**62).to_bytes(8, "little") + data[8:],
    "a header that is a list": with_header([1, 2]),
    "a header that is null": with_header(None),
    "a header without metadata": with_header({}),
    "metadata that are a number": with_header({"__metadata__": 5}),
    "metadata of another program": with_header({"__metadata__": {"format": "pt"}}),
    "metadata that are no JSON": with_header({"__metadata__": {"shard": "a b"}}),
    "metadata that are a list": with_shard(["a", "b"]),
    "metadata without clips": with_shard({"sha256": "0" * 64}),
    "metadata without a checksum": with_shard({"clips": ["a", "b"]}),
    "clips that are a number": with_shard({"clips": 5, "sha256": "0" * 64}),
    "clips that are lists": with_shard({"clips": [["a"], ["b"]], "sha256": "0" * 64}),
    "another checksum": with_shard({"clips": ["a", "b"], "sha256": "0" * 64}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_shard_is_named_not_used(shelf: Shelf, refused: Refused, damage: Callable[[bytes], bytes]) -> None:
    path = put(shelf, "ab")
    path.write_bytes(damage(path.read_bytes()))
    with refused(f"{path} is damaged"):
        shelf.get(["a", "b"])


@pytest.mark.parametrize("part", range(8))
def test_damage_is_found_wherever_it_is_in_a_large_shard(shelf: Shelf, refused: Refused, part: int) -> None:
    shelf.put("ab", {"0": [row(key, "0", frames=100_000) for key in "ab"]})
    (path,) = shelf.shards.iterdir()
    data = bytearray(path.read_bytes())
    data[1000 + part * (len(data) - 1000) // 8] ^= 1
    path.write_bytes(data)
    with refused(f"{path} is damaged"):
        shelf.get("ab")


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_in_a_header_never_changes_features(shelf: Shelf, bit: int) -> None:
    path = put(shelf, "ab", ["0", "1", "final"])
    whole, given = path.read_bytes(), shelf.get(["a", "b"])
    for at in range(8 + int.from_bytes(whole[:8], "little")):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        try:
            if {"a", "b"} <= shelf.index().keys():
                found = shelf.get(["a", "b"])
                assert found.keys() == given.keys(), f"byte {at} changed the layers to {list(found)}"
                assert all(torch.equal(*pair) for n in given for pair in zip(given[n], found[n], strict=True))
        except UserError as error:
            assert str(path) in str(error)


# An encoder is held to its first answer.


def test_the_first_answer_is_kept(shelf: Shelf) -> None:
    first = {"0": row("probe", "0"), "final": row("probe", "final")}
    shelf.agree(first)
    shelf.agree(first)


@pytest.mark.parametrize("frames", [None, 4])
def test_an_answer_that_differs_by_rounding_agrees(shelf: Shelf, frames: int | None) -> None:
    first = row("probe", "0", frames=frames)
    shelf.agree({"0": first})
    shelf.agree({"0": first + 1e-5 * row("rounding", "0", frames=frames)})


@pytest.mark.parametrize("layer", ["0", "final"])
@pytest.mark.parametrize("frames", [None, 4])
def test_an_answer_that_differs_is_refused(shelf: Shelf, refused: Refused, layer: str, frames: int | None) -> None:
    first = {name: row("probe", name, frames=frames) for name in ("0", "final")}
    shelf.agree(first)
    with refused(f"answers differently in layer {layer}"):
        shelf.agree({**first, layer: first[layer] + 0.01})


def test_an_answer_of_another_shape_is_refused(shelf: Shelf, refused: Refused) -> None:
    shelf.agree({"0": row("probe", "0", frames=4)})
    with refused("answers differently in layer 0"):
        shelf.agree({"0": row("probe", "0", frames=5)})


def test_an_answer_that_is_not_finite_is_refused(shelf: Shelf, refused: Refused) -> None:
    first = row("probe", "0")
    shelf.agree({"0": first})
    with refused("answers differently in layer 0"):
        shelf.agree({"0": first * float("nan")})


def test_answers_cannot_drift_away_step_by_step(shelf: Shelf, refused: Refused) -> None:
    first = torch.linspace(-0.9, 0.9, 5)
    shelf.agree({"0": first})
    shelf.agree({"0": first + 1.5e-3})
    with refused("answers differently"):
        shelf.agree({"0": first + 3e-3})


# File hashes are remembered.


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really read to be hashed."""
    asked: list[Path] = []

    def counting(path: Path) -> str:
        asked.append(path)
        return file_hash(path)

    monkeypatch.setattr(module, "file_hash", counting)
    return asked


def test_a_hash_is_that_of_the_bytes(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"some bytes")
    assert store.digest(tmp_path / "file") == hashlib.sha256(b"some bytes").hexdigest()


def test_a_file_is_hashed_once(store: FeatureStore, tmp_path: Path, hashed: list[Path]) -> None:
    (tmp_path / "file").write_bytes(b"some bytes")
    assert store.digest(tmp_path / "file") == store.digest(tmp_path / "file")
    assert len(hashed) == 1


def test_a_hash_is_remembered_by_a_store_that_is_opened_anew(tmp_path: Path, hashed: list[Path]) -> None:
    (tmp_path / "file").write_bytes(b"some bytes")
    for _ in range(2):
        with closing(FeatureStore(tmp_path / "store")) as store:
            store.digest(tmp_path / "file")
    assert len(hashed) == 1


def test_a_file_of_another_size_is_hashed_anew(store: FeatureStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some bytes")
    time = path.stat().st_mtime_ns
    first = store.digest(path)
    path.write_bytes(b"more bytes now")
    os.utime(path, ns=(time, time))
    assert store.digest(path) == hashlib.sha256(b"more bytes now").hexdigest() != first


def test_a_file_of_another_time_is_hashed_anew(store: FeatureStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"some bytes")
    time = path.stat().st_mtime_ns
    first = store.digest(path)
    path.write_bytes(b"same bytes")
    os.utime(path, ns=(time, time + 1))
    assert store.digest(path) == hashlib.sha256(b"same bytes").hexdigest() != first


def test_two_paths_are_told_apart(store: FeatureStore, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode())
        os.utime(tmp_path / name, ns=(1, 1))
    assert store.digest(tmp_path / "one") != store.digest(tmp_path / "two")


def test_an_audio_file_is_read_once(store: FeatureStore, tmp_path: Path, hashed: list[Path]) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 1234), 8000)
    facts = store.audio(path)
    assert facts == store.audio(path) == (file_hash(path), Header(1234, 8000))
    assert len(hashed) == 1


def test_audio_is_understood_of_a_file_that_was_only_hashed(store: FeatureStore, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 1234), 8000)
    digest = store.digest(path)
    assert store.audio(path) == (digest, Header(1234, 8000))


def test_audio_that_cannot_be_read_is_refused(store: FeatureStore, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "clip.wav").write_bytes(b"no sound at all")
    with refused("clip.wav"):
        store.audio(tmp_path / "clip.wav")


# A store that cannot be used says so.


def test_a_store_below_a_file_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with refused("cannot be written .*--store"):
        FeatureStore(tmp_path / "file" / "store")


def test_a_store_that_is_a_file_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with refused("cannot be written .*--store"):
        FeatureStore(tmp_path / "file")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc, where nobody can make folders")
def test_a_store_where_nobody_can_make_folders_is_refused(refused: Refused) -> None:
    with refused("cannot be written .*--store"):
        FeatureStore(Path("/proc/store"))


def test_a_store_whose_memory_is_a_folder_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "files.sqlite").mkdir()
    with refused("cannot be written .*--store"):
        FeatureStore(tmp_path)


def test_a_memory_that_is_no_database_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "files.sqlite").write_bytes(np.random.default_rng(0).bytes(5000))
    with refused("files.sqlite is damaged: delete it"):
        FeatureStore(tmp_path)


def test_a_memory_that_is_damaged_inside_is_refused(tmp_path: Path, refused: Refused) -> None:
    names = [tmp_path / f"a-file-with-some-name-{i:04}" for i in range(200)]
    with closing(FeatureStore(tmp_path)) as store:
        for path in names:
            path.write_bytes(path.name.encode())
            store.digest(path)
    memory = tmp_path / "files.sqlite"
    data = memory.read_bytes()
    memory.write_bytes(data[:4096] + np.random.default_rng(0).bytes(len(data) - 4096))
    with refused("files.sqlite is damaged: delete it"), closing(FeatureStore(tmp_path)) as store:
        for path in names:
            store.digest(path)
