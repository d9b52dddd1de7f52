"""BEATs: audio patches that learn from an acoustic tokenizer, 12 transformer blocks (Chen et al. 2023)."""

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.cards import Card, Elsewhere, Source, Training, Variant, Weights, one_of
from harness.errors import UserError
from harness.models import Layers, Upstream, check_keys, load_strictly

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ._beats import Beats, Config

HOMEPAGE = "https://github.com/microsoft/unilm/tree/master/beats"
#: Each published pre-training; the fine-tuned models' names begin alike.
FILES = {
    "iter3": "BEATs_iter3",
    "iter3+": "BEATs_iter3_plus_AS2M",
    "iter2": "BEATs_iter2",
    "iter1": "BEATs_iter1",
}
TRAINING = {
    "iter3+": Training("self-supervised", ("AudioSet",), "its tokenizer was distilled from a supervised teacher"),
    "ft": Training("supervised", ("AudioSet",), "after self-supervised pre-training"),
}
#: Samples per log-mel frame, and those of the 16 frames of one patch.
HOP, PATCH_SAMPLES = 160, 400 + 15 * 160
#: Of the log-mel values of a wave in 16-bit integers, as the authors normalise.
SCALE, MEAN, STD = 2**15, 15.41663, 6.55582
#: What attention holds at once, in numbers (256 MB): clips beyond it are encoded in turns.
MOST_LOGITS = 2**26
#: What fine-tuning adds to the network: it has no part in the features.
HEADS = r"(predictor|strong_head|weak_head)\."
#: Before the keys of the copies that PretrainedSED publishes, which have no ``cfg``.
PREFIXES = ("model.beats.", "model.model.")
#: What a file's ``cfg`` may say. Whole numbers up to those of a large transformer, so that no file fills the memory.
RANGES = {
    "embed_dim": (1, 1024),
    "encoder_layers": (1, 24),
    "encoder_embed_dim": (1, 1024),
    "encoder_ffn_embed_dim": (1, 4096),
    "encoder_attention_heads": (1, 64),
    "conv_pos": (1, 1024),
    "conv_pos_groups": (1, 1024),
    "num_buckets": (4, 4096),
    "max_distance": (2, 1_000_000),
}
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "input_patch_size": (16,),
    "conv_bias": (False,),
    "activation_fn": ("gelu",),
    "layer_norm_first": (False,),
    "deep_norm": (True, False),
    "relative_position_embedding": (True,),
    "gru_rel_pos": (True,),
}


class BEATs(Upstream):
    """BEATs (Chen et al. 2023), pre-trained on AudioSet by predicting an acoustic tokenizer's labels of masked patches.

    Options: ``variant`` (which published pre-training), ``stage`` (``ft``: fine-tuned on AudioSet's labels; the first
    of the two published copies) and ``freq`` (average or concatenate the 8 patches above each other).
    """

    axes = (one_of("variant", *FILES), one_of("stage", "ssl", "ft"), one_of("freq", "mean", "concat"))
    card = Card(
        paper="arXiv 2212.09058",
        licence="MIT",
        training=Training("self-supervised", ("AudioSet",)),
        homepage=HOMEPAGE,
    )
    variants = {
        name + ("" if stage == "ssl" else "-ft"): Variant(
            parameters=90.3,
            widths=(768,) * 13,
            frame_rate=Fraction(25, 4),
            source=Elsewhere(file + (".pt" if stage == "ssl" else "_finetuned_on_AS2M_cpt1.pt"), HOMEPAGE),
            training=TRAINING.get(name if stage == "ssl" else stage),
        )
        for stage in ("ssl", "ft")
        for name, file in FILES.items()
    }
    # On noise, at the published size, 0.7 % and 0.09 % are seen.
    dtypes = {"bfloat16": 0.03, "float16": 0.005}
    revision = "1"
    sample_rate = 16_000
    frame_rate = Fraction(sample_rate, 16 * HOP)
    tokens_per_frame = 8
    frame_offset = Fraction(PATCH_SAMPLES, 2 * sample_rate)
    shortest = PATCH_SAMPLES
    # Any length will do, as positions are relative. But the cost of attention grows with the square, the authors train
    # on 10 s, and beyond max_distance (16 s) all tokens are equally far: 30 s are 1496 tokens, 107 MB of logits.
    longest = 30 * sample_rate

    def __init__(
        self,
        weights: Weights,
        device: "torch.device",
        *,
        variant: str = "iter3",
        stage: Literal["ssl", "ft"] = "ssl",
        freq: Literal["mean", "concat"] = "mean",
    ) -> None:
        from ._beats import ROWS, SMALL, Beats, Config

        super().__init__(weights, device)
        self.freq = freq
        if weights.trained:
            self.network, self.cfg, self.found = _load(weights, stage)
        else:
            with weights.seeded():
                self.network = Beats(SMALL if weights.small else Config())
                self.network.initialise()
            self.cfg = _cfg(self.network.config, fine_tuned=stage == "ft")
        self.network.eval().requires_grad_(False).to(device)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        config = self.network.config
        self.final_width = config.encoder_embed_dim * (ROWS if freq == "concat" else 1)
        self.widths = (self.final_width,) * (config.encoder_layers + 1)

    @classmethod
    def published(cls, *, variant: str = "iter3", stage: str = "ssl", **_: Any) -> Source | None:
        """The authors' file of a pre-training, as it is or fine-tuned."""
        return cls.variants[variant if stage == "ssl" else f"{variant}-{stage}"].source

    def forward(self, wave: "Tensor") -> Layers:
        """The input of block 0, then every block's output; ``final`` is the last, as the authors add no norm.

        Clips below 2800 samples are padded with zeros.
        """
        from torch.nn import functional

        from ._beats import ROWS

        wave = functional.pad(wave, (0, max(0, self.shortest - wave.shape[-1])))
        steps = 1 + (wave.shape[-1] - PATCH_SAMPLES) // (16 * HOP)
        logits = self.network.config.encoder_attention_heads * (ROWS * steps) ** 2
        return Layers.join([self._encode(part) for part in wave.split(max(1, MOST_LOGITS // logits))], dim=0)

    def _encode(self, wave: "Tensor") -> Layers:
        hidden = tuple(map(self._by_time, self.network(log_mel(wave))))
        return Layers(hidden, hidden[-1])

    def _by_time(self, stream: "Tensor") -> "Tensor":
        from ._beats import ROWS

        tokens: Tensor = stream.unflatten(1, (-1, ROWS))
        return tokens.mean(2) if self.freq == "mean" else tokens.flatten(2)

    def save(self, path: Path) -> None:
        """Write ``cfg`` and ``model`` as the authors do, but for what fine-tuning added."""
        import torch

        torch.save({"cfg": self.cfg, "model": self.network.state_dict()}, path)


def log_mel(wave: "Tensor") -> "Tensor":
    """The authors' front end: (clip, sample) to (clip, frame, bin), nothing padded or cropped."""
    from harness.fbank import fbank

    return (fbank(SCALE * wave) - MEAN) / (2 * STD)


def _cfg(config: "Config", *, fine_tuned: bool) -> dict[str, Any]:
    """What the authors' file of a network says of it."""
    return {name: values[0] for name, values in CHOICES.items()} | config._asdict() | {"finetuned_model": fine_tuned}


def _load(weights: Weights, stage: str) -> "tuple[Beats, dict[str, Any], Mapping[str, Any]]":
    """A network from a published file, the file's ``cfg``, and what was found in it."""
    import torch

    from ._beats import Beats

    what, (state, cfg, found) = weights.label, _opened(weights)
    if any(key.startswith("quantize") for key in state):
        raise UserError(f"{what} is a tokenizer of BEATs, which has labels and no features: take {FILES['iter3']}.pt")
    config = _config(cfg, what)
    fine_tuned = cfg.get("finetuned_model") is True or _has_head(state)
    if fine_tuned != (stage == "ft"):
        told, name = ("was", "beats:ft") if fine_tuned else ("was not", "beats")
        raise UserError(f"{what} {told} fine-tuned on labels: write {name}@FILE, so that results say so")
    with torch.device("meta"):
        network = Beats(config)
    network.to_empty(device="cpu")
    ignored = load_strictly(network, state, what=what, ignored=HEADS)
    for key, value in state.items():
        if key.endswith("relative_attention_bias.weight") and not torch.equal(value.float(), network.encoder.table):
            raise UserError(f"{what} has another {key!r} than in its last layer, where BEATs has one for all")
    found["ignored keys"] += ignored
    return network, cfg, found | {"fine-tuned": fine_tuned, "cfg": config._asdict()}


def _opened(weights: Weights) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A file's state dict by the published names, its ``cfg``, and where that comes from.

    Raises:
        UserError: it has not the form of a BEATs checkpoint.
    """
    from ._beats import Config

    what, contents = weights.label, weights.state_dict()
    prefix = next((each for each in PREFIXES if f"{each}patch_embedding.weight" in contents), None)
    if prefix is not None:
        state = _renamed({key.removeprefix(prefix): value for key, value in contents.items()})
        cfg = _cfg(Config(), fine_tuned=_has_head(state))
        return state, cfg, {"cfg from": "the published models", "ignored keys": []}
    check_keys({"cfg", "model"} - set(contents), (), what=what)
    state, cfg = contents.pop("model"), contents.pop("cfg")
    if not all(isinstance(each, dict) and all(isinstance(key, str) for key in each) for each in (state, cfg)):
        raise UserError(f"{what} is no BEATs checkpoint: its cfg or its model is no dict with names as keys")
    return _renamed(state), cfg, {"cfg from": "the file", "ignored keys": sorted(contents)}


def _renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    """The same with weight norm's older names, which the published files have."""
    new = ".parametrizations.weight.original"
    older = {key: key.replace(f"{new}0", ".weight_g").replace(f"{new}1", ".weight_v") for key in state}
    return {key if older[key] in state else older[key]: value for key, value in state.items()}


def _has_head(state: Mapping[str, Any]) -> bool:
    return any(re.match(HEADS, key) for key in state)


def _config(cfg: Mapping[Any, Any], what: str) -> "Config":
    """What a file's ``cfg`` says of the network; settings that have no part in it may say what they like.

    Raises:
        UserError: it lacks a setting, or one is not what a BEATs can have.
    """
    from ._beats import Config

    if missing := [name for name in (*CHOICES, *RANGES) if name not in cfg]:
        raise UserError(f"{what} has a cfg without {', '.join(missing)}: it is of another model, or damaged")
    for name, choices in CHOICES.items():
        if not any(type(cfg[name]) is type(choice) and cfg[name] == choice for choice in choices):
            raise UserError(f"{what} has a cfg whose {name} is not {' or '.join(map(repr, choices))}")
    for name, (least, most) in RANGES.items():
        if type(cfg[name]) is not int or not least <= cfg[name] <= most:
            raise UserError(f"{what} has a cfg whose {name} is no whole number from {least} to {most}")
    config = Config(**{name: cfg[name] for name in Config._fields})
    for name in ("encoder_attention_heads", "conv_pos_groups"):
        if config.encoder_embed_dim % cfg[name]:
            raise UserError(f"{what} has a cfg whose {name} does not divide its encoder_embed_dim")
    if config.max_distance <= config.num_buckets // 4:
        raise UserError(f"{what} has a cfg whose max_distance is not above a quarter of its num_buckets")
    return config


UPSTREAM = BEATs
