"""What several test files share: where the reference data lies, signals, and what an error must look like."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.errors import UserError


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Where others compute too, threads that wait for each other take many times longer than one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data."""
    folder = Path(os.environ.get("HARNESS_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"there is no reference data at {folder}; HARNESS_SHARED names its folder")
    return folder


@pytest.fixture(scope="session")
def golden(shared: Path) -> Callable[[str], tuple[Mapping[str, Any], dict[str, Tensor]]]:
    """Gives a reference case by its id: what the index says of it, and its tensors."""
    from safetensors.torch import load_file

    index = shared / "golden" / "golden.json"
    if not index.is_file():
        pytest.skip(f"there are no reference tensors: {index} is missing")
    cases = {case["id"]: case for case in json.loads(index.read_text(encoding="utf-8"))["cases"]}

    def load(name: str) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
        return cases[name], load_file(shared / "golden" / cases[name]["file"])

    return load


@pytest.fixture(scope="session")
def tones() -> Callable[[int], Tensor]:
    """Gives so many samples, at 16 kHz, of the two tones and the chirp behind the reference numbers."""

    def make(samples: int) -> Tensor:
        n = torch.arange(samples, dtype=torch.float64)
        turn = 2 * torch.pi * n / 16_000
        low, high = torch.sin(440 * turn), torch.sin(1760 * turn + 1) * torch.cos(3 * turn)
        return (0.3 * low + 0.2 * high + 0.01 * torch.sin(0.0007 * n**2)).float()

    return make


@pytest.fixture(scope="session")
def noise() -> Callable[..., Tensor]:
    """Gives seeded noise of a shape, with a fade, so that no two stretches are alike."""

    def make(*shape: int, seed: int = 0) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        return torch.randn(*shape, generator=random) * torch.linspace(0.05, 0.2, shape[-1])

    return make


@pytest.fixture
def refused() -> Callable[[str], AbstractContextManager[None]]:
    """Expect a :class:`UserError` of one sentence in which a pattern occurs."""

    @contextmanager
    def expect(pattern: str) -> Iterator[None]:
        with pytest.raises(UserError, match=pattern) as caught:
            yield
        message = str(caught.value)
        assert "\n" not in message
        assert not re.search(r"\.(\s|$)", message), f"more than one sentence, or a full stop: {message}"

    return expect
