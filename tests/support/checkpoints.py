"""What the tests of upstreams load: checkpoints in the published forms, small networks, and a rule to fill them."""

import json
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from harness.cards import Weights
from harness.registry import UpstreamSpec
from harness.upstreams._vim import Directions

State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]
#: Writes a checkpoint and gives its path.
Save = Callable[[Mapping[str, Any]], Path]


def load(name: str) -> Any:
    """The upstream of a name, as the commands find it."""
    spec = UpstreamSpec.parse(name)
    return spec.load(spec.weights(lambda path: f"the hash of {path.name}"), "cpu")


def untrained(name: str) -> Any:
    """The upstream of a name as a small network with seeded weights."""
    weights = Weights("untrained", "untrained", "untrained-0", small=True)
    return UpstreamSpec.parse(name).load(weights, "cpu")


def saved(path: Path, contents: Mapping[str, Any]) -> Path:
    """The path of a checkpoint, once torch has written it."""
    torch.save(dict(contents), path)
    return path


# Files of the authors' own code.


def fill(name: str, shape: tuple[int, ...]) -> Tensor:
    """The rule by which the files were filled whose outputs are the reference numbers."""
    table = name.endswith("relative_attention_bias.weight")
    if table:  # one, listed under every layer
        name = "encoder.layers.0.self_attn.relative_attention_bias.weight"
    seed = zlib.crc32(name.encode()) % 10007
    r = 43758.5453 * np.sin(12.9898 * np.arange(1, math.prod(shape) + 1) + 0.618 * seed)
    u = (2 * (r - np.floor(r)) - 1).reshape(shape)
    last = name.split(".")[-1]
    if table:
        values = 0.5 * u
    elif last in ("A_log", "A_b_log"):
        values = np.log(np.arange(1, 17)) + 0.1 * u
    elif last in ("D", "D_b", "weight_g", "grep_a"):
        values = 1 + 0.1 * u
    elif name.endswith(("dt_proj.bias", "dt_proj_b.bias")):
        values = -1 + 0.5 * u
    elif last in ("cls_token", "dist_token", "pos_embed", "mask_embed"):
        values = 0.2 * u
    elif len(shape) == 1:
        values = 1 + 0.1 * u if last == "weight" else 0.05 * u
    else:
        values = u * np.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(values).float()


def filled(shapes: Shapes) -> State:
    """A state dict of these keys and shapes, filled by the rule."""
    return {name: fill(name, shape) for name, shape in shapes.items()}


def mixer_shapes(width: int, directions: Directions) -> Shapes:
    """The keys of a Mamba mixer and their shapes."""
    inner, rank = 2 * width, math.ceil(width / 16)
    keys: Shapes = {"in_proj.weight": (2 * inner, width), "out_proj.weight": (width, inner)}
    for side in ("", "_b") if directions == "bibi" else ("",):
        keys |= {f"conv1d{side}.weight": (inner, 1, 4), f"conv1d{side}.bias": (inner,)}
        keys |= {f"x_proj{side}.weight": (rank + 32, inner), f"D{side}": (inner,)}
        keys |= {f"dt_proj{side}.weight": (inner, rank), f"dt_proj{side}.bias": (inner,)}
    return keys | dict.fromkeys(("A_log",) if directions == "fofo" else ("A_log", "A_b_log"), (inner, 16))


def masked_prediction(width: int, frames: int) -> State:
    """What pre-training leaves in a file of SSAST or SSAMBA beside the network: the image's size, mask and heads."""
    keys: Shapes = {"module.mask_embed": (1, 1, width)}
    for head in ("module.cpredlayer", "module.gpredlayer"):
        for i, out in ((0, width), (2, 256)):
            keys |= {f"{head}.{i}.weight": (out, width), f"{head}.{i}.bias": (out,)}
    sizes = {"module.p_input_fdim": torch.tensor(128), "module.p_input_tdim": torch.tensor(frames)}
    return sizes | filled(keys)


def reference_weights(shared: Path, name: str, folder: Path) -> Path:
    """The checkpoint of reference tensors; where its tensors alone are given, it is written into ``folder``."""
    path = shared / "golden" / f"{name}.pth"
    if path.is_file():
        return path
    given = load_file(shared / "golden" / f"{name}.weights.safetensors")
    return saved(folder / f"{name}.pth", {key.removeprefix("weights/"): value for key, value in given.items()})


# Networks and folders of transformers.

#: Of encoders of the raw wave: a small one, and where its norms lie in either form.
SMALL = {
    **{"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48},
    **{"conv_dim": [8] * 7, "num_conv_pos_embedding_groups": 4, "mask_time_prob": 0.0},
}
GROUP = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def build(model: str, **config: Any) -> Any:
    """A small encoder of the raw wave, none of whose numbers is a usual one."""
    cls = getattr(transformers, model)
    # With gradients, torch's attention rounds otherwise.
    network = cls(cls.config_class(**{**SMALL, **config})).eval().requires_grad_(False)
    random = torch.Generator().manual_seed(3)
    for name, parameter in network.named_parameters():
        noise = torch.randn(parameter.shape, generator=random)
        fan_in = max(1, parameter[0].numel()) if parameter.ndim > 1 else 100
        parameter.copy_(noise / fan_in**0.5 + (1.0 if name.endswith(("norm.weight", "original0")) else 0.0))
    return network


def perturb(network: nn.Module) -> None:
    """Give every parameter other values than the usual zeros and ones."""
    with torch.no_grad():
        for seed, parameter in enumerate(network.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)), alpha=0.1)


def change(folder: Path, name: str = "config.json", /, **settings: Any) -> Path:
    """The folder, with other settings in one of its files."""
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **settings}))
    return folder
