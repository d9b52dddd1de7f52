"""LAION-CLAP's audio tower: a hierarchical Swin transformer, trained to match captions (Wu et al. 2023)."""

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from harness.cards import Card, Hub, Training, Variant, Weights, one_of
from harness.errors import UserError
from harness.models import Layers

from ._folders import FolderUpstream, Parts, by_part, check_variant, read_settings

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

#: The front end of the published models.
FRONT_END: dict[str, Any] = {
    **{"sampling_rate": 48_000, "feature_size": 64, "hop_length": 480, "fft_window_size": 1024, "max_length_s": 10},
    **{"frequency_min": 50.0, "frequency_max": 14_000.0, "padding": "repeatpad"},
}
#: By whether a network takes four images of a clip: with the setting go the mel filters.
TRUNCATION = {False: "rand_trunc", True: "fusion"}
#: Below 1e-10, in decibels, lies silence.
FLOOR = 1e-10
#: The other tower, and what scales the similarity.
TEXT = r"text_model\.|text_projection\.|logit_scale_[at]$"
BASE: dict[str, Any] = {
    "patch_embeds_hidden_size": 96,
    "hidden_size": 768,
    "depths": (2, 2, 6, 2),
    "enable_fusion": False,
}
LARGER = {"patch_embeds_hidden_size": 128, "hidden_size": 1024, "depths": (2, 2, 12, 2), "enable_fusion": False}
SMALL = {
    **{"patch_embeds_hidden_size": 8, "hidden_size": 64, "depths": (2, 1, 1, 1), "num_attention_heads": (2, 2, 4, 4)},
    "projection_dim": 16,
}
#: Without larger_clap_music, whose published weights are reported to be broken.
PUBLISHED = {
    "unfused": ("clap-htsat-unfused", BASE, 27.53),
    "fused": ("clap-htsat-fused", BASE | {"enable_fusion": True, "fusion_type": "aff_2d"}, 27.549),
    "general": ("larger_clap_general", LARGER, 67.82),
    "musicspeech": ("larger_clap_music_and_speech", LARGER, 67.82),
}
SOUNDS = ("LAION-Audio-630K", "AudioSet", "AudioCaps", "Clotho", "Freesound")


class Clap(FolderUpstream):
    """LAION-CLAP (Wu et al. 2023), the audio tower: HTS-AT, trained to match 633,526 captioned sounds.

    It always hears 10 s: shorter clips are repeated, then filled with zeros, as the authors do, and the frames up to
    the clip's first end are kept. Every layer is averaged over frequency, and over time to the frames of the last
    stage. Longer clips are cut, so that nothing is cropped at random and a fused network hears the whole of each.
    Option: ``variant`` (the folder's, if it is not given).
    """

    axes = (one_of("variant", *PUBLISHED, detected=True),)
    card = Card(
        paper="arXiv 2211.06687",
        licence="Apache-2.0",
        training=Training("supervised", SOUNDS, note="by captions"),
        homepage="https://github.com/LAION-AI/CLAP",
    )
    variants = {
        name: Variant(
            parameters=millions,
            widths=tuple(config["patch_embeds_hidden_size"] * n for n in (1, 2, 4, 8, 8)),
            frame_rate=Fraction(1023, 320),
            sample_rate=48_000,
            source=Hub(f"laion/{repository}"),
            training=Training("supervised", SOUNDS, note="by captions; more music and speech")
            if config is LARGER
            else None,
            config=config,
        )
        for name, (repository, config, millions) in PUBLISHED.items()
    }
    revision = "1"

    frame_rate: Fraction
    longest: int

    def __init__(self, weights: Weights, device: "torch.device", *, variant: str | None = None) -> None:
        import torch
        from transformers import ClapFeatureExtractor

        super().__init__(weights, device, _load(weights, variant) if weights.trained else _untrained(weights, variant))
        self.tower = self.network.audio_model
        self.parameters = sum(parameter.numel() for parameter in self.tower.parameters())
        config, front_end = self.network.config, ClapFeatureExtractor(**self.settings)
        filters = front_end.mel_filters if config.enable_fusion else front_end.mel_filters_slaney
        self.filters = torch.from_numpy(filters.T).to(device)

        width, stages = config.patch_embeds_hidden_size, len(config.depths)
        self.final_width = width * 2 ** (stages - 1)
        self.widths = (*(width * 2**i for i in range(stages)), self.final_width)
        self.sample_rate, self.longest = self.settings["sampling_rate"], front_end.nb_max_samples
        self.filled = self.longest
        # The log-mel frames, from the first centre to the last, are stretched to as many positions as the image has.
        self.strips = self.tower.audio_encoder.freq_ratio
        positions, stride = self.strips * config.spec_size, self.tower.audio_encoder.patch_stride[1]
        self.frames = positions // (stride * 2 ** (stages - 1))
        seconds = Fraction(self.longest // self.settings["hop_length"] * self.settings["hop_length"], self.sample_rate)
        position = seconds / (positions - 1)
        self.frame_rate = self.frames / (position * positions)
        self.frame_offset = position * Fraction(positions // self.frames - 1, 2)

    def forward(self, wave: "Tensor") -> Layers:
        """The patches, each stage's output, and ``final`` after the last norm. Of more than 10 s the end is lost."""
        import torch

        image = self.log_mel(wave)[:, None]
        longer = None
        if self.network.config.enable_fusion:  # the other three images are for clips that are longer
            image, longer = image.expand(-1, 4, -1, -1), torch.zeros(len(wave), 1, device=self.device)
        output = self.tower(image, is_longer=longer, output_hidden_states=True)
        heard = math.ceil(wave.shape[-1] * self.frame_rate / self.sample_rate)

        def in_time(maps: "Tensor") -> "Tensor":
            pooled: Tensor = maps.unflatten(-1, (self.frames, -1)).mean(-1)
            return pooled.transpose(1, 2)[:, :heard]

        # The image is the log-mel one cut in strips, later ones below earlier ones.
        hidden = (maps.unflatten(2, (self.strips, -1)).mean(3).flatten(2) for maps in output.hidden_states)
        return Layers(tuple(map(in_time, hidden)), in_time(output.last_hidden_state.mean(2)))

    def log_mel(self, wave: "Tensor") -> "Tensor":
        """The authors' front end: (clip, sample) to (clip, frame, bin) in decibels, always 10 s.

        In float64, for silence lies 100 dB below loud sounds.
        """
        import torch
        from torch.nn.functional import pad

        samples, size = wave.shape[-1], self.settings["fft_window_size"]
        if samples < self.longest:
            whole = self.longest // samples
            copies = {"repeatpad": whole, "repeat": whole + 1, "pad": 1}[self.settings["padding"]]
            wave = wave.repeat(1, copies)
        wave = pad(wave[:, : self.longest], (0, max(0, self.longest - wave.shape[-1]))).double()
        window = torch.hann_window(size, dtype=wave.dtype, device=wave.device)
        with torch.autocast(self.device.type, enabled=False):
            spectrum = torch.stft(wave, size, self.settings["hop_length"], window=window, return_complex=True)
            power = self.filters @ spectrum.abs().square()
        return (10 * power.clamp(min=FLOOR).log10()).transpose(1, 2).float()

    def save(self, path: "Path") -> None:
        """Write a folder as the hub has it, without the text tower."""
        from ._transformers import make_config

        super().save(path)
        tower = self.network.config
        both = {"audio_config": tower.to_dict(), "projection_dim": tower.projection_dim}
        make_config("ClapModel", both).save_pretrained(path)


def _load(weights: Weights, variant: str | None) -> Parts:
    from ._transformers import read_config, read_network

    config = read_config(weights, "ClapModel", types=("clap",)).audio_config
    check_variant(weights, config, Clap.variants[variant] if variant else None, name=f"clap:{variant}")
    taken = {"feature_size": config.num_mel_bins, "truncation": TRUNCATION[config.enable_fusion]}
    settings, missing = read_settings(weights, FRONT_END | taken, taken=taken)
    if settings["padding"] not in ("repeatpad", "repeat", "pad"):
        raise UserError(f"preprocessor_config.json of {weights.label} has an unknown padding {settings['padding']!r}")
    frames = settings["max_length_s"] * settings["sampling_rate"] // settings["hop_length"] + 1
    most = config.spec_size // config.num_mel_bins * config.spec_size
    if frames > most:
        raise UserError(f"the front end of {weights.label} makes {frames} frames, but the network takes {most}")
    network, left_out = read_network(weights, "ClapAudioModelWithProjection", config, heads=TEXT)
    return Parts(network, settings, missing | by_part(left_out))


def _untrained(weights: Weights, variant: str | None) -> Parts:
    from ._transformers import build_network, make_config

    sizes = {**Clap.variants[variant or "unfused"].config, **(SMALL if weights.small else {})}
    config = make_config("ClapAudioModelWithProjection", sizes)
    settings = FRONT_END | {"truncation": TRUNCATION[config.enable_fusion]}
    return Parts(build_network(weights, "ClapAudioModelWithProjection", config), settings, {})


UPSTREAM = Clap
