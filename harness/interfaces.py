"""Interfaces: how a head sees an upstream's layers.

``last`` is the authors' final output, ``layer:K`` the output of block K (0 is the input of block 1), ``best-layer``
the layer that a split's own validation folds like best, ``weighted-sum`` a learned softmax-weighted sum of layers 0
to L (SUPERB; ``final`` is not in it).
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from harness.errors import UserError, choices

Array = npt.NDArray[np.float32]

INTERFACES = {
    "best-layer": "each layer by itself; every split's validation folds choose",
    "last": "what the authors use: the final output",
    "layer:K": "the output of block K; layer:0 is the input of block 1",
    "weighted-sum": "a softmax-weighted sum of layers 0 to L, learned with the head (SUPERB)",
}


def check_interface(name: str) -> None:
    """Refuse a name that is no interface.

    Raises:
        UserError: it is none.
    """
    if name not in INTERFACES and not re.fullmatch(r"layer:\d+", name):
        raise UserError(f"there is no interface {name!r}: {choices(name, INTERFACES)}")


def check_layer(name: str, widths: Sequence[int]) -> None:
    """Refuse a layer, or a sum of layers, that an upstream with layers of these widths cannot give.

    Raises:
        UserError: there is no such layer, or the widths are unequal where equal ones are needed.
    """
    if name.startswith("layer:") and int(name.removeprefix("layer:")) >= len(widths):
        raise UserError(
            f"there is no layer {name.removeprefix('layer:')}: this upstream has layers 0 to {len(widths) - 1}"
        )
    if name == "weighted-sum" and len(set(widths)) > 1:
        raise UserError(
            "weighted-sum needs layers of one width, and this upstream's differ: use best-layer, last or layer:K"
        )


def present(name: str, layers: Mapping[str, Array]) -> dict[str, Array]:
    """What a head may choose from: a label, and an array (clip, layer, width), for each.

    Raises:
        UserError: the upstream has no such layer, or layers of unequal width where equal ones are needed.
    """
    numbered = [layer for layer in layers if layer != "final"]
    check_layer(name, [layers[label].shape[1] for label in numbered])
    if name == "best-layer":
        # Where nothing follows the last block, `final` is that block's output again.
        kept = numbered if np.array_equal(layers["final"], layers[numbered[-1]]) else list(layers)
        return {label: layers[label][:, None] for label in kept}
    if name == "last":
        return {"final": layers["final"][:, None]}
    if name == "weighted-sum":
        return {f"0..{len(numbered) - 1}": np.stack([layers[label] for label in numbered], axis=1)}
    label = str(int(name.removeprefix("layer:")))
    return {label: layers[label][:, None]}
