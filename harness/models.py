"""The upstream contract: a frozen model that turns waves into layers."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, final

from harness.cards import Axis, Card, Source, Training, Variant, Weights
from harness.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

#: Raise it when a change of the code moves features: they are then made anew.
REVISION = "1"


@dataclass(frozen=True)
class Layers:
    """What an upstream makes of a batch of clips of one length.

    ``hidden[0]`` is the input of the first block, ``hidden[i]`` the output of block i, as they are (no norm added);
    ``final`` is what the authors use. Each is (clip, frame, width); widths may differ between layers.
    """

    hidden: "tuple[Tensor, ...]"
    final: "Tensor"

    def named(self) -> "Iterator[tuple[str, Tensor]]":
        """``("0", hidden[0]) ... ("L", hidden[L]), ("final", final)``."""
        for index, layer in enumerate(self.hidden):
            yield str(index), layer
        yield "final", self.final

    def float(self) -> "Layers":
        """The same in float32."""
        return Layers(tuple(layer.float() for layer in self.hidden), self.final.float())

    @staticmethod
    def join(parts: "list[Layers]", dim: int) -> "Layers":
        """Concatenate along clips (``dim=0``) or frames (``dim=1``)."""
        import torch

        hidden = zip(*(part.hidden for part in parts), strict=True)
        return Layers(tuple(torch.cat(layer, dim) for layer in hidden), torch.cat([p.final for p in parts], dim))


def as_they_are(wave: "Tensor") -> "Tensor":
    """No whole-clip normalisation."""
    return wave


class Upstream(ABC):
    """A frozen model. Subclass it in one file, implement :meth:`forward`, set the attributes below.

    The constructor is called as ``cls(weights, device, **options)`` with one option for each axis that the name
    mentions.
    """

    axes: ClassVar[tuple[Axis, ...]] = ()
    card: ClassVar[Card]
    #: The published models by the tokens that pick them, default first.
    variants: ClassVar[Mapping[str, Variant]] = MappingProxyType({})
    #: What weights it reads: a ``file``, a ``folder``, either, or none.
    reads: ClassVar[tuple[str, ...]] = ("file",)
    #: Raise it when a change of the code moves the output: stored features are then made anew.
    revision: ClassVar[str]
    #: Whole-clip normalisation of a wave (clip, sample); it runs before a long clip is cut in windows.
    normalise: Callable[["Tensor"], "Tensor"] = staticmethod(as_they_are)
    #: How frames become one vector unless asked otherwise: ``mean`` or ``mean-ln`` (see :mod:`harness.views`).
    view: ClassVar[str] = "mean"
    #: Whether zeros at a clip's end move its own frames. Batches hold clips of one length either way.
    padding_changes_output: bool = True
    #: Lower precisions that it runs in, and how far each may move a layer: the norm of the change over the layer's.
    dtypes: Mapping[str, float] = MappingProxyType({"bfloat16": 0.1, "float16": 0.02})

    #: Hz; waves arrive at this rate.
    sample_rate: int
    #: Width of each numbered layer, then of ``final``.
    widths: tuple[int, ...]
    final_width: int
    #: Frames per second; None for one frame per clip.
    frame_rate: Fraction | None
    #: How many tokens its blocks hear for each frame: patches above each other make one frame.
    tokens_per_frame: int = 1
    #: Time of the centre of frame 0, in seconds.
    frame_offset: Fraction = Fraction(0)
    #: Samples. :meth:`forward` pads clips below ``shortest`` as the authors do; extraction cuts clips above
    #: ``longest``.
    shortest: int = 1
    longest: int | None = None
    #: How many numbers the network has.
    parameters: int = 0
    #: What was found while loading, such as a detected norm or ignored keys.
    found: Mapping[str, Any] = MappingProxyType({})
    #: What a checkpoint tells of its own training, over the card: a head of labels, for one.
    training: Training | None = None
    #: Samples that every clip is filled to, however short: what it really costs in a batch.
    filled: int = 0
    #: ``float32``, or one of :attr:`dtypes`: then matrix products and convolutions run in it, features stay float32.
    dtype: str = "float32"

    def __init__(self, weights: Weights, device: "torch.device") -> None:
        """Subclasses take one more keyword for each axis, and build their network on ``device``."""
        self.weights, self.device = weights, device

    @abstractmethod
    def forward(self, wave: "Tensor") -> Layers:
        """Turn a normalised wave (clip, sample), float32 on :attr:`device`, into :class:`Layers`."""

    @classmethod
    def published(cls, **options: Any) -> Source | None:
        """Where the weights are that a name without ``@`` means: by default the source of the variant that the option
        ``variant`` picks."""
        picked = options.get("variant", next(iter(cls.variants), ""))
        return cls.variants[picked].source if picked in cls.variants else None

    @classmethod
    def revision_of(cls, weights: Weights) -> str:
        """The revision of what runs these weights; known without loading them."""
        return cls.revision

    def save(self, path: Path) -> None:
        """Write the weights in the form in which they are published, which :attr:`reads` names.

        Optional: the contract's checks of checkpoints need it.
        """
        raise NotImplementedError

    @final
    def encode(self, wave: "Tensor") -> Layers:
        """Encode clips of one length, (clip, sample) at :attr:`sample_rate`, in one piece, however long they are.

        Raises:
            UserError: the wave has another shape, no samples, or samples that are not finite.
        """
        import torch

        if wave.ndim != 2 or not wave.is_floating_point() or 0 in wave.shape:
            raise UserError(f"encode takes floats of shape (clip, sample), not {wave.dtype} {tuple(wave.shape)}")
        if not torch.isfinite(wave).all():
            raise UserError("encode was given samples that are not finite (NaN or infinity)")
        return self.encode_unseen(wave)

    @final
    def encode_unseen(self, wave: "Tensor") -> Layers:
        """Like :meth:`encode`, without a look at the samples: a wave that is but a shape can be followed as well."""
        import torch

        with self._computing():
            return self.forward(self.normalise(wave.to(self.device, torch.float32))).float()

    @final
    def encode_in_windows(self, wave: "Tensor", clips_at_once: int = 16) -> Layers:
        """Like :meth:`encode`, but clips above :attr:`longest` are normalised whole, then cut in equal windows.

        Neighbouring windows overlap by less than one sample per window, so that all have the same length and nothing
        is lost; their frames follow each other. ``clips_at_once`` bounds how many windows are encoded together.
        """
        import torch

        samples = wave.shape[-1]
        if self.longest is None or samples <= self.longest:
            return self.encode(wave)
        starts, length = self._windows(samples)
        with self._computing():
            whole = self.normalise(wave.to(self.device, torch.float32))
            windows = torch.stack([whole[:, s : s + length] for s in starts], dim=1).flatten(0, 1)
            parts = Layers.join([self.forward(part) for part in windows.split(clips_at_once)], dim=0)

        def in_time(layer: "Tensor") -> "Tensor":
            return layer.reshape(len(wave), -1, layer.shape[-1])

        return Layers(tuple(map(in_time, parts.hidden)), in_time(parts.final)).float()

    @final
    def frame_times(self, samples: int, frames: int) -> "NDArray[np.float64]":
        """Where each of a clip's frames from :meth:`encode_in_windows` has its centre, in seconds (frame,).

        Raises:
            ValueError: this upstream gives one frame a clip.
        """
        import numpy as np

        if self.frame_rate is None:
            raise ValueError("one frame a clip has no times")
        starts, _ = self._windows(samples)
        within = float(self.frame_offset) + np.arange(frames // len(starts)) / float(self.frame_rate)
        return np.concatenate([start / self.sample_rate + within for start in starts])

    def _windows(self, samples: int) -> tuple[list[int], int]:
        """Where the equal windows of a clip begin, and how long each is, in samples."""
        count = 1 if self.longest is None else math.ceil(samples / self.longest)
        length = math.ceil(samples / count)
        return [round(i * (samples - length) / max(1, count - 1)) for i in range(count)], length

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """No gradients, the dtype asked for, and no convolutions in TF32, whose three digits a deep stream
        multiplies."""
        import torch

        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            if self.device.type == "cuda":
                # For the whole process: threads share the flag, so none may put it back while another computes.
                torch.backends.cudnn.allow_tf32 = False
            if self.dtype != "float32":
                stack.enter_context(torch.autocast(self.device.type, getattr(torch, self.dtype)))
            yield


def load_strictly(
    network: "nn.Module", state: Mapping[str, Any], *, what: str, ignored: str | None = None
) -> list[str]:
    """Load every key of ``state`` into ``network``, and none other; gives the keys that match the pattern ``ignored``
    and were left out.

    Raises:
        UserError: keys are missing, left over or of another shape; the sentence names them.
    """
    left_out = sorted(name for name in state if ignored and re.match(ignored, name))
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: _shape(x) for name, x in state.items() if name not in left_out}
    check_keys(set(expected) - set(given), set(given) - set(expected), what=what)
    for name, shape in expected.items():
        if given[name] != shape:
            raise UserError(f"{what} has {name!r} of shape {given[name]}, where {shape} is expected")
    network.load_state_dict({name: state[name] for name in expected})
    return left_out


def _shape(value: Any) -> tuple[Any, ...]:
    """The shape of a dense tensor of real numbers on the CPU; of anything else what it is."""
    import torch

    if not isinstance(value, torch.Tensor):
        return ("no tensor",)
    plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    return tuple(value.shape) if plain and not value.is_complex() else ("no plain tensor",)


def check_keys(missing: Collection[str], extra: Collection[str], *, what: str) -> None:
    """Refuse a checkpoint that lacks keys or has keys that the model does not know.

    Raises:
        UserError: so it is; the sentence names the first of them.
    """
    if missing:
        raise UserError(f"{what} lacks {_names(missing)}: it is a checkpoint of another model, or damaged")
    if extra:
        raise UserError(f"{what} has {_names(extra)}, which this model does not know")


def _names(keys: Collection[str]) -> str:
    shown = ", ".join(map(repr, sorted(keys)[:3]))
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return f"the key{'s' * (len(keys) > 1)} {shown}{more}"
