"""The contracts as functions: what `harness check upstream` and `check task` run, for authors of both to run as well.

In a test suite of your own::

    @pytest.mark.parametrize("check", harness.testing.CHECKS)
    def test_the_contract(check):
        harness.testing.assert_holds("mine@untrained", check, quick=True)
"""

import math
import statistics
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cards import Weights
from harness.contract import CHECKS as TASK_CHECKS
from harness.contract import check_task
from harness.damage import DAMAGES, names, saved
from harness.errors import UserError
from harness.finding import Finding
from harness.models import Layers, Upstream
from harness.registry import UpstreamSpec
from harness.store import file_hash

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CHECKS", "TASK_CHECKS", "Finding", "Subject", "assert_holds", "check_task", "examine"]

#: How far a clip's layers may differ, alone and in a batch: the norm of the difference over the layer's.
TOLERANCE = 1e-4
#: How far they may differ where the same numbers are computed twice: a table made in another order, no more.
ROUNDING = 1e-6
#: How far the centres of frames may lie from where they are declared, in frames.
OFFSET = 0.25
#: How many bursts tell that: a random network listens to some places in a frame more than to others.
BURSTS = 12
#: Seconds of the longest clip that is tried, if the upstream takes as much; more where a dozen frames take longer.
LONGEST = {"published": 30.0, "quick": 3.0}


@dataclass(frozen=True)
class Subject:
    """The upstream that is examined."""

    spec: UpstreamSpec
    weights: Weights
    quick: bool
    device: str = "cpu"

    @classmethod
    def of(cls, name: str, *, quick: bool = False, device: str = "cpu") -> "Subject":
        """The upstream of a name, loaded; ``quick`` takes a small network if it is untrained, and short clips.

        Raises:
            UserError: the name is unknown, or its weights cannot be had or are not its own.
        """
        spec = UpstreamSpec.parse(name)
        weights = spec.weights(file_hash)
        subject = cls(spec, replace(weights, small=quick and weights.kind == "untrained"), quick, device)
        _ = subject.upstream  # a checkpoint that is refused is refused here, not by each check
        return subject

    @cached_property
    def upstream(self) -> Upstream:
        """The loaded upstream."""
        return self.spec.load(self.weights, self.device)

    @property
    def bare(self) -> UpstreamSpec:
        """Its name without what a checkpoint tells by itself: small networks have no published size."""
        detected = {axis.option for axis in self.spec.cls.axes if axis.detected and not axis.text}
        tokens = {option: token for option, token in self.spec.tokens.items() if option not in detected}
        return UpstreamSpec(self.spec.family, self.spec.cls, tokens, None)

    @property
    def limit(self) -> int:
        """Samples of the longest clip that is tried."""
        upstream = self.upstream
        usual = round(LONGEST["quick" if self.quick else "published"] * upstream.sample_rate)
        return max(
            upstream.shortest, min(upstream.longest or 1 << 60, max(usual, upstream.shortest + self._frames(12)))
        )

    @property
    def second(self) -> int:
        """Samples of a clip of about a second, or of a few frames where they are long."""
        upstream = self.upstream
        return min(self.limit, max(upstream.sample_rate, upstream.shortest + self._frames(4)))

    def _frames(self, count: int) -> int:
        """Samples from one frame to the frame that is ``count`` later."""
        rate = self.upstream.frame_rate
        return 0 if rate is None else math.ceil(count * self.upstream.sample_rate / rate)

    def noise(self, clips: int, samples: int) -> "Tensor":
        """Seeded noise that fades in, so that no two stretches are alike."""
        import torch

        random = torch.Generator().manual_seed(clips + samples)
        return torch.randn(clips, samples, generator=random) * torch.linspace(0.05, 0.2, samples)

    def summary(self) -> str:
        """One line of what it is."""
        u = self.upstream
        rate = "one frame a clip" if u.frame_rate is None else f"{float(u.frame_rate):.4g} frames a second"
        size = f"{u.parameters / 1e6:.1f} M parameters" if u.parameters else "no parameters"
        small = ", a small network" if self.weights.small else ""
        return f"{self.spec.label}: {size}, {len(u.widths)} layers x {_range(u.widths)}, {rate}, on {u.device}{small}"


Check = Callable[[Subject], Finding]


def lengths(subject: Subject) -> Finding:
    """Frames, widths and rate are as declared, from one sample to the longest clip; nothing is infinite."""
    u = subject.upstream
    part = max(u.shortest, min(subject.second, subject.limit // 2))
    counts = sorted({1, max(1, u.shortest - 1), u.shortest, u.shortest + 1, part, subject.second, subject.limit})
    tried = f"clips of {', '.join(map(str, counts))} samples"
    frames: dict[int, int] = {}
    for samples in counts:
        layers = u.encode(subject.noise(2, samples))
        if trouble := _misshapen(u, layers, clips=2):
            return Finding("lengths", tried, f"{trouble} at {samples} samples", "make forward and the attributes agree")
        frames[samples] = layers.final.shape[1]
    if any(frames[a] > frames[b] for a, b in pairwise(counts)):
        return Finding("lengths", tried, f"frames {frames}", "a longer clip must not have fewer frames")
    if u.frame_rate is None:
        wrong = next((n for n in counts if frames[n] != 1), None)
        seen, change = f"{frames[subject.limit]} frame", "declare frame_rate, or give one frame a clip" if wrong else ""
        return Finding("lengths", tried, seen, change)
    expected = (subject.limit - part) * u.frame_rate / u.sample_rate
    gained = frames[subject.limit] - frames[part]
    seen = "all finite, as wide as declared"
    if expected < 4:
        return Finding("lengths", tried, f"{seen}; the rate cannot be told from clips of {part} to {subject.limit}")
    seen += f"; {gained} frames more in {subject.limit} samples than in {part}, where {float(expected):.1f} are due"
    # A frame more or less at either end: half-heard frames are kept by some models and left out by others.
    right = abs(gained - expected) <= 2
    return Finding("lengths", tried, seen, "" if right else "correct frame_rate: it is frames per second of audio")


def offset(subject: Subject) -> Finding:
    """A burst moves the frames of layer 0 that lie where it is."""
    import torch

    u = subject.upstream
    if u.frame_rate is None:
        return Finding("frame_offset", "", "", left_out="one frame a clip has no place in time")
    hop = u.sample_rate / u.frame_rate
    samples = min(subject.limit, max(subject.second, u.shortest + math.ceil(24 * hop)))
    wave = subject.noise(1, samples)
    before = u.encode(wave).hidden[0][0]
    first = u.frame_offset * u.sample_rate
    inside = [i for i in range(len(before)) if 0 <= first + i * hop < samples]
    cure = "correct frame_offset: the centre of frame 0, in seconds"
    if not inside:
        seen = f"none of the {len(before)} declared centres lies in it"
        return Finding("frame_offset", f"a clip of {samples} samples", seen, cure)
    chosen = inside[len(inside) // 4 : -max(1, len(inside) // 4)] or inside
    width = max(8, int(hop / 16))
    index = torch.arange(len(before), dtype=torch.float64)
    moved = []
    for draw in range(BURSTS):
        # From half a frame before the declared centre to half a frame after it: a frame that hears nothing of its
        # neighbours' time is as loud wherever in it the burst lies, and only together do all places tell its middle.
        place = chosen[draw * len(chosen) // BURSTS] + (draw * 7 % BURSTS + 0.5) / BURSTS - 0.5
        centre = min(max(0, round(float(first + place * hop))), samples - 1)
        burst = slice(max(0, centre - width), centre + width)
        struck = wave.clone()
        struck[0, burst] += 0.5 * torch.randn(struck[0, burst].shape, generator=torch.Generator().manual_seed(draw))
        change = (u.encode(struck).hidden[0][0] - before).double().norm(dim=-1)
        weight = change.square() * (change >= change.max() / 2)  # more than one, where frames overlap
        moved.append(float((index * weight).sum() / weight.sum()) - place if weight.any() else math.inf)
    middle = statistics.mean(moved)
    tried = f"{BURSTS} bursts around the declared centres of frames"
    seen = f"the frames that move lie {min(moved):+.2f} to {max(moved):+.2f} frames away, {middle:+.2f} on average"
    return Finding("frame_offset", tried, seen, "" if abs(middle) <= OFFSET else cure)


def repeatable(subject: Subject) -> Finding:
    """The same wave gives the same bits, whatever was drawn before, and stays as it was."""
    import torch

    u, wave = subject.upstream, subject.noise(2, subject.second)
    given = wave.clone()
    with torch.random.fork_rng(devices=[]):
        answers = [u.encode(wave) for seed in (1, 2) if torch.manual_seed(seed)]
    tried = "one wave twice, under two random seeds"
    if not torch.equal(wave, given):
        return Finding("repeatable", tried, "the wave was changed in place", "work on a copy of the wave")
    worst = _worst(*answers)
    change = "" if worst == 0 else "switch off dropout, masking, random crops: network.eval()"
    return Finding("repeatable", tried, f"the layers differ by {worst:.1e}" if worst else "the same bits", change)


def batch(subject: Subject) -> Finding:
    """A clip is the same alone and in a batch, however loud the others are."""
    import torch

    u, gains = subject.upstream, torch.tensor([1, 1e-2, 1e-4])
    waves = subject.noise(3, subject.second) * gains[:, None]
    together = u.encode(waves)
    worst = 0.0
    for clip, wave in enumerate(waves):
        own = Layers(tuple(layer[clip : clip + 1] for layer in together.hidden), together.final[clip : clip + 1])
        worst = max(worst, _worst(own, u.encode(wave[None])))
    change = "" if worst <= TOLERANCE else "let nothing be computed over the clips of a batch (norms, maxima, lengths)"
    tried = "three clips, 40 dB apart, together and alone"
    return Finding("batch", tried, f"differ by {worst:.1e} ({TOLERANCE:.0e} is allowed)", change)


def threads(subject: Subject) -> Finding:
    """Several threads may encode at once, as extraction does: no call leaves anything behind for another."""
    u = subject.upstream
    waves = [subject.noise(1, subject.second - subject.second // 50 * i).roll(i, -1) for i in range(4)]
    alone = [u.encode(wave) for wave in waves]
    with ThreadPoolExecutor(len(waves)) as pool:
        together = list(pool.map(u.encode, waves))
    worst = max(map(_worst, together, alone))
    change = "" if worst <= TOLERANCE else "keep nothing of a call on self: hold it in local variables"
    return Finding("threads", "four clips in four threads at once", f"differ by {worst:.1e} from one by one", change)


def padding(subject: Subject) -> Finding:
    """Zeros at the end move a clip's own frames if and only if the upstream says so."""
    from torch.nn import functional

    u = subject.upstream
    # No round number: a clip that fills an upstream's pieces of a second would hide what zeros do to a piece's norms.
    samples = max(1, min(subject.second, subject.limit * 2 // 3) * 9 // 10)
    wave = subject.noise(2, samples)
    alone = u.encode(wave)
    padded = u.encode(functional.pad(wave, (0, max(1, samples // 2))))
    frames = alone.final.shape[1]
    own = Layers(tuple(layer[:, :frames] for layer in padded.hidden), padded.final[:, :frames])
    worst = _worst(own, alone)
    moves = worst > TOLERANCE
    tried = f"zeros after the end of a clip; padding_changes_output is {u.padding_changes_output}"
    change = "" if moves == u.padding_changes_output else f"declare padding_changes_output = {moves}"
    return Finding("padding", tried, f"its own frames move by {worst:.1e}", change)


def signals(subject: Subject) -> Finding:
    """Silence, a constant, clipping and extreme gains give finite features."""
    import torch

    u, wave = subject.upstream, subject.noise(1, subject.second)
    strange = {
        "silence": torch.zeros_like(wave),
        "a constant": torch.full_like(wave, 0.5),
        "a clipped wave": (100 * wave).clamp(-1, 1),
        "a gain of 60 dB": 1000 * wave,
        "a gain of -80 dB": 1e-4 * wave,
    }
    bad = {name: found for name, signal in strange.items() if (found := _misshapen(u, u.encode(signal), clips=1))}
    seen = "; ".join(f"{name}: {found}" for name, found in bad.items()) or "finite features of each"
    change = "guard logarithms and divisions (by a deviation of zero, for one)" if bad else ""
    return Finding("signals", ", ".join(strange), seen, change)


def dtypes(subject: Subject) -> Finding:
    """Lower precisions move something and stay within what the upstream states; those it does not state are refused."""
    u, wave, stated = subject.upstream, subject.noise(2, subject.second), subject.upstream.dtypes
    exact, seen, wide, still = u.encode(wave), [], [], []
    for dtype in ("bfloat16", "float16"):
        if dtype not in stated:
            seen.append(f"{dtype} is refused")
            continue
        u.dtype = dtype
        try:
            worst = _worst(u.encode(wave), exact)
        finally:
            u.dtype = "float32"
        seen.append(f"{dtype} moves a layer by {worst:.1e} ({stated[dtype]:.0e} is stated)")
        wide += [] if worst <= stated[dtype] else [dtype]
        still += [] if worst else [dtype]
    change = f"state a wider bound in dtypes, or leave {' and '.join(wide)} out of it" if wide else ""
    if still:
        change = f"leave {' and '.join(still)} out of dtypes: it changes nothing, so forward leaves autocast"
    return Finding("dtypes", "float32 against bfloat16 and float16", "; ".join(seen), change)


def record(subject: Subject) -> Finding:
    """The record that `harness list` shows is the loaded network's."""
    u, card, variant = subject.upstream, subject.spec.card, subject.spec.variant
    tried = "the card and the variant against the loaded network"
    empty = [name for name in ("paper", "licence") if not getattr(card, name)]
    if empty:
        return Finding("record", tried, f"the card has no {' and no '.join(empty)}", "fill in the card")
    if variant is None:
        return Finding("record", "", "", left_out="the card is filled in, and it lists no published model to compare")
    if subject.weights.small:
        return Finding("record", "", "", left_out="the card is filled in, and a small network has no published size")
    if subject.weights.trained:
        return Finding("record", "", "", left_out="the card is filled in, and a checkpoint may have a size of its own")
    wrong = [
        f"{name} is declared {declared}, and {found} is found"
        for name, declared, found in (
            ("parameters", f"{variant.parameters:.1f} M", f"{u.parameters / 1e6:.1f} M"),
            ("layers x widths", _layers(variant.widths), _layers(u.widths)),
            ("frame_rate", variant.frame_rate, u.frame_rate),
            ("sample_rate", variant.sample_rate, u.sample_rate),
        )
        if declared != found
    ]
    return Finding("record", tried, "; ".join(wrong) or "they agree", "correct the variant" if wrong else "")


def round_trip(subject: Subject) -> Finding:
    """Weights written in the published form and read again give the same features."""
    if subject.spec.cls.save is Upstream.save or not subject.spec.cls.reads:
        return Finding("round trip", "", "", left_out=_no_save(subject))
    with tempfile.TemporaryDirectory() as name:
        folder, u, wave = Path(name), subject.upstream, subject.noise(1, subject.second)
        expected = u.encode(wave)
        weights = saved(u, folder / "saved")
        try:
            again = subject.bare.load(weights, subject.device)
        except UserError as error:
            return Finding("round trip", "save, then load", f"refused: {error}", "let save write what loading reads")
        worst = _worst(again.encode(wave), expected)
    seen = f"the layers differ by {worst:.1e}" if worst else "the same bits"
    change = "" if worst <= ROUNDING else "load every number that save writes, and normalise alike"
    return Finding("round trip", f"a {weights.kind} in the published form, saved and loaded", seen, change)


def damaged(subject: Subject) -> Finding:
    """A checkpoint of another model, cut short, with a key too many or too few is refused in one sentence."""
    if subject.spec.cls.save is Upstream.save or not subject.spec.cls.reads:
        return Finding("damaged", "", "", left_out=_no_save(subject))
    seen, bad = [], []
    small = Weights("untrained", "untrained", "small", subject.weights.path, small=True)
    with tempfile.TemporaryDirectory() as name_:
        folder = Path(name_)
        weights = saved(subject.spec.load(small, "cpu"), folder / "whole")
        for damage in DAMAGES:
            name = damage.__name__.replace("_", " ")
            broken, key = damage(weights, folder / name.replace(" ", "-"))
            said = _refusal(partial(subject.bare.load, broken, "cpu"))
            if not said:
                bad.append(f"{name} is loaded as if all were well")
            elif "\n" in said or (key and not names(said, key)):
                bad.append(f"{name} is refused without {'naming ' + key if key else 'being one sentence'}: {said}")
            else:
                seen.append(f"{name}: {said}")
    change = "compare both lists of keys (harness.models.load_strictly does) and raise UserError" if bad else ""
    tried = "a file cut short, another model's, one without its largest key, one with a key too many"
    return Finding("damaged", tried, "; ".join(bad or seen), change)


#: The checks by name, in the order in which they are made.
CHECKS: dict[str, Check] = {
    "record": record,
    "lengths": lengths,
    "frame_offset": offset,
    "repeatable": repeatable,
    "batch": batch,
    "threads": threads,
    "padding": padding,
    "signals": signals,
    "dtypes": dtypes,
    "round trip": round_trip,
    "damaged": damaged,
}


#: What to change where an upstream raises in a check that is about something else than waves.
RAISED = {
    "record": "let the card and the variant be harness.Card and harness.Variant, and set every attribute",
    "dtypes": "compute in float32, outside autocast, what has no lower precision, or leave the dtype out of dtypes",
    "round trip": "let save write what loading reads, to the path that it is given",
    "damaged": "let save write to the path that it is given, and loading raise UserError where a file is not its own",
}


def examine(subject: Subject, check: str) -> Finding:
    """One check; an upstream that raises where it should encode is ill, not the checker."""
    try:
        return CHECKS[check](subject)
    except Exception as error:  # noqa: BLE001 (whatever the author's code raises is a finding)
        tried = (CHECKS[check].__doc__ or "").rstrip(".")
        advice = RAISED.get(check, "let it encode such a wave, at any length")
        return Finding(check, tried, f"{type(error).__name__}: {error}", advice)


def assert_holds(name: str, check: str, *, quick: bool = True) -> None:
    """Fail with the finding unless the check holds or does not apply.

    Raises:
        AssertionError: it does not hold.
        UserError: the name is unknown, or its weights cannot be had or are not its own.
    """
    finding = examine(_kept(name, quick), check)
    if finding.change:
        raise AssertionError(f"{name}, {finding.check}: tried {finding.tried}; saw {finding.seen}; {finding.change}")


@lru_cache(maxsize=4)
def _kept(name: str, quick: bool) -> Subject:
    """A suite makes one check after another of the same upstream."""
    return Subject.of(name, quick=quick)


def _misshapen(upstream: Upstream, layers: Layers, *, clips: int) -> str:
    """What is wrong with the shape or the values of layers; empty if nothing."""
    found = tuple(layer.shape[-1] for layer in layers.hidden)
    if found != tuple(upstream.widths):
        return f"{len(found)} layers x {_range(found)}, declared {len(upstream.widths)} x {_range(upstream.widths)}"
    if layers.final.shape[-1] != upstream.final_width:
        return f"final is {layers.final.shape[-1]} wide, declared {upstream.final_width}"
    if shapes := {tuple(layer.shape[:2]) for _, layer in layers.named() if len(layer) != clips or not layer.shape[1]}:
        return f"layers of (clip, frame) {sorted(shapes)}"
    if len({layer.shape[1] for _, layer in layers.named()}) > 1:
        return "layers with different numbers of frames"
    names = [name for name, layer in layers.named() if not layer.isfinite().all()]
    return f"numbers that are not finite in layer {', '.join(names)}" if names else ""


def _worst(one: Layers, two: Layers) -> float:
    """The largest difference of two layers of a name: the norm of the difference over the norm of the second."""
    if any(a.shape != b.shape for (_, a), (_, b) in zip(one.named(), two.named(), strict=True)):
        return math.inf
    worst = 0.0
    for (_, a), (_, b) in zip(one.named(), two.named(), strict=True):
        difference = float((a - b).double().norm() / b.double().norm().clamp(min=1e-12))
        worst = max(worst, math.inf if math.isnan(difference) else difference)
    return worst


def _refusal(load: Callable[[], object]) -> str:
    """The sentence with which loading is refused; empty if it is not."""
    try:
        load()
    except UserError as error:
        return str(error)
    return ""


def _range(widths: Sequence[int]) -> str:
    low, high = min(widths), max(widths)
    return str(low) if low == high else f"{low}-{high}"


def _layers(widths: Sequence[int]) -> str:
    """Every width, with how many layers in a row have it."""
    return ", ".join(f"{len(list(alike))} x {width}" for width, alike in groupby(widths))


def _no_save(subject: Subject) -> str:
    return "it has no weights" if not subject.spec.cls.reads else "it has no save(), so there is no checkpoint to try"
