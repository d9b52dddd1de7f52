"""AST: the audio spectrogram transformer, trained on AudioSet or Speech Commands (Gong et al. 2021)."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from harness.cards import Card, Hub, Training, Variant, Weights, one_of
from harness.errors import UserError
from harness.models import Layers

from ._folders import FolderUpstream, Parts, by_part, check_variant, read_settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

RATE = 16_000
FRAME = 400
HOP = 160
#: The front ends of the published models.
FRONT_ENDS: dict[str, dict[str, Any]] = {
    "audioset": {"max_length": 1024, "mean": -4.2677393, "std": 4.5689974},
    "speechcommands": {"max_length": 128, "mean": -6.845978, "std": 5.5654526},
}
FRONT_END = {"sampling_rate": RATE, "num_mel_bins": 128, "do_normalize": True}
#: What classifies.
HEAD = r"classifier\."
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SMALL_LENGTH = 512


class Ast(FolderUpstream):
    """AST (Gong et al. 2021): a vision transformer over overlapping patches of 16 x 16 log-mel values.

    It always sees images of one length, AudioSet's of 10 s: shorter clips are filled before they are normalised, as the
    authors do, and the patches that hear none of the clip are left out. Options: ``variant`` (the folder's, if it is
    not given) and ``freq`` (average or concatenate the patches above each other).
    """

    axes = (one_of("variant", *FRONT_ENDS, detected=True), one_of("freq", "mean", "concat"))
    card = Card(
        paper="arXiv 2104.01778",
        licence="BSD-3-Clause",
        training=Training("supervised", ("AudioSet", "ImageNet")),
        homepage="https://github.com/YuanGongND/ast",
    )
    variants = {
        "audioset": Variant(
            parameters=86.19,
            widths=(768,) * 13,
            frame_rate=Fraction(10),
            source=Hub("MIT/ast-finetuned-audioset-10-10-0.4593"),
            config={"max_length": 1024},
        ),
        "speechcommands": Variant(
            parameters=85.37,
            widths=(768,) * 13,
            frame_rate=Fraction(10),
            source=Hub("MIT/ast-finetuned-speech-commands-v2"),
            training=Training("supervised", ("Speech Commands", "ImageNet")),
            config={"max_length": 128},
        ),
    }
    revision = "1"
    sample_rate, shortest = RATE, FRAME

    def __init__(
        self,
        weights: Weights,
        device: "torch.device",
        *,
        variant: str | None = None,
        freq: Literal["mean", "concat"] = "mean",
    ) -> None:
        super().__init__(weights, device, _load(weights, variant) if weights.trained else _untrained(weights, variant))
        config = self.network.config
        self.freq, self.stride = freq, config.time_stride
        self.grid = self.network.embeddings.get_shape(config)
        self.tokens_per_frame = self.grid[0]
        self.final_width = (self.grid[0] if freq == "concat" else 1) * config.hidden_size
        self.widths = (self.final_width,) * (config.num_hidden_layers + 1)
        self.frame_rate = Fraction(RATE, HOP * self.stride)
        self.frame_offset = Fraction(_samples_of(config.patch_size), 2 * RATE)
        self.longest = self.filled = _samples_of(config.max_length)

    def forward(self, wave: "Tensor") -> Layers:
        """The patches with their positions, each block's output, and ``final``, the patches behind the last norm.

        The authors classify from the mean of two class tokens, (cls + dist) / 2, which is not given. Of a clip above
        :attr:`longest` the end is lost.
        """
        output = self.network(self.log_mel(wave), output_hidden_states=True)
        frames = 1 + (max(FRAME, wave.shape[-1]) - FRAME) // HOP
        heard = -(-frames // self.stride)

        def in_time(stream: "Tensor") -> "Tensor":
            tokens: Tensor = stream[:, 2:].unflatten(1, self.grid)[:, :, :heard]
            return tokens.mean(1) if self.freq == "mean" else tokens.transpose(1, 2).flatten(2)

        return Layers(tuple(map(in_time, output.hidden_states)), in_time(output.last_hidden_state))

    def log_mel(self, wave: "Tensor") -> "Tensor":
        """The authors' front end: (clip, sample) to (clip, frame, bin), filled with zeros, then normalised."""
        from torch.nn.functional import pad

        from harness.fbank import fbank

        length = self.settings["max_length"]
        wave = pad(wave, (0, max(0, FRAME - wave.shape[-1])))
        image = fbank(wave, window="hanning", bins=self.settings["num_mel_bins"])[:, :length]
        image = pad(image, (0, 0, 0, length - image.shape[1]))
        if self.settings["do_normalize"]:
            image = (image - self.settings["mean"]) / (2 * self.settings["std"])
        return image


def _samples_of(frames: int) -> int:
    return FRAME + (frames - 1) * HOP


def _load(weights: Weights, variant: str | None) -> Parts:
    from ._transformers import read_config, read_network

    config = read_config(weights, "ASTModel", types=("audio-spectrogram-transformer",))
    check_variant(weights, config, Ast.variants[variant] if variant else None, name=f"ast:{variant}")
    usual = "speechcommands" if config.max_length == FRONT_ENDS["speechcommands"]["max_length"] else "audioset"
    taken = {"sampling_rate": RATE, "num_mel_bins": config.num_mel_bins, "max_length": config.max_length}
    settings, missing = read_settings(weights, FRONT_END | FRONT_ENDS[usual] | taken, taken=taken)
    if settings["std"] <= 0:
        raise UserError(f"preprocessor_config.json of {weights.label} has a deviation of {settings['std']}")
    network, left_out = read_network(weights, "ASTModel", config, heads=HEAD)
    return Parts(network, settings, missing | by_part(left_out))


def _untrained(weights: Weights, variant: str | None) -> Parts:
    from ._transformers import build_network, make_config

    settings = FRONT_END | FRONT_ENDS[variant or "audioset"]
    if weights.small:
        settings["max_length"] = min(SMALL_LENGTH, settings["max_length"])
    config = make_config("ASTModel", {"max_length": settings["max_length"], **(SMALL if weights.small else {})})
    return Parts(build_network(weights, "ASTModel", config), settings, {})


UPSTREAM = Ast
