"""The examination of upstreams: it passes a healthy one, and tells each disease by its name."""

import time
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness import testing
from harness.cards import Card, Variant, Weights
from harness.cli import letter
from harness.models import Layers, Upstream, load_strictly
from harness.registry import UpstreamSpec
from harness.testing import CHECKS, Finding, Subject

FRAME = 160
WIDTH = 8


class Network(nn.Module):
    """Frames of 10 ms, then two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Conv1d(1, WIDTH, FRAME, FRAME)
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(0.5)


class Healthy(Upstream):
    """Keeps the contract."""

    card = Card(paper="none", licence="MIT")
    variants = {"": Variant(parameters=0.0, widths=(WIDTH,) * 3, frame_rate=Fraction(100))}
    reads = ("file",)
    padding_changes_output = False
    dtypes = {"bfloat16": 0.1}
    revision = "1"
    sample_rate = 16_000
    widths, final_width = (WIDTH,) * 3, WIDTH
    frame_rate, frame_offset, shortest = Fraction(100), Fraction(FRAME, 2 * 16_000), FRAME

    def __init__(self, weights: Weights, device: torch.device) -> None:
        super().__init__(weights, device)
        with weights.seeded():
            self.network = Network()
        if weights.trained:
            self.read(weights)
        self.network.eval().requires_grad_(False).to(device)

    def read(self, weights: Weights) -> None:
        load_strictly(self.network, weights.state_dict(), what=weights.label)

    def forward(self, wave: Tensor) -> Layers:
        wave = functional.pad(wave, (0, max(0, FRAME - wave.shape[-1])))
        hidden = [self.network.frames(wave[:, None]).transpose(1, 2)]
        for block in self.network.blocks:
            hidden.append(hidden[-1] + torch.tanh(block(hidden[-1])))
        return Layers(tuple(hidden), self.network.norm(hidden[-1]))

    def save(self, path: Path) -> None:
        torch.save(self.network.state_dict(), path)


class WithoutAFrame(Healthy):
    """Forgets short clips."""

    def forward(self, wave: Tensor) -> Layers:
        if wave.shape[-1] < FRAME:
            raise ValueError("too short")
        return super().forward(wave)


class TooWide(Healthy):
    """Declares another width than it has."""

    widths = (WIDTH + 1,) * 3


class TooFast(Healthy):
    """Declares twice the frames it gives."""

    frame_rate = Fraction(200)


class Misplaced(Healthy):
    """Declares its frames a tenth of a second late."""

    frame_offset = Fraction(1, 10)


class Drunk(Healthy):
    """Leaves dropout on."""

    def forward(self, wave: Tensor) -> Layers:
        layers = super().forward(wave)
        return Layers(layers.hidden, functional.dropout(layers.final, training=True))


class Thief(Healthy):
    """Works on the caller's wave."""

    def forward(self, wave: Tensor) -> Layers:
        wave *= 2
        return super().forward(wave)


class Sociable(Healthy):
    """Normalises over the clips of a batch."""

    def forward(self, wave: Tensor) -> Layers:
        return super().forward(wave / wave.std())


class Absent(Healthy):
    """Keeps what it computes on itself, where another thread finds it."""

    def forward(self, wave: Tensor) -> Layers:
        self.wave = wave
        time.sleep(0.01)  # as long as a network takes
        return super().forward(self.wave)


class Proud(Healthy):
    """Claims that padding leaves its frames alone, and looks at the whole clip."""

    @staticmethod
    def normalise(wave: Tensor) -> Tensor:
        return wave - wave.mean(-1, keepdim=True) + wave.std(-1, correction=0, keepdim=True)


class Modest(Healthy):
    """Claims that padding moves its frames, though they are independent."""

    padding_changes_output = True


class Divider(Healthy):
    """Divides by the deviation of a clip, which silence does not have."""

    padding_changes_output = True

    def forward(self, wave: Tensor) -> Layers:
        return super().forward(wave / wave.std(-1, correction=0, keepdim=True))


class Coarse(Healthy):
    """States a precision that it does not have."""

    dtypes = {"bfloat16": 1e-6}


class Forgetful(Healthy):
    """Loads what it finds and leaves the rest as it was drawn."""

    def read(self, weights: Weights) -> None:
        self.network.load_state_dict(weights.state_dict(), strict=False)


class Careless(Healthy):
    """Writes half of itself."""

    def save(self, path: Path) -> None:
        torch.save({k: v for k, v in self.network.state_dict().items() if "norm" not in k}, path)


class Boastful(Healthy):
    """Its record is another model's."""

    variants = {"": Variant(parameters=90.0, widths=(WIDTH,) * 13, frame_rate=Fraction(100))}


def subject(cls: type[Upstream]) -> Subject:
    weights = Weights("untrained", "untrained", "untrained")
    return Subject(UpstreamSpec(cls.__name__.lower(), cls, {}, "untrained"), weights, quick=True)


def findings(cls: type[Upstream]) -> dict[str, Finding]:
    return {check: testing.examine(subject(cls), check) for check in CHECKS}


@pytest.mark.parametrize("check", CHECKS)
def test_a_healthy_upstream_passes_every_check(check: str) -> None:
    finding = testing.examine(subject(Healthy), check)
    assert finding.state == "well", finding
    assert finding.tried
    assert finding.seen


@pytest.mark.parametrize(
    ("cls", "check", "seen", "change"),
    [
        (WithoutAFrame, "lengths", "too short", "at any length"),
        (TooWide, "lengths", "3 layers x 8, declared 3 x 9", "make forward and the attributes agree"),
        (TooFast, "lengths", "where 400.0 are due", "frame_rate"),
        (Misplaced, "frame_offset", "frames away", "frame_offset"),
        (Drunk, "repeatable", "differ by", "dropout"),
        (Thief, "repeatable", "changed in place", "a copy"),
        (Sociable, "batch", "differ by", "over the clips of a batch"),
        (Absent, "threads", "differ by", "keep nothing of a call on self"),
        (Proud, "padding", "move by", "padding_changes_output = True"),
        (Modest, "padding", "move by", "padding_changes_output = False"),
        (Divider, "signals", "silence: numbers that are not finite in layer 0", "divisions"),
        (Coarse, "dtypes", "1e-06 is stated", "bfloat16"),
        (Forgetful, "damaged", "another model is loaded as if all were well", "compare both lists of keys"),
        (Careless, "round trip", "lacks the keys 'norm.bias', 'norm.weight'", "let save write"),
        (Boastful, "record", "parameters is declared 90.0 M, and 0.0 M is found", "correct the variant"),
    ],
)
def test_each_disease_is_told_by_its_name(cls: type[Upstream], check: str, seen: str, change: str) -> None:
    found = findings(cls)
    assert found[check].state == "ILL"
    assert seen in found[check].seen
    assert change in found[check].change


@pytest.mark.parametrize("cls", [Misplaced, Modest, Coarse, Forgetful, Boastful])
def test_one_disease_leaves_the_other_checks_well(cls: type[Upstream]) -> None:
    assert sum(finding.state == "ILL" for finding in findings(cls).values()) == 1


def test_a_missing_key_is_named() -> None:
    seen = testing.examine(subject(Healthy), "damaged").seen
    assert "without a key: without-a-key.pt lacks the key 'frames.weight'" in seen
    assert "with a key too many: with-a-key-too-many.pt has the key 'surprise.weight'" in seen
    assert "cut short: cut-short.pt cannot be read" in seen


def test_an_upstream_without_weights_has_no_checkpoint_to_try() -> None:
    for check in ("round trip", "damaged"):
        assert testing.examine(Subject.of("mel"), check).left_out == "it has no weights"


def test_a_suite_of_the_authors_own_fails_with_the_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    testing.assert_holds("mel", "batch")
    monkeypatch.setattr(testing, "TOLERANCE", -1.0)
    with pytest.raises(AssertionError, match="mel, batch: tried three clips"):
        testing.assert_holds("mel", "batch")


def test_the_letter_says_what_was_tried_what_was_seen_and_what_to_change() -> None:
    text = letter(Finding("batch", "three clips", "differ by 1", "look again " * 20))
    lines = text.splitlines()
    assert lines[0] == "ILL       batch"
    assert [line.split()[0] for line in lines[1:4]] == ["tried", "saw", "change"]
    assert max(map(len, lines)) <= 110
