"""What several test files share: where the reference data lies, signals, and what an error must look like."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.catalogue import HEADS
from harness.closed import Logistic, Ridge
from harness.errors import UserError
from harness.heads import Head
from harness.protocols import PROTOCOLS
from harness.trained import Trained


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


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run ``harness`` with arguments; gives the exit code, what it printed, and what it complained of."""

    from harness import cli

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics that sort clips are resampled as seldom as they ever are."""
    monkeypatch.setattr("harness.answers._WEIGHED", 1)


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


KINDS = '''
"""A toy of every kind of target: tones, of which one can hear what is asked."""
from functools import partial
import numpy as np
import soundfile
from harness.datasets import Task
from harness.types import Clip, Events, Slots, SoundEvent, Split, Tags, Trial, Trials, Value

TARGETS = {
    "tags": Tags(("a", "b", "c", "d")),
    "slots": Slots(("pitch", "level"), (("a", "b", "c", "d"), ("soft", "loud"))),
    "value": Value(),
    "trials": Trials(),
    "events": Events(("a", "b")),
}
VARIANTS = tuple(TARGETS)
PITCHES = (750, 1750, 3250, 5750)

def task(variant):
    return Task(name=f"kinds:{variant}", version="1", target=TARGETS[variant], clips=96, folder=f"kinds-{variant}",
                splits=(Split(train=("train",), valid=("valid",), test=("test",)),),
                list_clips=partial(list_clips, variant), source=partial(make, variant), paper="none", licence="none",
                list_trials=list_trials if variant == "trials" else None)

def scenes(variant):
    """For each of 96 clips what is asked, and its tones: pitch, onset, offset, level."""
    rng = np.random.default_rng(0)
    for i in range(96):
        if variant == "tags":
            own = sorted(rng.choice(4, 2, replace=False).tolist())
            yield tuple("abcd"[k] for k in own), [(PITCHES[k], 0, 0.5, 0.1) for k in own]
        elif variant == "slots":
            yield ("abcd"[i % 4], ("soft", "loud")[i // 4 % 2]), [(PITCHES[i % 4], 0, 0.5, (0.02, 0.2)[i // 4 % 2])]
        elif variant == "value":
            level = rng.uniform(-5, -1)
            yield level, [(1750, 0, 0.5, np.exp(level))]
        elif variant == "trials":
            chord = np.random.default_rng(i // 8).uniform(300, 7000, 6)
            yield f"speaker {i // 8}", [(pitch, 0, 0.5, 0.05) for pitch in chord]
        else:
            on = np.cumsum(rng.uniform(0.4, 0.6, 4)).round(2)
            tones = [("ab"[k % 2], on[k], on[k + 1] - 0.1) for k in range(3)]
            yield (tuple(SoundEvent(label, float(a), float(b)) for label, a, b in tones),
                   [(PITCHES["ab".index(label)], a, b, 0.2) for label, a, b in tones])

def make(variant, folder):
    rng = np.random.default_rng(1)
    for i, (_, tones) in enumerate(scenes(variant)):
        t = np.arange(8000 if variant != "events" else 40000) / 16000
        wave = 0.005 * rng.standard_normal(len(t))
        for pitch, onset, offset, level in tones:
            wave += level * np.sin(2 * np.pi * pitch * t) * ((t >= onset) & (t < offset))
        soundfile.write(folder / f"{i:02}.wav", wave, 16000)

def list_clips(variant, folder):
    folds = ("train", "train", "valid", "test")
    return [Clip(id=f"{i:02}", path=folder / f"{i:02}.wav", target=target, group=f"{i // 8}", fold=folds[i // 8 % 4])
            for i, (target, _) in enumerate(scenes(variant))]

def list_trials(folder):
    tested = [clip for clip in list_clips("trials", folder) if clip.fold == "test"]
    pairs = [(a, b) for i, a in enumerate(tested) for b in tested[:i]]
    return [Trial(a.id, b.id, a.target == b.target) for a, b in pairs]
'''

SPECTRUM = '''
"""The log-spectrum of every frame: four layers of one width, of several, or two layers."""
from fractions import Fraction
import torch
from harness.cards import Card, Variant, one_of
from harness.models import Layers, Upstream

class Spectrum(Upstream):
    axes = (one_of("variant", "equal", "uneven", "short"),)
    card = Card(paper="none", licence="none")
    variants = {
        name: Variant(parameters=0, widths=widths, frame_rate=Fraction(50))
        for name, widths in {"equal": (16,) * 4, "uneven": (8, 16, 16, 16), "short": (16,) * 2}.items()
    }
    reads = ()
    revision = "1"

    def __init__(self, weights, device, variant="equal"):
        super().__init__(weights, device)
        self.sample_rate, self.shortest, self.frame_rate = 16000, 512, Fraction(50)
        self.frame_offset = Fraction(256, 16000)
        self.widths, self.final_width = self.variants[variant].widths, 16

    def forward(self, wave):
        wave = torch.nn.functional.pad(wave, (0, max(0, 512 - wave.shape[1])))
        frames = wave.unfold(1, 512, 320) * torch.hann_window(512)
        power = torch.fft.rfft(frames)[..., 1:].abs().square().unflatten(-1, (16, 16)).sum(-1)
        final = (power + 1e-3).log()
        bent = [final.tanh(), final / 2, power.sqrt(), final]
        return Layers(tuple(x[..., :w] for x, w in zip(bent[-len(self.widths):], self.widths)), final)

UPSTREAM = Spectrum
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Install a package of plugins: its name, and ``GROUP.NAME`` with the text of the module behind each."""
    installed: list[str] = []

    def make(package: str, modules: Mapping[str, str]) -> Path:
        site = tmp_path / f"site-{package}"
        info = site / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        entries = []
        for place, text in modules.items():
            group, _, name = place.partition(".")
            module = f"{package}_{name}"
            (site / f"{module}.py").write_text(text)
            entries.append(f"[harness.{group}]\n{name} = {module}\n")
            installed.append(module)
        (info / "entry_points.txt").write_text("".join(entries))
        monkeypatch.syspath_prepend(str(site))
        return site

    yield make
    for module in installed:
        sys.modules.pop(module, None)


@pytest.fixture
def toys(install: Callable[..., Path]) -> Path:
    """The tasks ``toy:right`` and ``toy:groups``, offered by a package that is installed in this folder."""
    return install("toys", {"tasks.toy": TOY})


@pytest.fixture
def kinds(install: Callable[..., Path]) -> Path:
    """The tasks ``kinds:tags`` to ``kinds:events``, and the upstream ``spectrum``."""
    return install("kinds", {"tasks.kinds": KINDS, "upstreams.spectrum": SPECTRUM})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every head is trained for forty steps with one setting, or solved for two."""

    def short(head: Head) -> Head:
        if isinstance(head, Logistic | Ridge):
            return replace(head, grid=head.grid[2::3])
        if not isinstance(head, Trained):
            return head
        rates = (1e-2,) if head.training.rates else ()
        training = replace(head.training, rates=rates, batch=32, steps=40, epochs=None, least_steps=0, checks=4)
        return replace(head, training=training, grid=head.grid[2:3] or head.grid)

    for name, entry in HEADS.items():
        monkeypatch.setitem(HEADS, name, replace(entry, head=short(entry.head)))
    for name, protocol in PROTOCOLS.items():
        heads = {own: short(head) for own, head in protocol.heads.items()}
        monkeypatch.setitem(PROTOCOLS, name, replace(protocol, heads=heads))


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """Where a run finds and leaves things, as keywords."""
    return {name: str(tmp_path / name) for name in ("data", "store", "results")}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the toys' audio is made, once for all tests that leave it as it is."""
    return str(tmp_path_factory.mktemp("made"))
