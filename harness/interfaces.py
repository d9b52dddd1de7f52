"""Interfaces: how a head sees an upstream's layers.

``last`` is the authors' final output, ``layer:K`` the output of block K (0 is the input of block 1), ``best-layer``
the layer that a split's own validation folds like best, ``weighted-sum`` a learned softmax-weighted sum of layers 0
to L (SUPERB; ``final`` is not in it).
"""

import re
from collections.abc import Mapping

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


def present(name: str, layers: Mapping[str, Array]) -> dict[str, Array]:
    """What a head may choose from: a label, and an array (clip, layer, width), for each.

    Raises:
        UserError: the upstream has no such layer, or layers of unequal width where equal ones are needed.
    """
    numbered = [layer for layer in layers if layer != "final"]
    if name == "best-layer":
        return {label: layer[:, None] for label, layer in layers.items()}
    if name == "last":
        return {"final": layers["final"][:, None]}
    if name == "weighted-sum":
        if len({layers[label].shape[1] for label in numbered}) > 1:
            raise UserError(
                "weighted-sum needs layers of one width, and this upstream's differ: use best-layer, last or layer:K"
            )
        return {f"0..{len(numbered) - 1}": np.stack([layers[label] for label in numbered], axis=1)}
    label = name.removeprefix("layer:")
    if label not in layers:
        raise UserError(f"there is no layer {label}: this upstream has the layers 0 to {len(numbered) - 1}")
    return {label: layers[label][:, None]}
