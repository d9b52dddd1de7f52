"""LightHuBERT: HuBERT once for all sizes, of which a subnet is taken (Wang et al. 2022)."""

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from harness.cards import Card, Hub, Training, Weights, one_of
from harness.errors import UserError
from harness.models import check_keys

from ._wave import BASE, LAYER, SMALL, WaveEncoder, published

if TYPE_CHECKING:
    import torch
    from torch import Tensor

REPOSITORY = "mechanicalsea/lighthubert"
NORMS = LAYER | {"conv_bias": False, "do_stable_layer_norm": False}
#: Of the width that a file holds, how much each of its subnets takes: the largest, and the one in the middle of the
#: search space, which the authors' code takes unless told.
SUBNETS = {
    "base": {"max": Fraction(1), "middle": Fraction(5, 6)},
    "small": {"max": Fraction(2, 3), "middle": Fraction(1, 2)},
}


def _subnet(size: str, subnet: str) -> dict[str, Any]:
    width = int(768 * SUBNETS[size][subnet])
    sizes = {"hidden_size": width, "num_attention_heads": width // 64, "intermediate_size": 4 * width}
    return {**BASE, **sizes, **NORMS}


class LightHubert(WaveEncoder):
    """LightHuBERT (Wang et al. 2022), distilled from HuBERT's base model: the authors' file.

    Options: ``variant``, the file (``stage1`` is one network, from which the other two were trained); ``subnet``, the
    largest one in it or the ``middle`` one.
    """

    model = "HubertModel"
    variants = {
        "base": published(_subnet("base", "max"), 94.4, Hub(REPOSITORY, "lighthubert_base.pt")),
        "small": published(_subnet("small", "max"), 44.4, Hub(REPOSITORY, "lighthubert_small.pt")),
        "stage1": published(_subnet("base", "max"), 94.4, Hub(REPOSITORY, "lighthubert_stage1.pt")),
        "base-middle": published(_subnet("base", "middle"), 66.9, Hub(REPOSITORY, "lighthubert_base.pt")),
        "small-middle": published(_subnet("small", "middle"), 26.9, Hub(REPOSITORY, "lighthubert_small.pt")),
    }
    axes = (one_of("variant", "base", "small", "stage1", detected=True), one_of("subnet", "max", "middle"))
    card = Card(
        paper="arXiv 2203.15610",
        licence="MIT",
        training=Training("self-supervised", ("LibriSpeech",), note="distilled from HuBERT base"),
        homepage="https://github.com/mechanicalsea/lighthubert",
    )
    reads = ("file",)

    def __init__(
        self, weights: Weights, device: "torch.device", *, variant: str | None = None, subnet: str = "max"
    ) -> None:
        self.subnet, self.held = subnet, variant
        if subnet == "middle":
            self.small = SMALL | {"hidden_size": 64, "num_attention_heads": 1}
        if subnet == "middle" and variant == "stage1":
            raise UserError("lighthubert:stage1 is one network without subnets: write lighthubert:stage1")
        if subnet == "middle" and (variant or not weights.trained):
            variant = f"{variant or 'base'}-middle"
        super().__init__(weights, device, variant=variant)

    def contents(self, weights: Weights) -> tuple[dict[str, Any], dict[str, Any]]:
        """The tensors of the subnet, and the file's settings, which say whether it is ``stage1`` or holds subnets."""
        state, settings = super().contents(weights)
        if settings.get("_name") == "student_hubert":
            if settings.get("subnet", "max") != self.subnet:
                raise UserError(f"{weights.label} is one network without subnets: write lighthubert@FILE")
            self._hold(settings.get("variant", "stage1"))
            return state, settings
        space = str(settings.get("pruner_supernet")).lower().removesuffix(".yaml")
        size = next((size for size in SUBNETS if space.endswith(size)), None)
        if size is None:
            raise UserError(
                f"{weights.label} does not say which subnets it holds: its settings have no pruner_supernet that ends "
                f"in {' or '.join(SUBNETS)}"
            )
        self._hold(size)
        part = SUBNETS[size][self.subnet]
        return (state, settings) if part == 1 else _sliced(state, settings, part, weights.label)

    def container(self, state: "dict[str, Tensor]", *, normalised: bool) -> dict[str, Any]:
        """The subnet as one network, such as ``stage1`` is."""
        whole = super().container(state, normalised=normalised)
        whole["cfg"]["model"] |= {"_name": "student_hubert", "variant": self.held or "base", "subnet": self.subnet}
        return whole

    def _hold(self, found: Any) -> None:
        """Refuse a token that says what the file is not."""
        if self.held not in (None, found):
            raise UserError(
                f"{self.weights.label} is of lighthubert's {found!r}, but lighthubert:{self.held} was asked for: write "
                "lighthubert@FILE"
            )
        self.held = found


def _sliced(
    state: Mapping[str, Any], settings: Mapping[str, Any], part: Fraction, what: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The subnet that takes the leading ``part`` of every axis as wide as the stream.

    An axis several times as wide, which is that of the four blocks inside fc1 and fc2, gives the part of each block.

    Raises:
        UserError: there is no such part.
    """
    from torch import Tensor

    names = ("encoder.layer_norm.weight", "encoder.pos_conv.0.weight_g", "encoder.pos_conv.0.weight_v")
    check_keys(set(names) - set(state), (), what=what)
    norm, scale, positions = (state[name] for name in names)
    heads = settings.get("encoder_attention_heads")
    if [getattr(tensor, "ndim", 0) for tensor in (norm, scale, positions)] != [1, 3, 3]:
        raise UserError(f"{what} has {' or '.join(map(repr, names))} of another shape")
    width, per_group = len(norm), positions.shape[1]
    sizes = (width, per_group, heads if isinstance(heads, int) else width // 64)
    if 0 in sizes or any((size * part).denominator > 1 for size in sizes):
        raise UserError(f"{what} is {width} wide, of which no subnet takes {part}")

    def leading(tensor: Tensor) -> Tensor:
        for axis, size in enumerate(tensor.shape):
            if size % width == 0:
                blocks = tensor.unflatten(axis, (size // width, width))
                tensor = blocks.narrow(axis + 1, 0, int(width * part)).flatten(axis, axis + 1)
        return tensor.clone()

    own = ("encoder.layer", "encoder.pos_conv.0.bias", "post_extract_proj.")
    taken = {k: leading(v) if k.startswith(own) and isinstance(v, Tensor) else v for k, v in state.items()}
    # The weight is normed as a whole, then cut.
    weight = positions.float() * (scale.float() / positions.float().norm(dim=(0, 1), keepdim=True))
    weight = weight[: int(width * part), : int(per_group * part)].clone()
    taken[names[1]], taken[names[2]] = weight.norm(dim=(0, 1), keepdim=True), weight
    return taken, {**settings, "encoder_attention_heads": int(sizes[2] * part)}


UPSTREAM = LightHubert
