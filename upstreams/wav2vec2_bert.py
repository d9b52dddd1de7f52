"""W2v-BERT 2.0: a conformer over log-mel frames, pre-trained on 4.5 million hours of speech (Barrault et al. 2023)."""

from fractions import Fraction
from typing import TYPE_CHECKING

from harness.cards import Card, Hub, Training, Variant, Weights
from harness.errors import UserError
from harness.models import Layers

from ._folders import FolderUpstream, Parts, by_part, read_settings
from ._labels import OF_SPEECH, learned_from_labels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

RATE = 16_000
FRAME = 400
HOP = 160
#: Kaldi's filterbank hears waves as 16-bit integers.
SCALE = 2**15
#: The front end of the published model.
FRONT_END = {"sampling_rate": RATE, "num_mel_bins": 80, "stride": 2}
#: What is trained after the encoder, to transcribe or to classify.
HEADS = (
    r"(wav2vec2_bert\.)?(adapter|intermediate_ffn)\.|(lm_head|projector|classifier|feature_extractor|tdnn|objective)\."
    r"|layer_weights$"
)
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


class Wav2Vec2Bert(FolderUpstream):
    """W2v-BERT 2.0 (Barrault et al. 2023), pre-trained on 4.5 million hours of speech in 143 languages.

    Its front end gives every mel bin of a clip mean 0 and variance 1, and joins pairs of frames. Clips above 30 s are
    cut, for its tables of relative positions grow with the square of the length; mean and variance are then those of
    each window.
    """

    card = Card(
        paper="arXiv 2312.05187",
        licence="MIT",
        training=Training("self-supervised", ("4,500,000 h of web audio",)),
        homepage="https://github.com/facebookresearch/seamless_communication",
    )
    variants = {
        "": Variant(
            parameters=580.49, widths=(1024,) * 25, frame_rate=Fraction(50), source=Hub("facebook/w2v-bert-2.0")
        )
    }
    revision = "1"
    sample_rate, longest = RATE, 30 * RATE

    def __init__(self, weights: Weights, device: "torch.device") -> None:
        super().__init__(weights, device, _load(weights) if weights.trained else _untrained(weights))
        self.training = learned_from_labels(self.found.get("ignored keys", ()), OF_SPEECH)
        config = self.network.config
        self.joined = self.settings["stride"]
        self.widths, self.final_width = (config.hidden_size,) * (config.num_hidden_layers + 1), config.hidden_size
        self.frame_rate = Fraction(RATE, HOP * self.joined)
        self.shortest = FRAME + (self.joined - 1) * HOP
        self.frame_offset = Fraction(self.shortest, 2 * RATE)

    def forward(self, wave: "Tensor") -> Layers:
        """The projected frames, then each block's output; ``final`` is the last of them, for blocks end with a
        norm."""
        output = self.network(self.log_mel(wave), output_hidden_states=True)
        return Layers(output.hidden_states, output.last_hidden_state)

    def log_mel(self, wave: "Tensor") -> "Tensor":
        """The authors' front end: (clip, sample) to (clip, frame, joined bins).

        A last frame that has no other to be joined with counts for mean and variance, but is left out: the authors'
        mask hides it.
        """
        import torch
        from torch.nn.functional import pad

        from harness.fbank import fbank

        wave = pad(wave, (0, max(0, self.shortest - wave.shape[-1])))
        image = fbank(SCALE * wave, window="povey", bins=self.settings["num_mel_bins"])
        variance, mean = torch.var_mean(image, dim=1, keepdim=True)
        image = (image - mean) / (variance + 1e-7).sqrt()
        joined: Tensor = image[:, : image.shape[1] // self.joined * self.joined].unflatten(1, (-1, self.joined))
        return joined.flatten(2)


def _load(weights: Weights) -> Parts:
    from ._transformers import read_config, read_network

    config = read_config(weights, "Wav2Vec2BertModel", types=("wav2vec2-bert",))
    # An adapter comes after the encoder and leaves fewer frames.
    config.update({"add_adapter": False, "use_intermediate_ffn_before_adapter": False})
    settings, missing = read_settings(weights, FRONT_END, taken={"sampling_rate": RATE})
    made, taken = settings["num_mel_bins"] * settings["stride"], config.feature_projection_input_dim
    if made != taken:
        raise UserError(
            f"the front end of {weights.label} makes frames of {made} numbers, but the network takes {taken}"
        )
    network, left_out = read_network(weights, "Wav2Vec2BertModel", config, heads=HEADS)
    return Parts(network, settings, missing | by_part(left_out))


def _untrained(weights: Weights) -> Parts:
    from ._transformers import build_network, make_config

    config = make_config("Wav2Vec2BertModel", SMALL if weights.small else {})
    return Parts(build_network(weights, "Wav2Vec2BertModel", config), FRONT_END, {})


UPSTREAM = Wav2Vec2Bert
