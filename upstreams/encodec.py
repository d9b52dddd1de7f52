"""EnCodec's encoder: latents of a neural codec, before and after their quantiser (Defossez et al. 2022)."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from harness.cards import Card, Hub, Training, Variant, Weights, one_of
from harness.errors import UserError
from harness.models import Layers

from ._folders import FolderUpstream, Parts, centre_of, check_variant, read_settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MONO = {"sampling_rate": 24_000, "audio_channels": 1, "target_bandwidths": (1.5, 3.0, 6.0, 12.0, 24.0)}
STEREO: dict[str, Any] = {
    **{"sampling_rate": 48_000, "audio_channels": 2, "target_bandwidths": (3.0, 6.0, 12.0, 24.0)},
    **{"use_causal_conv": False, "norm_type": "time_group_norm", "normalize": True},
    **{"chunk_length_s": 1.0, "overlap": 0.01},
}
SMALL = {"num_filters": 4, "hidden_size": 32, "codebook_size": 64}
#: Seconds in one window: the first layers of more would fill the memory.
LONGEST = 30
#: Where the model itself cuts pieces, of a second, how many are encoded together: a minute.
PIECES_AT_ONCE = 60


class Encodec(FolderUpstream):
    """EnCodec (Defossez et al. 2022), a neural audio codec: layer 0 are the encoder's latents, ``final`` the same after
    the residual quantiser at the highest bandwidth.

    The model of 24 kHz is causal: a frame ends with the samples that it codes, so the middle of what its convolutions
    hear lies before them. The model of 48 kHz is stereo, so both its channels are given the clip, in pieces of one
    second, each divided by its own root mean square; the pieces follow each other, while the authors' overlap by 10 ms.
    Clips are filled with zeros to whole frames, after they are divided. Option: ``variant`` (the folder's, if it is not
    given).
    """

    axes = (one_of("variant", "24khz", "48khz", detected=True),)
    card = Card(
        paper="arXiv 2210.13438",
        licence="MIT",
        training=Training("self-supervised", ("AudioSet", "FSD50K", "Common Voice", "DNS Challenge", "Jamendo")),
        homepage="https://github.com/facebookresearch/encodec",
    )
    variants = {
        "24khz": Variant(
            parameters=11.62,
            widths=(128,),
            frame_rate=Fraction(75),
            sample_rate=24_000,
            source=Hub("facebook/encodec_24khz"),
            config=MONO,
        ),
        "48khz": Variant(
            parameters=9.53,
            widths=(128,),
            frame_rate=Fraction(150),
            sample_rate=48_000,
            source=Hub("facebook/encodec_48khz"),
            training=Training("self-supervised", ("Jamendo",)),
            config=STEREO,
        ),
    }
    dtypes = {}  # a rounded latent has another code
    revision = "1"

    def __init__(self, weights: Weights, device: "torch.device", *, variant: str | None = None) -> None:
        super().__init__(weights, device, _load(weights, variant) if weights.trained else _untrained(weights, variant))
        config = self.network.config
        encoder = sum(parameter.numel() for parameter in self.network.encoder.parameters())
        self.parameters = encoder + sum(layer.codebook.embed.numel() for layer in self.network.quantizer.layers)
        self.widths, self.final_width = (config.hidden_size,), config.hidden_size
        self.sample_rate, self.hop = config.sampling_rate, config.hop_length
        self.frame_rate = Fraction(self.sample_rate, self.hop)
        convolutions = [layer for layer in self.network.encoder.modules() if hasattr(layer, "padding_total")]
        self.frame_offset = centre_of((layer.conv, _left(layer)) for layer in convolutions) / self.sample_rate
        self.shortest, self.longest = self.hop, LONGEST * self.sample_rate
        # A causal network hears zeros after the clip's own frames; else they are in a piece's norms.
        self.padding_changes_output = config.normalize or not config.use_causal_conv

    def forward(self, wave: "Tensor") -> Layers:
        """The latents, and ``final`` quantised."""
        piece = self.network.config.chunk_length
        if not piece:
            return self._encode(wave)
        samples = wave.shape[-1]
        parts, rest = [], wave[:, samples // piece * piece :]
        if whole := samples // piece:
            pieces = wave[:, : whole * piece].unflatten(1, (whole, piece)).flatten(0, 1)
            alone = Layers.join([self._encode(some) for some in pieces.split(PIECES_AT_ONCE)], dim=0)
            parts.append(Layers((_in_time(alone.hidden[0], whole),), _in_time(alone.final, whole)))
        if rest.shape[-1]:
            parts.append(self._encode(rest))
        return Layers.join(parts, dim=1)

    def _encode(self, wave: "Tensor") -> Layers:
        """A wave (clip, sample) in one piece."""
        from torch.nn.functional import pad

        config, quantiser = self.network.config, self.network.quantizer
        if config.normalize:
            wave = wave / (wave.square().mean(-1, keepdim=True).sqrt() + 1e-8)
        wave = pad(wave, (0, -wave.shape[-1] % self.hop))
        latents = self.network.encoder(wave[:, None].expand(-1, config.audio_channels, -1))
        quantised = quantiser.decode(quantiser.encode(latents, max(config.target_bandwidths)))
        return Layers((latents.transpose(1, 2),), quantised.transpose(1, 2))


def _in_time(pieces: "Tensor", count: int) -> "Tensor":
    """Pieces (clip and piece, frame, width), ``count`` of each clip, to (clip, frame, width)."""
    clips: Tensor = pieces.unflatten(0, (-1, count)).flatten(1, 2)
    return clips


def _load(weights: Weights, variant: str | None) -> Parts:
    from ._transformers import read_config, read_network

    config = read_config(weights, "EncodecModel", types=("encodec",))
    check_variant(weights, config, Encodec.variants[variant] if variant else None, name=f"encodec:{variant}")
    if config.chunk_length and config.chunk_length % config.hop_length:
        raise UserError(
            f"{weights.label} cuts pieces of {config.chunk_length} samples, which are no whole frames of "
            f"{config.hop_length}"
        )
    taken = _front_end(config)
    settings, missing = read_settings(weights, taken, taken=taken)
    network, _ = read_network(weights, "EncodecModel", config)
    return Parts(network, settings, missing)


def _untrained(weights: Weights, variant: str | None) -> Parts:
    from torch import nn

    from ._transformers import build_network, make_config

    config = make_config(
        "EncodecModel", {**Encodec.variants[variant or "24khz"].config, **(SMALL if weights.small else {})}
    )
    network: Any = build_network(weights, "EncodecModel", config)
    with weights.seeded():  # transformers leaves the codebooks empty
        for layer in network.quantizer.layers:
            nn.init.normal_(layer.codebook.embed, std=0.02)
    return Parts(network, _front_end(config), {})


def _left(layer: Any) -> int:
    """The zeros on the left of a convolution: all of them where it is causal, else half."""
    zeros = int(layer.padding_total)
    return zeros if layer.causal else zeros - zeros // 2


def _front_end(config: Any) -> dict[str, Any]:
    return {"sampling_rate": config.sampling_rate, "feature_size": config.audio_channels}


UPSTREAM = Encodec
