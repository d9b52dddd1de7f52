"""DAC's encoder: latents of the Descript audio codec, before and after their quantiser (Kumar et al. 2023)."""

from fractions import Fraction
from typing import TYPE_CHECKING

from harness.cards import Card, Hub, Training, Variant, Weights, one_of
from harness.models import Layers

from ._folders import FolderUpstream, Parts, centre_of, check_variant, read_settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Codebooks, and by how much each block of the encoder shortens, per published rate.
SIZES = {"44khz": (44_100, 9, (2, 4, 8, 8)), "24khz": (24_000, 32, (2, 4, 5, 8)), "16khz": (16_000, 12, (2, 4, 5, 8))}
MILLIONS = {"44khz": 22.53, "24khz": 22.33, "16khz": 21.82}
SMALL = {"encoder_hidden_size": 4, "decoder_hidden_size": 32, "codebook_size": 64}
#: Seconds in one piece: the first layers take 80 MB for each of them, and frames hear a fraction of a second.
LONGEST = 10


class Dac(FolderUpstream):
    """DAC (Kumar et al. 2023), a neural audio codec: layer 0 are the encoder's latents, ``final`` the same after the
    residual quantiser with all its codebooks.

    Clips are filled with zeros to whole frames. Option: ``variant`` (the folder's, if it is not given).
    """

    axes = (one_of("variant", *SIZES, detected=True),)
    card = Card(
        paper="arXiv 2306.06546",
        licence="MIT",
        training=Training(
            "self-supervised",
            ("AudioSet", "Common Voice", "VCTK", "DAPS", "DNS Challenge", "MUSDB18", "Jamendo"),
        ),
        homepage="https://github.com/descriptinc/descript-audio-codec",
    )
    variants = {
        name: Variant(
            parameters=MILLIONS[name],
            widths=(1024,),
            frame_rate=Fraction(rate, 512 if name == "44khz" else 320),
            sample_rate=rate,
            source=Hub(f"descript/dac_{name}"),
            config={"sampling_rate": rate, "n_codebooks": codebooks, "downsampling_ratios": ratios},
        )
        for name, (rate, codebooks, ratios) in SIZES.items()
    }
    dtypes = {}  # a rounded latent has another code
    revision = "1"

    def __init__(self, weights: Weights, device: "torch.device", *, variant: str | None = None) -> None:
        from torch import nn

        super().__init__(weights, device, _load(weights, variant) if weights.trained else _untrained(weights, variant))
        config = self.network.config
        used = (self.network.encoder, self.network.quantizer)
        self.parameters = sum(parameter.numel() for part in used for parameter in part.parameters())
        self.widths, self.final_width = (config.hidden_size,), config.hidden_size
        self.sample_rate = config.sampling_rate
        self.shortest = self.hop = config.hop_length
        self.frame_rate = Fraction(self.sample_rate, self.hop)
        convolutions = [layer for layer in self.network.encoder.modules() if isinstance(layer, nn.Conv1d)]
        self.frame_offset = centre_of((layer, int(layer.padding[0])) for layer in convolutions) / self.sample_rate
        self.longest = LONGEST * self.sample_rate

    def forward(self, wave: "Tensor") -> Layers:
        """The latents, and ``final`` quantised."""
        import torch
        from torch.nn.functional import pad

        wave = pad(wave, (0, -wave.shape[-1] % self.hop))
        # One clip at a time, for the first layers of half a minute alone take gigabytes.
        latents = torch.cat([self.network.encoder(clip[None, None]) for clip in wave])
        quantised = self.network.quantizer(latents)[0]
        return Layers((latents.transpose(1, 2),), quantised.transpose(1, 2))


def _load(weights: Weights, variant: str | None) -> Parts:
    from ._transformers import read_config, read_network

    config = read_config(weights, "DacModel", types=("dac",))
    check_variant(weights, config, Dac.variants[variant] if variant else None, name=f"dac:{variant}")
    taken = {"sampling_rate": config.sampling_rate}
    settings, missing = read_settings(weights, taken, taken=taken)
    network, _ = read_network(weights, "DacModel", config)
    return Parts(network, settings, missing)


def _untrained(weights: Weights, variant: str | None) -> Parts:
    from ._transformers import build_network, make_config

    config = make_config("DacModel", {**Dac.variants[variant or "44khz"].config, **(SMALL if weights.small else {})})
    return Parts(build_network(weights, "DacModel", config), {"sampling_rate": config.sampling_rate}, {})


UPSTREAM = Dac
