"""What the README shows works as written."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import harness
from harness import catalogue, cli, protocols, tasklist

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    line for kind, block in BLOCKS if kind == "bash" for line in block.splitlines() if line.startswith("harness")
]


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The README's upstream and task, installed as a package."""
    examples = {re.search(r"class (\w+)|name=\"(\w+)\"", block): block for kind, block in BLOCKS if kind == "python"}
    for match, block in examples.items():
        if match is not None:
            (tmp_path / f"their_{(match[1] or match[2]).lower()}.py").write_text(block)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[harness.upstreams]\nloudness = their_loudness\n[harness.tasks]\npets = their_pets\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("their_loudness", "their_pets"):
        sys.modules.pop(name, None)


def make_pets(folder: Path) -> None:
    """A thousand pets: cats are louder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["file,pet,fold,owner"]
    for i in range(1000):
        soundfile.write(folder / f"{i}.wav", rng.standard_normal(400) * (0.2 if i % 2 else 0.02), 16_000)
        lines.append(f"{i}.wav,{'cat' if i % 2 else 'dog'},{1 + i // 2 % 5},{i // 2}")
    (folder / "pets.csv").write_text("\n".join(lines))


@pytest.mark.usefixtures("plugins")
def test_the_example_upstream_and_task_run_together(tmp_path: Path, folders: dict[str, str]) -> None:
    make_pets(tmp_path / "data" / "pets")
    assert harness.run("loudness:one", "pets", **folders).score == 1.0


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize("samples", [1, 159, 160, 16_000])
def test_the_example_upstream_takes_any_length(samples: int) -> None:
    layers = harness.upstream("loudness", device="cpu").encode(torch.rand(2, samples))
    assert layers.final.shape == (2, max(1, samples // 160), 1)


def test_its_tables_are_those_of_the_code() -> None:
    assert protocols.table() in README
    assert catalogue.table() in README
    assert catalogue.groups() in README
    assert tasklist.table() in README


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [*shlex.split(line, comments=True), "--help"])
    cli.main()
