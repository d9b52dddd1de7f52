"""Whisper's encoder: a transformer over 30 s of log-mel frames, trained to transcribe (Radford et al. 2022)."""

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

#: Width, blocks, heads and mel bins of what is published, and in millions the numbers of the encoder.
SIZES = {
    "base": (512, 6, 8, 80, 20.59),
    "tiny": (384, 4, 6, 80, 8.21),
    "small": (768, 12, 12, 80, 88.15),
    "medium": (1024, 24, 16, 80, 307.22),
    "largev2": (1280, 32, 20, 80, 636.78),
    "largev3": (1280, 32, 20, 128, 636.97),
    "turbo": (1280, 32, 20, 128, 636.97),
}
REPOSITORIES = {"largev2": "large-v2", "largev3": "large-v3", "turbo": "large-v3-turbo"}
#: The front end of the published models, which differ in their mel bins.
FRONT_END: dict[str, Any] = {
    **{"feature_size": 80, "sampling_rate": 16_000, "hop_length": 160, "chunk_length": 30, "n_fft": 400},
    "padding_value": 0.0,
}
#: The second convolution leaves out every other log-mel frame.
STRIDE = 2
#: transformers has no encoder by itself: its decoder is left without blocks, and without words where none are read.
NO_BLOCKS = {"decoder_layers": 0}
NO_WORDS = {
    **{"vocab_size": 1, "max_target_positions": 1, "decoder_start_token_id": 0},
    **{"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0},
}
DECODER = r"(model\.)?decoder\.|proj_out\."


def _config(width: int, blocks: int, heads: int, bins: int) -> dict[str, Any]:
    sizes = {"d_model": width, "encoder_layers": blocks, "encoder_attention_heads": heads, "num_mel_bins": bins}
    return sizes | {"encoder_ffn_dim": 4 * width}


class Whisper(FolderUpstream):
    """The encoder of Whisper (Radford et al. 2022), trained to transcribe and translate 680,000 h of web audio.

    It always hears 30 s: clips are filled with zeros at their end, and the frames of the filling are left out. Option:
    ``variant`` (the folder's, if it is not given).
    """

    axes = (one_of("variant", *SIZES, detected=True),)
    card = Card(
        paper="arXiv 2212.04356",
        licence="MIT",
        training=Training("supervised", ("680,000 h of web audio",), note="transcripts as the web has them"),
        homepage="https://github.com/openai/whisper",
    )
    variants = {
        name: Variant(
            parameters=millions,
            widths=(width,) * (blocks + 1),
            frame_rate=Fraction(50),
            source=Hub(f"openai/whisper-{REPOSITORIES.get(name, name)}"),
            training=Training("supervised", ("5,000,000 h of web audio",), note="transcripts mostly of largev2")
            if name in ("largev3", "turbo")
            else None,
            config=_config(width, blocks, heads, bins),
        )
        for name, (width, blocks, heads, bins, millions) in SIZES.items()
    }
    padding_changes_output = False  # zeros are what clips are filled with
    revision = "1"

    def __init__(self, weights: Weights, device: "torch.device", *, variant: str | None = None) -> None:
        from transformers import WhisperFeatureExtractor

        super().__init__(weights, device, _load(weights, variant) if weights.trained else _untrained(weights, variant))
        config = self.network.config
        self.front_end = WhisperFeatureExtractor(**self.settings)
        self.widths, self.final_width = (config.d_model,) * (config.encoder_layers + 1), config.d_model
        self.sample_rate = self.settings["sampling_rate"]
        self.hop = STRIDE * self.settings["hop_length"]
        self.frame_rate = Fraction(self.sample_rate, self.hop)
        self.frame_offset = Fraction(0)  # the first frame is centred on the first sample
        self.longest = self.filled = self.front_end.n_samples

    def forward(self, wave: "Tensor") -> Layers:
        """The input of the first block (convolutions and positions), each block's output, and ``final`` after the
        last norm. Of more than 30 s the end is lost."""
        from torch.nn.functional import gelu

        network = self.network
        stream = gelu(network.conv2(gelu(network.conv1(self.log_mel(wave)))))
        # transformers gives the normed state in place of the last block's output, so the blocks are called here.
        streams = [stream.transpose(1, 2) + network.embed_positions.weight]
        for block in network.layers:
            streams.append(block(streams[-1], None))
        heard = -(-wave.shape[-1] // self.hop)
        return Layers(tuple(each[:, :heard] for each in streams), network.layer_norm(streams[-1])[:, :heard])

    def log_mel(self, wave: "Tensor") -> "Tensor":
        """The authors' front end as transformers has it: (clip, sample) to (clip, bin, frame), always 30 s."""
        import torch

        with torch.autocast(self.device.type, enabled=False):
            image = self.front_end(
                wave.cpu().numpy(), sampling_rate=self.sample_rate, return_tensors="pt", device=str(self.device)
            )
        log_mel: Tensor = image["input_features"].to(self.device)
        return log_mel

    def save(self, path: "Path") -> None:
        """Write a folder as the hub has it, with a decoder of no blocks and no words."""
        from ._transformers import build_network, make_config, save_folder

        config = make_config("WhisperModel", self.network.config.to_dict() | NO_WORDS)
        model: Any = build_network(self.weights, "WhisperModel", config)
        model.encoder = self.network
        save_folder(model, path, self.settings)


def _load(weights: Weights, variant: str | None) -> Parts:
    from ._transformers import read_config, read_network

    config = read_config(weights, "WhisperModel", types=("whisper",))
    check_variant(weights, config, Whisper.variants[variant] if variant else None, name=f"whisper:{variant}")
    config.update(NO_BLOCKS)
    taken = {"feature_size": config.num_mel_bins}
    settings, missing = read_settings(weights, _front_end(config), taken=taken)
    made = settings["chunk_length"] * settings["sampling_rate"] // settings["hop_length"]
    if made != STRIDE * config.max_source_positions:
        raise UserError(
            f"the front end of {weights.label} makes {made} frames, but the network takes "
            f"{STRIDE * config.max_source_positions}"
        )
    model: Any
    model, left_out = read_network(weights, "WhisperModel", config, heads=DECODER)
    return Parts(model.encoder, settings, missing | by_part(left_out))


def _untrained(weights: Weights, variant: str | None) -> Parts:
    from ._transformers import build_network, make_config

    sizes = dict(Whisper.variants[variant or "base"].config)
    if weights.small:
        sizes |= _config(32, 2, 2, sizes["num_mel_bins"]) | {"max_source_positions": 250}
    config = make_config("WhisperModel", {**sizes, **NO_BLOCKS, **NO_WORDS})
    model: Any = build_network(weights, "WhisperModel", config)
    return Parts(model.encoder, _front_end(config), {})


def _front_end(config: Any) -> dict[str, Any]:
    """The published front end, for a network of so many mel bins and positions."""
    seconds = config.max_source_positions * STRIDE * FRONT_END["hop_length"] // FRONT_END["sampling_rate"]
    return FRONT_END | {"feature_size": config.num_mel_bins, "chunk_length": seconds}


UPSTREAM = Whisper
