"""Checkpoints from strangers: they are read, not run, and what is broken is said in one sentence."""

import argparse
import pickle
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from harness.checkpoint import read_checkpoint

Refused = Callable[[str], AbstractContextManager[None]]


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.fixture
def state() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    return {"weight": torch.randn(3, 5, generator=random), "count": torch.tensor(1024)}


def assert_same(got: dict[str, Any], wanted: dict[str, Tensor]) -> None:
    assert got.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(got[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("suffix", ["pth", "pt", "bin", "ckpt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_is_read(tmp_path: Path, state: dict[str, Tensor], suffix: str, zipped: bool) -> None:
    path = tmp_path / f"weights.{suffix}"
    torch.save(OrderedDict(state), path, _use_new_zipfile_serialization=zipped)
    assert_same(read_checkpoint(path), state)


def test_plain_containers_beside_the_tensors_are_read(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"model": state, "cfg": {"layers": 12, "rates": [0.1, None], "name": "tiny"}}, path)
    read = read_checkpoint(path)
    assert read["cfg"] == {"layers": 12, "rates": [0.1, None], "name": "tiny"}
    assert_same(read["model"], state)


def test_a_safetensors_file_is_read(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    assert_same(read_checkpoint(path), state)


@pytest.mark.parametrize("where", ["alone", "among tensors", "in a plain pickle"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, refused: Refused, state: dict[str, Tensor], where: str
) -> None:
    path, crater = tmp_path / "weights.pth", tmp_path / "crater"
    bomb = Bomb(crater)
    if where == "in a plain pickle":
        path.write_bytes(pickle.dumps(bomb, protocol=2))
    else:
        torch.save(bomb if where == "alone" else {**state, "extra": bomb}, path)
    with refused(r"weights\.pth holds more than tensors"):
        read_checkpoint(path)
    assert not crater.exists()


def test_the_bomb_of_these_tests_goes_off_where_it_may(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "crater")))
    assert (tmp_path / "crater").exists()


def test_a_whole_network_is_refused(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"model": torch.nn.Linear(2, 3)}, path)
    with refused(r"weights\.pth holds more than tensors"):
        read_checkpoint(path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_missing_file_is_refused(tmp_path: Path, refused: Refused, suffix: str) -> None:
    with refused("there is no checkpoint"):
        read_checkpoint(tmp_path / f"none.{suffix}")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "contents",
    [b"", b"hello", b"these are no weights\n" * 50, b"\x00" * 64, b"<!DOCTYPE html>\n<html></html>\n"],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, refused: Refused, suffix: str, contents: bytes) -> None:
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(contents)
    with refused(rf"weights\.{suffix}"):
        read_checkpoint(path)


@pytest.mark.parametrize("kept", [1, 8, 30, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["zipped", "not zipped", "safetensors"])
def test_a_truncated_file_is_refused(
    tmp_path: Path, refused: Refused, state: dict[str, Tensor], kind: str, kept: float
) -> None:
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pth")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zipped")
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with refused("weights"):
        read_checkpoint(path)


@pytest.mark.parametrize("contents", [[torch.ones(2)], torch.ones(2), 3, "words", None], ids=lambda x: type(x).__name__)
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, refused: Refused, contents: object) -> None:
    path = tmp_path / "weights.pth"
    torch.save(contents, path)
    with refused("holds no state dict"):
        read_checkpoint(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_foreign_objects_are_read_as_what_they_hold(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "old.pt"
    settings = argparse.Namespace(rate=16_000, inner=[argparse.Namespace(depth=2)])
    content = {"args": settings, "model": {"w": torch.ones(2)}}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    state = read_checkpoint(path, with_objects=True)
    assert state["args"].plain == {"rate": 16_000, "inner": [{"depth": 2}]}
    assert torch.equal(state["model"]["w"], torch.ones(2))


def test_settings_that_name_each_other_a_billion_times_are_opened_once(tmp_path: Path) -> None:
    settings: dict[str, object] = {"depth": 1}
    for _ in range(60):
        settings = {"left": settings, "right": settings}
    torch.save({"args": argparse.Namespace(settings=settings)}, tmp_path / "bomb.pt")
    opened = read_checkpoint(tmp_path / "bomb.pt", with_objects=True)["args"].plain["settings"]
    assert opened["left"] is opened["right"]
