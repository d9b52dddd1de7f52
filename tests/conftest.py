"""What several test files share: where the reference data lies, signals, and what an error must look like."""

import json
import os
import re
import sys
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


TOY = '''
"""A toy that guards the pipeline."""
import csv
import numpy as np
import soundfile
from harness.datasets import Task, rotation
from harness.types import Class, Clip

#: right: the class is the pitch, so the score is 1.0.
#: groups: labels are drawn per group, and only the group can be heard.
VARIANTS = ("right", "groups")
FOLDS = ("1", "2", "3", "4", "5")

def task(variant):
    return Task(name=f"toy:{variant}", version="1", target=Class(("a", "b", "c", "d")), splits=rotation(FOLDS),
                list_clips=list_clips, clips=200, folder=f"toy-{variant}", source=lambda folder: make(folder, variant),
                paper="none", licence="none")

def make(folder, variant):
    rng = np.random.default_rng(0)
    t = np.arange(8000) / 16000
    with open(folder / "meta.csv", "w", newline="") as file:
        rows = csv.writer(file)
        for group in range(50):
            label, chord = int(rng.integers(4)), rng.uniform(100, 7000, 8)
            for take in range(4):
                label = take if variant == "right" else label
                pitches = [300 * 2 ** take] if variant == "right" else chord
                wave = sum(0.1 * np.sin(2 * np.pi * pitch * t + rng.uniform(0, 6)) for pitch in pitches)
                wave *= rng.uniform(0.5, 1)
                name = f"{group:02}-{take}.wav"
                soundfile.write(folder / name, wave + 0.01 * rng.standard_normal(8000), 16000)
                rows.writerow([name, "abcd"[label], group, FOLDS[group % 5]])

def list_clips(folder):
    with open(folder / "meta.csv", newline="") as file:
        return [Clip(id=n, path=folder / n, target=t, group=g, fold=f) for n, t, g, f in csv.reader(file)]
'''


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tasks ``toy:right`` and ``toy:groups``, offered by a package that is installed in this folder."""
    site = tmp_path / "site"
    info = site / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "toy_task.py").write_text(TOY)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.tasks]\ntoy = toy_task\n")
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("toy_task", None)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """Where a run finds and leaves things, as keywords."""
    return {name: str(tmp_path / name) for name in ("data", "store", "results")}
