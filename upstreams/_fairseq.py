"""Files in which wav2vec 2.0 and its kin were first published: fairseq's and torchaudio's, for transformers' networks.

A file is a dict whose ``model`` holds tensors and whose ``cfg`` (``args`` in old ones) holds objects of fairseq's
classes, which are read as plain settings. What the tensors' shapes tell is taken from them; what they cannot tell (the
order of norm and block, the attention heads, whether waves are normalised) from the settings.
"""

import re
from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from harness.cards import Weights
from harness.checkpoint import Foreign
from harness.errors import UserError
from harness.models import check_keys, load_strictly

if TYPE_CHECKING:
    from torch import Tensor, nn

#: How a table turns a key of transformers into a file's: pattern and replacement, one after the other.
Table = tuple[tuple[str, str], ...]
FAIRSEQ: Table = (
    (r"^feature_projection\.projection\.", "post_extract_proj."),
    (r"^feature_projection\.layer_norm\.", "layer_norm."),
    (r"(conv_layers\.\d+)\.conv\.", r"\1.0."),
    (r"(conv_layers\.\d+)\.layer_norm\.", r"\1.2."),
    (r"pos_conv_embed\.conv\.", "pos_conv.0."),
    (r"pos_conv_embed\.layers\.(\d+)\.conv\.", r"pos_conv.\1.0."),
    (r"parametrizations\.weight\.original0", "weight_g"),
    (r"parametrizations\.weight\.original1", "weight_v"),
    (r"\.attention\.gru_rel_pos_const", ".self_attn.grep_a"),
    (r"\.attention\.gru_rel_pos_linear\.", ".self_attn.grep_linear."),
    (r"\.attention\.rel_attn_embed\.", ".self_attn.relative_attention_bias."),
    (r"\.attention\.", ".self_attn."),
    (r"(encoder\.layers\.\d+)\.layer_norm\.", r"\1.self_attn_layer_norm."),
    (r"\.feed_forward\.intermediate_dense\.", ".fc1."),
    (r"\.feed_forward\.output_dense\.", ".fc2."),
)
TORCHAUDIO: Table = (
    (r"^encoder\.", "encoder.transformer."),
    (r"^feature_projection\.", "encoder.feature_projection."),
    (r"parametrizations\.weight\.original0", "weight_g"),
    (r"parametrizations\.weight\.original1", "weight_v"),
)
#: The same keys as some files spell them: with a list around the norm, or by torch's newer name of a weight norm.
SPELLINGS: Table = (
    (r"(conv_layers\.\d+\.2)\.1\.", r"\1."),
    (r"parametrizations\.weight\.original0", "weight_g"),
    (r"parametrizations\.weight\.original1", "weight_v"),
)
#: Keys that pre-training leaves behind: they have no part in the features.
IGNORED = (
    r"(mask_emb|label_embs_concat|_ema)$|_codebook|_pre_encoder|heads\.|"
    r"(final_proj|layer_proj|project_q|project_inp|quantizer|input_quantizer|target_glu|layer_pred_heads)\."
)
#: No file tells the strides of its convolutions in its shapes; those with these kernels all have these.
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)
#: Attention heads of a file without settings: 64 numbers each, but for these widths.
HEADS = {1280: 16, 1920: 16}
#: How settings say convolutions: lists of (width, kernel, stride), repeated and added.
CONVOLUTION = r"\(\s*\d+\s*,\s*\d+\s*,\s*(\d{1,4})\s*\)"
CONVOLUTIONS = rf"\s*\[\s*{CONVOLUTION}(?:\s*,\s*{CONVOLUTION})*\s*,?\s*\]\s*(?:\*\s*(\d{{1,2}})\s*)?"


def rename(key: str, table: Table) -> str:
    """A key of transformers as a file has it."""
    for pattern, replacement in table:
        key = re.sub(pattern, replacement, key)
    return key


def read(weights: Weights) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors of a file by its own keys, and its settings, flat; of s3prl's copies of such files as well.

    Raises:
        UserError: it is damaged, or no such file.
    """
    from torch import Tensor

    checkpoint = weights.state_dict(with_objects=True)
    state: Any = checkpoint.get("model", checkpoint.get("model_weight", checkpoint))
    if not isinstance(state, Mapping) or not any(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{weights.label} holds no weights of such a model: it has no tensors under the key 'model'")
    settings = checkpoint.get("cfg") or checkpoint.get("args") or {}
    if "model_weight" in checkpoint:
        settings = {"model": checkpoint.get("model_cfg"), "task": checkpoint.get("task_cfg")}
    plain = Foreign(settings=settings).plain["settings"]
    parts = [plain, *(plain.get(name) for name in ("model", "task"))] if isinstance(plain, dict) else []
    flat = {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}
    return {rename(str(key), SPELLINGS): value for key, value in state.items()}, flat


def config_of(state: Mapping[str, Any], settings: Mapping[str, Any], table: Table, *, what: str) -> dict[str, Any]:
    """What transformers' configuration must say so that its network takes these tensors.

    Raises:
        UserError: tensors are missing, their shapes cannot be, or the settings say what such a network does not do.
    """
    if (activation := settings.get("activation_fn")) not in (None, "gelu"):
        raise UserError(f"{what} says activation_fn {activation!r}, where 'gelu' is expected")
    if (strides := _strides(settings.get("conv_feature_layers"))) not in (None, STRIDES):
        raise UserError(f"{what} says that its convolutions have the strides {strides}, where {STRIDES} are expected")

    def shape(key: str, axes: int) -> tuple[int, ...]:
        key = rename(key, table)
        check_keys({key} - set(state), (), what=what)
        found = tuple(getattr(state[key], "shape", ()))
        if len(found) != axes or 0 in found:
            raise UserError(f"{what} has {key!r} of shape {found}, where {axes} axes are expected")
        return found

    def has(key: str) -> bool:
        return rename(key, table) in state

    convolutions = [shape(f"feature_extractor.conv_layers.{i}.conv.weight", 3) for i in range(len(KERNELS))]
    if (kernels := tuple(conv[2] for conv in convolutions)) != KERNELS:
        raise UserError(f"{what} has convolutions of {kernels} samples, where {KERNELS} are expected")
    norm = "layer" if has("feature_extractor.conv_layers.1.layer_norm.weight") else "group"
    width = shape("feature_projection.projection.weight", 2)[0]
    heads = settings.get("encoder_attention_heads")
    heads = HEADS.get(width, max(1, width // 64)) if heads is None else heads
    if not isinstance(heads, int) or heads < 1 or width % heads:
        raise UserError(f"{what} says that its {width} numbers belong to {heads!r} attention heads, which cannot be")
    stack = next(i for i in count() if not has(f"encoder.pos_conv_embed.layers.{i}.conv.weight"))
    place = "layers.0.conv.weight" if stack else "conv.parametrizations.weight.original1"
    _, per_group, kernel = shape(f"encoder.pos_conv_embed.{place}", 3)
    if width % per_group:
        raise UserError(f"{what} has a convolution for positions in groups of {per_group}, which cannot be")
    pre_norm = settings.get("layer_norm_first")
    pre_norm = norm == "layer" and not stack if pre_norm is None else pre_norm
    if not isinstance(pre_norm, bool) or (pre_norm and stack):
        raise UserError(f"{what} says layer_norm_first {pre_norm!r}, which this model does not know")
    blocks = re.escape(rename("encoder.layers.", table))
    config = {
        "hidden_size": width,
        "num_hidden_layers": len({found[1] for key in state if (found := re.match(rf"{blocks}(\d+)\.", key))}),
        "num_attention_heads": heads,
        "intermediate_size": shape("encoder.layers.0.feed_forward.intermediate_dense.weight", 2)[0],
        "conv_dim": [conv[0] for conv in convolutions],
        "conv_bias": has("feature_extractor.conv_layers.0.conv.bias"),
        "num_conv_pos_embedding_groups": width // per_group,
        "mask_time_prob": 0.0,  # transformers then has no embedding of masked frames, which has no part here
    }
    if stack:
        return config | {"num_conv_pos_embeddings": stack, "conv_pos_kernel_size": kernel}
    if has(buckets := "encoder.layers.0.attention.rel_attn_embed.weight"):
        config |= {"num_buckets": shape(buckets, 2)[0], "max_bucket_distance": settings.get("max_distance", 800)}
    return config | {
        "num_conv_pos_embeddings": kernel,
        "feat_extract_norm": norm,
        "do_stable_layer_norm": pre_norm,
    }


def _strides(convolutions: Any) -> tuple[int, ...] | None:
    """The strides that a setting such as ``[(512,10,5)] + [(512,3,2)] * 4`` says; None where it cannot be read."""
    parts = [re.fullmatch(CONVOLUTIONS, part) for part in str(convolutions).split("+")]
    if not all(parts):
        return None
    each = [(re.findall(CONVOLUTION, part[0]), int(part[3] or 1)) for part in parts if part]
    return tuple(int(stride) for strides, times in each for stride in strides * times)


def load(network: "nn.Module", state: Mapping[str, Any], table: Table, *, what: str) -> list[str]:
    """Give a network, which may be without numbers yet, every tensor of a file, in float32 on the CPU; gives the keys
    that pre-training left behind.

    Raises:
        UserError: keys are missing, left over or of another shape; the sentence names them as the file does.
    """
    return load_strictly(_as_file(network.to_empty(device="cpu"), table), state, what=what, ignored=IGNORED)


def _as_file(network: "nn.Module", table: Table) -> "nn.Module":
    """A module that holds the numbers of a network themselves, by the keys of a file."""
    from torch import nn

    root = nn.Module()
    for key, numbers in network.state_dict().items():
        *path, last = rename(key, table).split(".")
        place = root
        for part in path:
            if part not in dict(place.named_children()):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.register_buffer(last, numbers)
    return root


def state_of(network: "nn.Module", table: Table) -> "dict[str, Tensor]":
    """The tensors of a network by the keys that a file has."""
    state = {rename(key, table): value for key, value in network.state_dict().items() if key != "masked_spec_embed"}
    if table is FAIRSEQ and any(".conv_layers.1.2." in key for key in state):  # there the norm lies in a list
        state = {re.sub(r"(conv_layers\.\d+\.2)\.", r"\1.1.", key): value for key, value in state.items()}
    return state


def settings_of(config: Any, *, normalised: bool, sample_rate: int) -> dict[str, Any]:
    """The settings of a file that its tensors do not tell."""
    model = {
        "encoder_attention_heads": config.num_attention_heads,
        "layer_norm_first": getattr(config, "do_stable_layer_norm", False),
    }
    return {"model": model, "task": {"normalize": normalised, "sample_rate": sample_rate}}
