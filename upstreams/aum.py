"""AuM: supervised audio Mamba, 24 blocks with the class token in the middle (Erol et al. 2024)."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from harness.cards import Axis, Card, Elsewhere, Source, Training, Variant, Weights, one_of
from harness.errors import UserError
from harness.models import Layers, Upstream, load_strictly

from ._patches import (
    FRAME,
    HOP,
    PATCH,
    SAMPLE_RATE,
    STATISTICS,
    Statistics,
    grid_of,
    log_mel,
    samples_of,
    without_mean,
)

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

    from ._vim import Directions, SequentialVim

HOMEPAGE = "https://github.com/mhamzaerol/Audio-Mamba-AuM"
WIDTHS = {"base": 768, "small": 384, "tiny": 192}
DEPTH = 24
#: How the mixers of a size read; ``tiny``, which is not published, is built like ``base``.
DIRECTIONS: "Mapping[str, Directions]" = {"base": "fobi", "small": "bibi", "tiny": "fobi"}
#: The same in the authors' words.
WORDS = {"fofo": "Fo-Fo", "fobi": "Fo-Bi", "bibi": "Bi-Bi"}
#: Twenty minutes; beyond, a slip of the finger would fill the memory.
MOST_FRAMES = 120_000


class Data(NamedTuple):
    """A data set of the authors': how many classes a model learns to tell apart, what it normalises with, and the
    length of its images in log-mel frames."""

    name: str
    classes: int
    statistics: Statistics
    frames: int = 1024


DATA = {
    "audioset": Data("AudioSet", 527, STATISTICS["audioset"]),
    "vggsound": Data("VGGSound", 309, Statistics(-5.0767093, 4.4533687)),
    "voxceleb": Data("VoxCeleb", 1251, Statistics(-3.7614744, 4.2011642)),
    "speech": Data("Speech Commands", 35, STATISTICS["speech"], frames=128),
}


class Aum(Upstream):
    """AuM (Erol et al. 2024), trained on AudioSet, VGGSound, VoxCeleb or Speech Commands to name classes.

    Options: ``size`` (the file's, if it is not given), ``frames`` (fill or crop to so many log-mel frames, a multiple
    of 16), ``data`` (what the model was trained on, which picks the statistics) and ``freq`` (average or concatenate
    the patches above each other). In which directions the mixers read, a file tells: Fo-Fo, Fo-Bi or Bi-Bi; untrained,
    a size has those in which it is published.

    Patches are 16 frames long, so the log-mel image is filled to a multiple of 16 frames: with zeros before it is
    normalised, as the authors fill clips to the length of their images. So no audio is lost, and a clip a little
    shorter than the authors' images is encoded just as they do. Clips beyond the length of training are cut in
    windows, unless ``frames`` is given.

    The authors' files of base models that were trained from scratch on VGGSound, VoxCeleb or Speech Commands load as
    well; the models named here start from AudioSet, those of size ``small`` from ImageNet.
    """

    axes = (
        one_of("size", *WIDTHS, detected=True),
        Axis("frames", number="t"),
        one_of("data", *DATA),
        one_of("freq", "mean", "concat"),
    )
    card = Card(
        paper="arXiv 2406.03344",
        licence="none stated",
        training=Training("supervised", ("AudioSet",)),
        homepage=HOMEPAGE,
    )
    variants = {
        name: Variant(
            parameters=millions,
            widths=(WIDTHS[name.partition("-")[0]],) * (DEPTH + 1),
            frame_rate=Fraction(SAMPLE_RATE, HOP * PATCH),
            source=Elsewhere(file, HOMEPAGE),
            training=Training("supervised", sets),
        )
        for name, millions, file, sets in (
            ("base", 91.7, "aum-base_scratch-audioset.pth", ("AudioSet",)),
            ("base-vggsound", 91.7, "aum-base_audioset-vggsound.pth", ("AudioSet", "VGGSound")),
            ("base-voxceleb", 91.7, "aum-base_audioset-voxceleb.pth", ("AudioSet", "VoxCeleb")),
            ("base-speech", 91.4, "aum-base_audioset-spc_v2.pth", ("AudioSet", "Speech Commands")),
            ("small", 25.3, "aum-small_imgnet-audioset.pth", ("ImageNet", "AudioSet")),
            ("small-vggsound", 25.3, "aum-small_imgnet-vggsound.pth", ("ImageNet", "VGGSound")),
            ("small-voxceleb", 25.3, "aum-small_imgnet-voxceleb.pth", ("ImageNet", "VoxCeleb")),
            ("small-speech", 25.2, "aum-small_imgnet-spc_v2.pth", ("ImageNet", "Speech Commands")),
            ("tiny", 6.3, "", ("AudioSet",)),
        )
    }
    dtypes = {"bfloat16": 0.1, "float16": 0.02}  # the authors train in float16
    revision = "2"
    sample_rate = SAMPLE_RATE
    shortest = FRAME
    frame_rate = Fraction(SAMPLE_RATE, HOP * PATCH)
    frame_offset = Fraction(samples_of(PATCH), 2 * SAMPLE_RATE)
    normalise = staticmethod(without_mean)

    def __init__(
        self,
        weights: Weights,
        device: "torch.device",
        *,
        size: str | None = None,
        frames: int | None = None,
        data: str | None = None,
        freq: Literal["mean", "concat"] = "mean",
    ) -> None:
        super().__init__(weights, device)
        if frames is not None and (frames % PATCH or not PATCH <= frames <= MOST_FRAMES):
            raise UserError(f"aum takes a multiple of {PATCH} frames, from {PATCH} to {MOST_FRAMES}, not {frames}")
        self.frames, self.freq = frames, freq
        self.statistics = DATA[data or "audioset"].statistics
        if weights.trained:
            self.network, self.found = _load(weights, size, data)
        else:
            self.network = _untrained(weights, size or "base", DATA[data or "audioset"])
            self.found = {"directions": WORDS[self.network.shape.directions]}
        self.network.eval().requires_grad_(False).to(device)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())

        rows, columns = self.network.shape.grid
        self.tokens_per_frame = rows
        self.final_width = self.network.shape.width * (rows if freq == "concat" else 1)
        self.widths = (self.final_width,) * (self.network.shape.depth + 1)
        # With a fixed number of frames longer clips are cropped, as the authors do.
        self.longest = None if frames else samples_of(columns * PATCH)
        self.filled = samples_of(frames) if frames else 0

    @classmethod
    def published(cls, *, size: str = "base", data: str = "audioset", **_: Any) -> Source | None:
        """The authors' file of a size and a data set."""
        name = size if data == "audioset" else f"{size}-{data}"
        return cls.variants[name].source if name in cls.variants else Elsewhere("", HOMEPAGE)

    def forward(self, wave: "Tensor") -> Layers:
        """25 states (the input of block 0, then every block's output) and ``final``, the patches behind the last norm.

        The authors classify from the class token alone, which is not given.
        """
        own = max(1, 1 + (wave.shape[-1] - FRAME) // HOP)
        image = log_mel(wave, self.statistics, self.frames or own + -own % PATCH)
        streams = self.network(image)
        grid = grid_of(image.shape[1], PATCH)
        hidden = tuple(self._by_time(stream, grid) for stream in streams)
        return Layers(hidden, self._by_time(self.network.norm_f(streams[-1]), grid))

    def _by_time(self, stream: "Tensor", grid: tuple[int, int]) -> "Tensor":
        """(clip, 1 + token, width) to (clip, frame, width), without the class token in the middle."""
        import torch

        middle = stream.shape[1] // 2
        tokens: Tensor = torch.cat([stream[:, :middle], stream[:, middle + 1 :]], dim=1).unflatten(1, grid)
        return tokens.mean(1) if self.freq == "mean" else tokens.transpose(1, 2).flatten(2)

    def save(self, path: "Path") -> None:
        """Write the weights as the authors do, without their classifier."""
        import torch

        torch.save(self.network.state_dict(), path)


def _untrained(weights: Weights, size: str, data: Data) -> "SequentialVim":
    """A network as before the authors' training."""
    from torch import nn

    from ._vim import SequentialVim, Shape

    width, depth = (32, 2) if weights.small else (WIDTHS[size], DEPTH)
    with weights.seeded():
        network = SequentialVim(Shape(width, depth, nn.RMSNorm, grid_of(data.frames, PATCH), DIRECTIONS[size]))
        network.initialise()
    return network


def _load(weights: Weights, size: str | None, data: str | None) -> "tuple[SequentialVim, Mapping[str, Any]]":
    """A network from a published file, with width, depth, directions and grid as the file tells, and what was found in
    it."""
    from torch import Tensor, nn

    from ._vim import SequentialVim, Shape

    state = {key.removeprefix("module."): value for key, value in weights.state_dict().items()}
    for key in ("cls_token", "pos_embed.pos_embed", "layers.0.mixer.A_log", "layers.0.norm.weight"):
        if key not in state:
            raise UserError(f"{weights.label} is no AuM checkpoint: it lacks the key {key!r}")
        if not isinstance(state[key], Tensor):
            raise UserError(f"{weights.label} is no AuM checkpoint: its {key!r} is no tensor")
    token, table = state["cls_token"], state["pos_embed.pos_embed"]
    rows = grid_of(PATCH, PATCH)[0]
    if token.ndim != 3 or table.ndim != 3 or 0 in token.shape or table.shape[1] % rows != 1 or table.shape[1] == 1:
        raise UserError(
            f"{weights.label} is no AuM checkpoint: its 'cls_token' is of shape {tuple(token.shape)} and its "
            f"'pos_embed.pos_embed' of shape {tuple(table.shape)}"
        )
    _check_classes(getattr(state.get("head.weight"), "shape", ()), data or "audioset", weights.label)
    width = token.shape[-1]
    if size is not None and WIDTHS[size] != width:
        raise UserError(f"{weights.label} is {width} wide, but aum:{size} is {WIDTHS[size]} wide: write aum@FILE")
    depth = len({key.split(".")[1] for key in state if re.match(r"layers\.\d+\.", key)})
    network = SequentialVim(Shape(width, depth, nn.RMSNorm, (rows, table.shape[1] // rows), _directions(state)))
    ignored = load_strictly(network, state, what=weights.label, ignored=r"head\.")
    facts = {"directions": WORDS[network.shape.directions], "width": width, "depth": depth}
    return network, {**facts, "ignored keys": ignored}


def _check_classes(head: tuple[int, ...], data: str, what: str) -> None:
    """Refuse a classifier for another data set's number of classes: statistics and the record would be wrong.

    A number that no data set here has says nothing.
    """
    for token, other in DATA.items():
        if token != data and head[:1] == (other.classes,):
            raise UserError(
                f"{what} tells {other.classes} classes apart, as many as {other.name} has and not {DATA[data].name}: "
                f"write aum:{token}@FILE"
            )


def _directions(keys: Mapping[str, Any]) -> "Directions":
    """How mixers read, as a checkpoint's keys tell: Bi-Bi has weights for each direction, Fo-Bi only states."""
    names = {key.split(".")[3] for key in keys if re.match(r"layers\.\d+\.mixer\.", key)}
    if "conv1d_b" in names:
        return "bibi"
    return "fobi" if "A_b_log" in names else "fofo"


UPSTREAM = Aum
