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
from harness.damage import names
from harness.errors import UserError
from harness.models import Layers, Upstream, load_strictly
from harness.registry import UpstreamSpec
from harness.show import letter
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


class AtTheEdge(Healthy):
    """Leaves frame_offset at the contract's default, which is half a frame early."""

    frame_offset = Fraction(0)


class Elsewhere(Healthy):
    """Declares its frames beyond the end of the clip."""

    frame_offset = Fraction(10)


class Hasty(Healthy):
    """Declares too many frames, and takes no clip above a second."""

    sample_rate = longest = 48_000
    frame_rate, frame_offset = Fraction(999), Fraction(FRAME, 2 * 48_000)


class Sluggish(Healthy):
    """Declares a frame each second, and gives one in two."""

    frame_rate, frame_offset, shortest = Fraction(1), Fraction(1), 32_000
    padding_changes_output = True

    def forward(self, wave: Tensor) -> Layers:
        layers = super().forward(functional.pad(wave, (0, max(0, 32_000 - wave.shape[-1]))))

        def slower(layer: Tensor) -> Tensor:
            return functional.avg_pool1d(layer.transpose(1, 2), 200).transpose(1, 2)

        return Layers(tuple(map(slower, layers.hidden)), slower(layers.final))


class Breathless(Healthy):
    """Takes a few frames at a time."""

    longest = 900


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


class Overheard(Healthy):
    """Cuts off what lies 80 dB below the loudest clip of a batch."""

    def forward(self, wave: Tensor) -> Layers:
        wave = functional.pad(wave, (0, max(0, FRAME - wave.shape[-1])))
        power = functional.avg_pool1d(wave[:, None].square(), FRAME).transpose(1, 2).expand(-1, -1, WIDTH)
        level = 10 * (power + 1e-20).log10()
        floor = level.clamp(min=level.max() - 80)
        return Layers((floor,) * 3, floor)


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


class Piecewise(Healthy):
    """Claims that padding leaves its frames alone, and norms pieces of a second."""

    def forward(self, wave: Tensor) -> Layers:
        pieces = [piece / piece.std(-1, correction=0, keepdim=True).clamp(min=1e-3) for piece in wave.split(16_000, -1)]
        return super().forward(torch.cat(pieces, -1))


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


class Stubborn(Healthy):
    """States a precision that it does not take on."""

    def forward(self, wave: Tensor) -> Layers:
        with torch.autocast("cpu", enabled=False):
            return super().forward(wave)


class Fragile(Healthy):
    """Breaks in a precision that it states."""

    def forward(self, wave: Tensor) -> Layers:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("no kernel for BFloat16")
        return super().forward(wave)


class Vague(Healthy):
    """Refuses what is not its own, and says a word of the key by chance."""

    def read(self, weights: Weights) -> None:
        if set(weights.state_dict()) != set(self.network.state_dict()):
            raise UserError("this checkpoint comes as a surprise")
        super().read(weights)


class Illiterate(Healthy):
    """Cannot write."""

    def save(self, path: Path) -> None:
        raise OSError("the disk is full")


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


class Regular(Healthy):
    """Its record has another rate."""

    variants = {"": Variant(parameters=0.0, widths=(WIDTH,) * 3, frame_rate=Fraction(25))}


class Pyramid(Healthy):
    """Its record has its widths in another order."""

    variants = {"": Variant(parameters=0.0, widths=(WIDTH, 2 * WIDTH, WIDTH), frame_rate=Fraction(100))}
    widths = (WIDTH, WIDTH, 2 * WIDTH)

    def forward(self, wave: Tensor) -> Layers:
        layers = super().forward(wave)
        return Layers((*layers.hidden[:-1], layers.hidden[-1].repeat(1, 1, 2)), layers.final)


class Nameless(Healthy):
    """Nobody may know under which licence it is."""

    card = Card(paper="none", licence="")


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
        (Hasty, "lengths", "150 frames more in 48000 samples than in 24000, where 499.5 are due", "frame_rate"),
        (Sluggish, "lengths", "where 8.0 are due", "frame_rate"),
        (Misplaced, "frame_offset", "frames away", "frame_offset"),
        (AtTheEdge, "frame_offset", "-0.50 on average", "frame_offset"),
        (Elsewhere, "frame_offset", "none of the 100 declared centres lies in it", "frame_offset"),
        (Drunk, "repeatable", "differ by", "dropout"),
        (Thief, "repeatable", "changed in place", "a copy"),
        (Sociable, "batch", "differ by", "over the clips of a batch"),
        (Overheard, "batch", "differ by", "over the clips of a batch"),
        (Absent, "threads", "differ by", "keep nothing of a call on self"),
        (Proud, "padding", "move by", "padding_changes_output = True"),
        (Piecewise, "padding", "move by", "padding_changes_output = True"),
        (Modest, "padding", "move by", "padding_changes_output = False"),
        (Divider, "signals", "silence: numbers that are not finite in layer 0", "divisions"),
        (Coarse, "dtypes", "1e-06 is stated", "bfloat16"),
        (Stubborn, "dtypes", "bfloat16 moves a layer by 0.0e+00", "forward leaves autocast"),
        (Fragile, "dtypes", "no kernel for BFloat16", "leave the dtype out of dtypes"),
        (Vague, "damaged", "without naming surprise.weight", "compare both lists of keys"),
        (Illiterate, "round trip", "the disk is full", "to the path that it is given"),
        (Illiterate, "damaged", "the disk is full", "to the path that it is given"),
        (Forgetful, "damaged", "another model is loaded as if all were well", "compare both lists of keys"),
        (Careless, "round trip", "lacks the keys 'norm.bias', 'norm.weight'", "let save write"),
        (Boastful, "record", "parameters is declared 90.0 M, and 0.0 M is found", "correct the variant"),
        (Regular, "record", "frame_rate is declared 25, and 100 is found", "correct the variant"),
        (Pyramid, "record", "declared 1 x 8, 1 x 16, 1 x 8, and 2 x 8, 1 x 16 is found", "correct the variant"),
        (Nameless, "record", "the card has no licence", "fill in the card"),
    ],
)
def test_each_disease_is_told_by_its_name(cls: type[Upstream], check: str, seen: str, change: str) -> None:
    found = testing.examine(subject(cls), check)
    assert found.state == "ILL"
    assert seen in found.seen
    assert change in found.change


@pytest.mark.parametrize(
    "cls", [Misplaced, AtTheEdge, Elsewhere, Modest, Coarse, Stubborn, Fragile, Vague, Forgetful, Boastful]
)
def test_one_disease_leaves_the_other_checks_well(cls: type[Upstream]) -> None:
    assert sum(finding.state == "ILL" for finding in findings(cls).values()) == 1


@pytest.mark.parametrize("hops", ["-0.9", "0", "0.1", "0.9", "1", "1.5"])
def test_a_frame_that_is_four_tenths_of_a_frame_off_is_found(hops: str) -> None:
    class Off(Healthy):
        frame_offset = Fraction(hops) / 100

    assert testing.examine(subject(Off), "frame_offset").state == "ILL"


@pytest.mark.parametrize("check", CHECKS)
def test_an_upstream_of_short_clips_is_examined_in_short_clips(check: str) -> None:
    assert testing.examine(subject(Breathless), check).state == "well"


def test_a_rate_that_clips_are_too_short_to_tell_is_not_said_to_be_right() -> None:
    assert "the rate cannot be told from clips of 450 to 900" in testing.examine(subject(Breathless), "lengths").seen


def test_a_precision_that_is_not_stated_is_refused_without_another_network(monkeypatch: pytest.MonkeyPatch) -> None:
    one = subject(Healthy)
    assert one.upstream
    monkeypatch.setattr(UpstreamSpec, "load", None)
    assert "float16 is refused" in testing.examine(one, "dtypes").seen


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (Weights("untrained", "untrained", "untrained", small=True), "a small network has no published size"),
        (Weights("file", "mine.pt", "mine"), "a checkpoint may have a size of its own"),
    ],
)
def test_a_record_that_cannot_be_compared_is_not_said_to_be_right(weights: Weights, reason: str) -> None:
    for cls, state in ((Boastful, "left out"), (Nameless, "ILL")):
        one = Subject(UpstreamSpec("one", cls, {}, "one"), weights, quick=True)
        one.__dict__["upstream"] = subject(cls).upstream
        found = testing.examine(one, "record")
        assert found.state == state
        assert (reason in found.left_out) == (state == "left out")


@pytest.mark.parametrize(
    ("sentence", "named"),
    [
        ("lacks the key 'encoder.layers.0.attention.weight'", True),
        ("lacks the key 'network.attention.weight'", True),
        ("lacks the key 'attention'", False),
        ("lacks a weight", False),
        ("lacks layers", False),
    ],
)
def test_a_key_is_named_by_its_last_two_parts_at_least(sentence: str, named: bool) -> None:
    assert names(sentence, "encoder.layers.0.attention.weight") == named


def test_a_long_name_of_a_tensor_is_enough() -> None:
    assert names("lacks the key 'front.relative_position'", "encoder.relative_position")
    assert not names("lacks the key 'front.position'", "encoder.position")


def test_a_checkpoint_that_is_refused_is_refused_before_any_check(tmp_path: Path) -> None:
    torch.save({"surprise.weight": torch.ones(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth"):
        Subject.of(f"ssamba@{tmp_path / 'other.pth'}")


def test_a_suite_loads_an_upstream_once(monkeypatch: pytest.MonkeyPatch) -> None:
    testing.assert_holds("mfcc", "batch")
    monkeypatch.setattr(UpstreamSpec, "load", None)
    testing.assert_holds("mfcc", "repeatable")


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
