"""Targets as numbers: what heads are trained on, how many outputs they need, and their loss."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.types import KINDS, Class, Clip, Events, Slots, Tags, Target, Trials, Value

if TYPE_CHECKING:
    from torch import Tensor


def kind_of(target: Target) -> str:
    """The kind's name in :data:`harness.types.KINDS`."""
    return next(name for name, kind in KINDS.items() if isinstance(target, kind))


def encode(target: Target, clips: Sequence[Clip]) -> npt.NDArray[Any]:
    """The clips' targets as numbers.

    Class: (clip,) class numbers. Tags: (clip, label) 0 or 1, float32. Slots: (clip, slot) class numbers. Value:
    (clip,) float32. Trials: (clip,) numbers of speakers, in the order of their sorted names. Events: (clip,) objects,
    each the clip's tuple of events; :func:`frame_targets` spreads them over frames.
    """
    match target:
        case Class(labels):
            return _numbers(labels, [clip.target for clip in clips])
        case Trials():
            return _numbers(sorted({str(clip.target) for clip in clips}), [clip.target for clip in clips])
        case Slots(labels=labels):
            given = [clip.target for clip in clips]
            return np.stack([_numbers(names, [row[i] for row in given]) for i, names in enumerate(labels)], axis=1)  # type: ignore[index]
        case Tags(labels):
            column = {label: i for i, label in enumerate(labels)}
            y = np.zeros((len(clips), len(labels)), np.float32)
            for row, clip in enumerate(clips):
                y[row, [column[label] for label in clip.target]] = 1  # type: ignore[index, union-attr]
            return y
        case Value():
            return np.array([clip.target for clip in clips], np.float32)
        case Events():
            events = np.empty(len(clips), object)
            events[:] = [clip.target for clip in clips]
            return events


def _numbers(labels: Sequence[str], given: Sequence[Any]) -> npt.NDArray[np.int64]:
    number = {label: i for i, label in enumerate(labels)}
    return np.array([number[label] for label in given], np.int64)


def outputs(target: Target, y: npt.NDArray[Any]) -> int:
    """How many numbers a head gives for a clip (or a frame); ``y`` as :func:`encode` gives it."""
    match target:
        case Class(labels) | Tags(labels) | Events(labels):
            return len(labels)
        case Slots(labels=labels):
            return sum(map(len, labels))
        case Value():
            return 1
        case Trials():
            return int(y.max()) + 1


def slices(target: Slots) -> list[slice]:
    """Which outputs belong to each slot."""
    ends = np.cumsum([0, *map(len, target.labels)]).tolist()
    return [slice(a, b) for a, b in pairwise(ends)]


def loss(target: Target, out: "Tensor", y: "Tensor") -> "Tensor":
    """The mean loss of outputs (clip, output).

    Class: cross-entropy. Slots: the sum of the slots' cross-entropies. Tags, and frames (frame, output) of events:
    binary cross-entropy. Value: squared error.
    """
    return losses(target, out.T[None], y[None])[0]


def losses(target: Target, out: "Tensor", y: "Tensor") -> "Tensor":
    """The mean loss of every fit, (fit,), of outputs (fit, output, clip) and targets (fit, clip, ...)."""
    from torch.nn import functional

    match target:
        case Class() | Trials():
            return functional.cross_entropy(out, y, reduction="none").mean(1)
        case Slots():
            slots = enumerate(slices(target))
            each = [functional.cross_entropy(out[:, s], y[..., i], reduction="none").mean(1) for i, s in slots]
            return each[0] if len(each) == 1 else sum(each[1:], each[0])
        case Tags() | Events():
            wanted = y.transpose(1, 2)
            return functional.binary_cross_entropy_with_logits(out, wanted, reduction="none").mean((1, 2))
        case Value():
            return (out[:, 0] - y).square().mean(1)
