"""The upstream contract: a frozen model that turns waves into layers."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from harness.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

#: Raise it when a change of the code moves features: they are then made anew.
REVISION = "1"


@dataclass(frozen=True)
class Axis:
    """One axis of an upstream's name: in ``ssamba:tiny-s10`` the size is ``tiny`` and the stride is ``s10``.

    ``option`` is the constructor's keyword and ``tokens`` maps each token to the value it passes, default first.
    ``number`` is a letter that, followed by digits, passes that number: with ``number="t"`` the token ``t512`` passes
    512. ``detected`` says that a checkpoint file tells this by itself.
    """

    option: str
    tokens: Mapping[str, Any] = field(default_factory=dict)
    number: str = ""
    detected: bool = False

    def knows(self, token: str) -> bool:
        """Whether the token picks on this axis."""
        return token in self.tokens or bool(self.number and re.fullmatch(rf"{self.number}\d+", token))

    def value(self, token: str) -> Any:
        """What the token passes to the constructor."""
        return self.tokens[token] if token in self.tokens else int(token.removeprefix(self.number))

    def examples(self) -> tuple[str, ...]:
        """The tokens, and one example of a number."""
        return (*self.tokens, *([f"{self.number}512"] if self.number else []))


@dataclass(frozen=True)
class Card:
    """Where a model comes from: ``training`` names the data it has seen, so that contamination can be marked."""

    paper: str
    licence: str
    training: str
    homepage: str = ""


@dataclass(frozen=True)
class HubFile:
    """A published checkpoint on the Hugging Face hub."""

    repo: str
    filename: str
    revision: str | None = None


@dataclass(frozen=True)
class Weights:
    """Where an upstream's parameters come from.

    ``label`` is what results show (a base name, never a path); ``identity`` is what the store's keys hold (a content
    hash).
    """

    kind: Literal["none", "untrained", "file"]
    label: str = ""
    identity: str = "none"
    path: Path | None = None

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Build a network inside this block: its random initial values are the same every time."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield

    def state_dict(self) -> dict[str, Any]:
        """The checkpoint's contents, read without running anything that is in it."""
        from harness.checkpoint import read_checkpoint

        assert self.path is not None, "only weights of kind 'file' have a state dict"
        return read_checkpoint(self.path)


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
    has_weights: ClassVar[bool] = True
    #: Raise it when a change of the code moves the output: stored features are then made anew.
    revision: ClassVar[str]
    #: Hz; waves arrive at this rate.
    sample_rate: ClassVar[int]
    #: Whole-clip normalisation of a wave (clip, sample); it runs before a long clip is cut in windows.
    normalise: Callable[["Tensor"], "Tensor"] = staticmethod(as_they_are)
    #: How frames become one vector unless asked otherwise: ``mean`` or ``mean-ln`` (see :mod:`harness.views`).
    view: ClassVar[str] = "mean"
    #: Whether padding a clip, even with a mask, moves its features. Batches hold clips of one length either way.
    padding_changes_output: ClassVar[bool] = True

    #: Width of each numbered layer, then of ``final``.
    widths: tuple[int, ...]
    final_width: int
    #: Frames per second; None for one frame per clip.
    frame_rate: Fraction | None
    #: Time of the centre of frame 0, in seconds.
    frame_offset: Fraction = Fraction(0)
    #: Samples. :meth:`forward` pads clips below ``shortest`` as the authors do; extraction cuts clips above
    #: ``longest``.
    shortest: int = 1
    longest: int | None = None
    #: How many numbers the network has.
    parameters: int = 0
    #: What was found while loading, such as a detected norm or ignored keys.
    found: Mapping[str, Any] = {}

    def __init__(self, weights: Weights, device: "torch.device") -> None:
        """Subclasses take one more keyword for each axis, and build their network on ``device``."""
        self.weights, self.device = weights, device

    @abstractmethod
    def forward(self, wave: "Tensor") -> Layers:
        """Turn a normalised wave (clip, sample), float32 on :attr:`device`, into :class:`Layers`."""

    @classmethod
    def published(cls, **options: Any) -> HubFile | None:
        """The checkpoint that a name without ``@`` means; None where the authors published none on the hub."""
        return None

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
        with _exactly(self.device):
            return self.forward(self.normalise(wave.to(self.device, torch.float32)))

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
        count = math.ceil(samples / self.longest)
        length = math.ceil(samples / count)
        starts = [round(i * (samples - length) / (count - 1)) for i in range(count)]
        with _exactly(self.device):
            whole = self.normalise(wave.to(self.device, torch.float32))
            windows = torch.stack([whole[:, s : s + length] for s in starts], dim=1).flatten(0, 1)
            parts = Layers.join([self.forward(part) for part in windows.split(clips_at_once)], dim=0)

        def in_time(layer: "Tensor") -> "Tensor":
            return layer.reshape(len(wave), -1, layer.shape[-1])

        return Layers(tuple(map(in_time, parts.hidden)), in_time(parts.final))


@contextmanager
def _exactly(device: "torch.device") -> Iterator[None]:
    """No gradients, and on a GPU no convolutions in TF32, whose three digits a deep stream multiplies."""
    import torch

    with torch.no_grad():
        if device.type == "cuda":
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                yield
        else:
            yield


def load_strictly(network: "nn.Module", state: Mapping[str, Any], *, what: str) -> None:
    """Load every key of ``state`` into ``network``, and none other.

    Raises:
        UserError: a key is missing, left over or of another shape; the sentence names the first.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(getattr(tensor, "shape", ("no tensor",))) for name, tensor in state.items()}
    for name, shape in expected.items():
        if name not in given:
            raise UserError(f"{what} lacks the key {name!r}: it is a checkpoint of another model")
        if given[name] != shape:
            raise UserError(f"{what} has {name!r} of shape {given[name]}, where {shape} is expected")
    if extra := sorted(set(given) - set(expected)):
        raise UserError(f"{what} has {len(extra)} keys that this model does not know, such as {extra[0]!r}")
    network.load_state_dict(dict(state))
