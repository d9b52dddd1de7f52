"""What encoders of the raw wave share: seven convolutions, one for positions, and transformer blocks.

The networks are transformers' own; here is said from which folder or file each comes and what becomes of the wave
first.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from harness.cards import Source, Variant, Weights
from harness.errors import UserError
from harness.models import Layers, Upstream, as_they_are

from ._fairseq import FAIRSEQ, Table, config_of, load, read, settings_of, state_of
from ._labels import OF_SPEECH, learned_from_labels
from ._transformers import build_network, make_config, read_config, read_json, read_network, save_folder

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: The three sizes of HuBERT, which the others have taken over.
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
XLARGE = {"hidden_size": 1280, "num_hidden_layers": 48, "num_attention_heads": 16, "intermediate_size": 5120}
#: The two families of norms: one group norm behind the first convolution, blocks that end in a norm; or a layer norm
#: behind every convolution, blocks that begin with a norm.
GROUP = {"feat_extract_norm": "group", "conv_bias": False, "do_stable_layer_norm": False}
LAYER = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
#: What makes a network of any of these sizes small.
SMALL = {
    **{"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 192},
    **{"conv_dim": (16,) * 7, "num_conv_pos_embedding_groups": 4},
}
#: Samples from one frame to the next.
HOP = 320
SAMPLE_RATE = 16_000
#: Seconds of the longest window. Memory grows with the square of the length where attention has a bias (WavLM), and by
#: 6.5 MB a second in the first convolution anyway. Clips that were cut at half a minute run a little over and stay
#: whole; of a longer one, frames hear their own window alone, and the group norm measures each window by itself.
LONGEST = 32
#: Keys of heads, of pre-training's quantizers and of masks: they have no part in the features.
HEADS = (
    r"([a-z0-9_]+\.)?((lm_head|classifier|projector|quantizer|project_hid|project_q|speaker_proj|final_proj|tdnn"
    r"|objective|layer_norm_for_extract)\.|(feature_extractor\.(weight|bias)|label_embeddings_concat|layer_weights"
    r"|masked_spec_embed)$)"
)
#: Settings with which a folder's network computes something else than transformers' class does.
OTHERWISE = ("add_adapter", "deepnorm", "feature_extractor_cqt")
#: A slip in a config.json beyond these would fill the memory.
MOST = {"hidden_size": 8192, "intermediate_size": 32_768, "num_hidden_layers": 128}
#: What tensors do not tell, by the setting of a file that does.
UNTOLD = {
    "normalize": "whether waves are normalised",
    "layer_norm_first": "where blocks have their norms",
    "encoder_attention_heads": "how many attention heads there are",
}
#: What keeps the division of a silent wave finite: transformers' number, and fairseq's.
EPSILON = {"folder": 1e-7, "file": 1e-5}


class Loaded(NamedTuple):
    """A network, what it wants done to the wave, what of all this nobody said, and the keys that were left out."""

    network: Any
    sample_rate: int
    normalised: bool
    assumed: list[str]
    ignored: list[str]


def published(config: Mapping[str, Any], millions: float, source: Source, **own: Any) -> Variant:
    """A published model; its layers' widths and its frame rate follow from its configuration.

    ``own`` is what it says otherwise than its family's card.
    """
    sample_rate = config.get("sample_rate", SAMPLE_RATE)
    return Variant(
        parameters=millions,
        widths=(config["hidden_size"],) * (config["num_hidden_layers"] + 1),
        frame_rate=Fraction(sample_rate, HOP),
        sample_rate=sample_rate,
        source=source,
        config=config,
        **own,
    )


def unit_variance(wave: "Tensor", epsilon: float) -> "Tensor":
    """Give each clip (clip, sample) zero mean and unit variance over all its samples."""
    variance, mean = wave.var(-1, correction=0, keepdim=True), wave.mean(-1, keepdim=True)
    return (wave - mean) / (variance + epsilon).sqrt()


class WaveEncoder(Upstream):
    """An encoder of the raw wave: a family declares its class in transformers and its published models.

    Option: ``variant``, the published model; a checkpoint tells its size by itself.
    """

    #: Its class in transformers.
    model: ClassVar[str]
    #: The types of model that a folder of its own may say it holds, first the usual one.
    types: ClassVar[tuple[str, ...]]
    #: How its files spell the keys.
    table: ClassVar[Table] = FAIRSEQ
    #: Behind which norms a folder that does not say is taken to want normalised waves; a file, behind layer norms.
    normalised_for: ClassVar[tuple[str, ...]] = ("group", "layer")
    reads: ClassVar[tuple[str, ...]] = ("folder",)
    revision = "1"
    dtypes = {"bfloat16": 0.1, "float16": 0.02}  # random weights give 0.019 and 0.0023, at up to 48 blocks
    #: What makes its networks small, for checks.
    small: Mapping[str, Any] = SMALL

    def __init__(self, weights: Weights, device: "torch.device", *, variant: str | None = None) -> None:
        super().__init__(weights, device)
        known = self.variants[next(iter(self.variants)) if variant is None else variant]
        if weights.kind == "folder":
            loaded = self.read_folder(weights)
        elif weights.kind == "file":
            loaded = self.read_file(weights)
        else:
            config = make_config(self.model, {**known.config, **(self.small if weights.small else {})})
            network = build_network(weights, self.model, config)
            loaded = Loaded(network, known.sample_rate, self.wants_normalised(config), [], [])
        self.network = loaded.network.eval().requires_grad_(False).to(device)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())

        config, self.sample_rate = self.network.config, loaded.sample_rate
        hop, field = _strides(config, weights.label)
        self.final_width = config.hidden_size
        self.widths = (self.final_width,) * (config.num_hidden_layers + 1)
        self.frame_rate = Fraction(self.sample_rate, hop)
        self.frame_offset = Fraction(field, 2 * self.sample_rate)
        self.shortest, self.longest = field, LONGEST * self.sample_rate
        self.normalise = as_they_are
        if loaded.normalised:
            epsilon = EPSILON[weights.kind if weights.trained else self.reads[0]]
            self.normalise = partial(unit_variance, epsilon=epsilon)
        self.found = {
            "norm": _norm(config),
            "blocks begin with a norm": getattr(config, "do_stable_layer_norm", False),
            "waves are normalised": loaded.normalised,
            "assumed": loaded.assumed,
            "ignored keys": loaded.ignored,
        }
        self.training = learned_from_labels(loaded.ignored, OF_SPEECH)
        if weights.trained and variant is not None:
            self._agree(variant, known)

    def forward(self, wave: "Tensor") -> Layers:
        """The input of the first block, every block's output, and ``final``, behind the last norm if there is one."""
        from torch.nn import functional

        wave = functional.pad(wave, (0, max(0, self.shortest - wave.shape[-1])))
        output = self.network(wave, output_hidden_states=True, return_dict=True)
        return Layers(tuple(output.hidden_states), output.last_hidden_state)

    def read_folder(self, weights: Weights) -> Loaded:
        """A network in the layout of the hub."""
        config = read_config(weights, self.model, types=self.types)
        for name in OTHERWISE:
            if getattr(config, name, False):
                raise UserError(f"{weights.label} has {name} in its config.json, which {self.model} does not know")
        for name, most in MOST.items():
            if not 1 <= getattr(config, name) <= most:
                raise UserError(f"{weights.label} says in its config.json that {name} is {getattr(config, name)}")
        _strides(config, weights.label)
        said = read_json(weights, "preprocessor_config.json")
        usual = {"do_normalize": True, "sampling_rate": getattr(config, "sample_rate", SAMPLE_RATE)}
        normalised, rate = ((said or usual).get(key, value) for key, value in usual.items())
        if not isinstance(normalised, bool) or not isinstance(rate, int) or rate < 1:
            raise UserError(
                f"preprocessor_config.json of {weights.label} says do_normalize {normalised!r} and sampling_rate "
                f"{rate!r}, which cannot be"
            )
        if rate != getattr(config, "sample_rate", rate):
            raise UserError(
                f"{weights.label} contradicts itself: its preprocessor_config.json says {rate} Hz and its config.json "
                f"{config.sample_rate} Hz"
            )
        network, ignored = read_network(weights, self.model, config, heads=HEADS)
        if said:
            return Loaded(network, rate, normalised, [], ignored)
        return Loaded(network, rate, self.wants_normalised(config), [UNTOLD["normalize"]], ignored)

    def read_file(self, weights: Weights) -> Loaded:
        """A network in the form in which fairseq, or torchaudio, has it."""
        import torch

        state, settings = self.contents(weights)
        config = make_config(self.model, config_of(state, settings, self.table, what=weights.label))
        with torch.device("meta"):  # without numbers: the file has them all
            network = build_network(weights, self.model, config)
        ignored = load(network, state, self.table, what=weights.label)
        normalised, rate = settings.get("normalize"), settings.get("sample_rate", SAMPLE_RATE)
        if rate != SAMPLE_RATE:
            raise UserError(f"{weights.label} says that it hears {rate!r} Hz, where {SAMPLE_RATE} Hz is expected")
        if normalised is None:
            normalised = _norm(config) == "layer"
        if not isinstance(normalised, bool):
            raise UserError(f"{weights.label} says normalize {normalised!r}, which is neither true nor false")
        assumed = [meaning for name, meaning in UNTOLD.items() if settings.get(name) is None]
        return Loaded(network, SAMPLE_RATE, normalised, assumed, ignored)

    def contents(self, weights: Weights) -> tuple[dict[str, Any], dict[str, Any]]:
        """The tensors of a file and its settings."""
        return read(weights)

    def wants_normalised(self, config: Any) -> bool:
        """Whether a folder wants normalised waves if it does not say."""
        return _norm(config) in self.normalised_for

    def save(self, path: Path) -> None:
        """A folder in the layout of the hub, or a file as fairseq has it, whichever comes first in :attr:`reads`."""
        import torch

        normalised = bool(self.found["waves are normalised"])
        if self.reads[0] == "file":
            torch.save(self.container(state_of(self.network, self.table), normalised=normalised), path)
            return
        preprocessor = {
            **{"feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1},
            **{"padding_side": "right", "padding_value": 0.0},
            **{"do_normalize": normalised, "sampling_rate": self.sample_rate},
        }
        save_folder(self.network, path, preprocessor, {"model_type": self.types[0]})

    def container(self, state: "dict[str, Tensor]", *, normalised: bool) -> dict[str, Any]:
        """What a file of the family holds."""
        settings = settings_of(self.network.config, normalised=normalised, sample_rate=self.sample_rate)
        return {"cfg": settings, "model": state}

    def _agree(self, variant: str, known: Variant) -> None:
        """Refuse a token that says another size than the checkpoint's, and note what else it says otherwise."""
        family, kind = type(self).__module__.rpartition(".")[2], self.weights.kind.upper()
        given = (len(self.widths) - 1, self.final_width, self.sample_rate)
        named = (len(known.widths) - 1, known.widths[0], known.sample_rate)
        if given != named:
            blocks = "{} blocks of width {} at {} Hz"
            raise UserError(
                f"{self.weights.label} has {blocks.format(*given)}, but {family}:{variant} has "
                f"{blocks.format(*named)}: write {family}@{kind}"
            )
        # Of norms and biases a checkpoint knows better than our record: where they differ, the result says so.
        unlike = [
            name
            for name, due in known.config.items()
            if _listed(getattr(self.network.config, name, due)) != _listed(due)
        ]
        self.found = {**self.found, "unlike the record": unlike}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _norm(config: Any) -> str:
    """Of the convolutions: ``group`` or ``layer``, as which data2vec has no choice."""
    return str(getattr(config, "feat_extract_norm", "layer"))


def _strides(config: Any, what: str) -> tuple[int, int]:
    """Samples from one frame to the next, and how many one frame hears.

    Raises:
        UserError: there are none.
    """
    hop, field = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    if min(*config.conv_kernel, *config.conv_stride) < 1:
        raise UserError(f"{what} has convolutions of no samples in its config.json")
    return hop, field
