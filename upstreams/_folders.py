"""What the upstreams share that are a network of transformers' behind a front end with settings.

A folder in the hub's layout holds both: ``config.json`` tells the network, ``preprocessor_config.json`` the front end.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.cards import Variant, Weights
from harness.errors import UserError
from harness.models import Upstream

from ._transformers import read_json, save_folder

if TYPE_CHECKING:
    import torch

FILE = "preprocessor_config.json"


class Parts(NamedTuple):
    """A network, the settings of its front end, and what was found in their folder."""

    network: Any
    settings: Mapping[str, Any]
    found: Mapping[str, Any]


class FolderUpstream(Upstream):
    """A network of transformers' behind a front end with settings."""

    reads = ("folder",)

    def __init__(self, weights: Weights, device: "torch.device", parts: Parts) -> None:
        super().__init__(weights, device)
        self.network = parts.network.eval().requires_grad_(False).to(device)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.settings = parts.settings
        self.found = {"front end": dict(parts.settings), **parts.found}

    def save(self, path: Path) -> None:
        """Write a folder as the hub has it, without what loading leaves out."""
        save_folder(self.network, path, self.settings)


def read_settings(
    weights: Weights, published: Mapping[str, Any], *, taken: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A folder's settings of these names, the published model's where it has none; and which those are.

    Raises:
        UserError: a setting is nothing like the published one, or not what the network takes.
    """
    given = read_json(weights, FILE)
    settings = {name: given.get(name, usual) for name, usual in published.items()}
    for name, value in settings.items():
        if not _is_like(value, published[name]):
            raise UserError(f"{FILE} of {weights.label} has {name} {value!r}, where {published[name]!r} is usual")
        if value != taken.get(name, value):
            raise UserError(f"{FILE} of {weights.label} has {name} {value!r}, but the network takes {taken[name]!r}")
    return settings, {"as published": sorted({*published} - {*given})}


def check_variant(weights: Weights, config: Any, variant: Variant | None, *, name: str) -> None:
    """Refuse a folder that is not of the size that its token says.

    Raises:
        UserError: its configuration differs from the variant's.
    """
    for key, due in ({} if variant is None else variant.config).items():
        found = getattr(config, key)
        if _plain(found) != _plain(due):
            raise UserError(
                f"{weights.label} has {key} {_plain(found)}, but {name} has {_plain(due)}: "
                f"write {name.partition(':')[0]}@FOLDER"
            )


def centre_of(convolutions: Iterable[tuple[Any, int]]) -> Fraction:
    """The middle, in samples, of what the first frame of convolutions hears: each with the zeros on its left."""
    centre, hop = Fraction(1, 2), 1
    for convolution, left in convolutions:
        (size,), (stride,), (dilation,) = convolution.kernel_size, convolution.stride, convolution.dilation
        centre += hop * (Fraction((size - 1) * dilation, 2) - left)
        hop *= stride
    return centre


def by_part(keys: Iterable[str]) -> dict[str, Any]:
    """The ignored keys by their first two parts, with how many there are: a decoder has hundreds."""
    count = Counter(".".join(key.split(".")[:2]) for key in keys)
    return {"ignored keys": [part if many == 1 else f"{part}.* ({many})" for part, many in sorted(count.items())]}


def _is_like(value: Any, usual: Any) -> bool:
    """Whether a setting is of the usual type; a count is at most a hundred times as large."""
    if isinstance(usual, float):
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is type(usual) and (type(usual) is not int or 0 < value <= 100 * usual)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
