"""Features as a head sees them: one array of pooled layers, or the frames of every clip."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """Features of some clips on the CPU, float32.

    ``x`` is (clip, layer, width) of pooled layers or (clip, frame, layer, width) of frames, zeros where a clip has
    ended; ``mask`` (clip, frame) is False there, or None where every frame counts.
    """

    x: "Tensor"
    mask: "Tensor | None" = None


class Scale(NamedTuple):
    """What is taken from each feature (layer, width), and what the rest is then multiplied with; float64."""

    shift: npt.NDArray[np.float64]
    factor: npt.NDArray[np.float64]

    @classmethod
    def of(cls, mean: npt.NDArray[np.float64], std: npt.NDArray[np.float64]) -> "Scale":
        """To mean 0 and variance 1; what does not move, beyond what rounding makes of a constant, becomes 0."""
        moves = std > 1e-6 * np.abs(mean).clip(min=1e-6)
        return cls(mean, np.where(moves, 1 / np.where(std > 0, std, 1), 0))

    def tensors(self, device: str) -> "tuple[Tensor, Tensor]":
        """Both as float32 on a device."""
        import torch

        return torch.from_numpy(self.shift).float().to(device), torch.from_numpy(self.factor).float().to(device)


class Examples(ABC):
    """What a head learns from, one by one: clips, or frames."""

    @property
    @abstractmethod
    def layers(self) -> int:
        """The number of layers."""

    @property
    @abstractmethod
    def width(self) -> int:
        """The width of each layer."""

    @abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abstractmethod
    def batch(self, rows: Rows) -> Batch:
        """Some of them, as tensors."""


class Features(Examples):
    """What there is to learn from, clip by clip."""

    @abstractmethod
    def rows(self, rows: Rows) -> "Features":
        """Those of some clips, in that order."""

    @abstractmethod
    def scale(self, by: Rows) -> Scale:
        """What gives every feature mean 0 and variance 1 over the clips ``by``; a constant feature becomes 0."""

    @abstractmethod
    def scaled(self, scale: Scale) -> "Features":
        """The same, shifted and scaled."""


@dataclass(frozen=True)
class Pooled(Features):
    """Layers that are averaged over time: of ``whole`` (clip, layer, width) the clips ``picked``, or all.

    Nothing is copied: ``picked`` and ``by`` are applied when numbers are asked for.
    """

    whole: Array
    picked: Rows | None = None
    by: Scale | None = None

    @property
    def array(self) -> Array:
        """(clip, layer, width)."""
        return self._scaled(self.whole if self.picked is None else self.whole[self.picked])

    @property
    def layers(self) -> int:
        """The number of layers."""
        return int(self.whole.shape[1])

    @property
    def width(self) -> int:
        """The width of a layer."""
        return int(self.whole.shape[2])

    @property
    def vectors(self) -> Array:
        """(clip, width), where there is one layer only."""
        if self.layers != 1:
            raise ValueError(f"there are {self.layers} layers, and one vector per clip is asked for")
        out: Array = self.array[:, 0]
        return out

    def __len__(self) -> int:
        return len(self.whole if self.picked is None else self.picked)

    def rows(self, rows: Rows) -> "Pooled":
        """Those of some clips."""
        return replace(self, picked=rows if self.picked is None else self.picked[rows])

    def batch(self, rows: Rows) -> Batch:
        """Those of some clips, as a tensor."""
        import torch

        return Batch(torch.from_numpy(self._scaled(self.whole[rows if self.picked is None else self.picked[rows]])))

    def scale(self, by: Rows) -> Scale:
        """Over the clips ``by``."""
        some = self.rows(by).array
        return Scale.of(some.mean(0, dtype=np.float64), some.std(0, dtype=np.float64))

    def scaled(self, scale: Scale) -> "Pooled":
        """The same, shifted and scaled."""
        if self.by is not None:
            raise ValueError("these layers are scaled already")
        return replace(self, by=scale)

    def _scaled(self, x: Array) -> Array:
        if self.by is None:
            return x
        # In float32, which is what comes out of it: the shift is rounded once, no more than the features were.
        return (x - self.by.shift.astype(np.float32)) * self.by.factor.astype(np.float32)


@dataclass(frozen=True)
class Frames(Features):
    """Every frame of some layers.

    ``clips`` has for each clip, and for each layer, tensors (frame, width) of any float type that are put side by
    side; ``by`` is applied when a batch is made.
    """

    clips: "Sequence[Sequence[Sequence[Tensor]]]"
    by: Scale | None = None

    @cached_property
    def layers(self) -> int:
        """The number of layers."""
        return len(self.clips[0])

    @cached_property
    def width(self) -> int:
        """The width of a layer."""
        return sum(part.shape[1] for part in self.clips[0][0])

    def __len__(self) -> int:
        return len(self.clips)

    def length(self, clip: int) -> int:
        """How many frames a clip has."""
        return len(self.clips[clip][0][0])

    def rows(self, rows: Rows) -> "Frames":
        """Those of some clips."""
        return Frames([self.clips[i] for i in rows.tolist()], self.by)

    def batch(self, rows: Rows) -> Batch:
        """Those of some clips, short ones filled up with zeros."""
        import torch

        lengths = torch.tensor([self.length(i) for i in rows.tolist()])
        longest = int(lengths.max())
        x = torch.zeros(len(rows), longest, self.layers, self.width)
        for row, i in enumerate(rows.tolist()):
            x[row, : lengths[row]] = self.part(i)
        return Batch(x, None if bool((lengths == longest).all()) else torch.arange(longest) < lengths[:, None])

    def part(self, clip: int, frames: "Tensor | None" = None) -> "Tensor":
        """One clip, or some of its frames: (frame, layer, width)."""
        import torch

        def some(part: "Tensor") -> "Tensor":
            return (part if frames is None else part[frames]).float()

        x = torch.stack([torch.cat([some(part) for part in layer], dim=1) for layer in self.clips[clip]], dim=1)
        if self.by is None:
            return x
        shift, factor = map(torch.from_numpy, self.by)
        return ((x - shift) * factor).float()

    def scale(self, by: Rows) -> Scale:
        """Over all frames of the clips ``by``."""
        count, total, squares = 0, np.zeros(1), np.zeros(1)
        for i in by.tolist():
            x = self.part(i).double().numpy()
            count, total, squares = count + len(x), total + x.sum(0), squares + np.square(x).sum(0)
        mean = total / count
        return Scale.of(mean, np.sqrt((squares / count - mean**2).clip(min=0)))

    def scaled(self, scale: Scale) -> "Frames":
        """The same, shifted and scaled."""
        if self.by is not None:
            raise ValueError("these frames are scaled already")
        return Frames(self.clips, scale)


@dataclass(frozen=True)
class FlatFrames(Examples):
    """Every frame as an example of its own, clip after clip; ``frames`` holds the clips."""

    frames: Frames

    @property
    def layers(self) -> int:
        """The number of layers."""
        return self.frames.layers

    @property
    def width(self) -> int:
        """The width of a layer."""
        return self.frames.width

    @cached_property
    def ends(self) -> Rows:
        """After how many frames each clip ends."""
        return np.cumsum([self.frames.length(i) for i in range(len(self.frames))])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def batch(self, rows: Rows) -> Batch:
        """(frame, layer, width) of some frames."""
        import torch

        clip = np.searchsorted(self.ends, rows, side="right")
        x = torch.empty(len(rows), self.layers, self.width)
        for i in np.unique(clip).tolist():
            mine = np.flatnonzero(clip == i)
            first = self.ends[i] - self.frames.length(i)
            x[torch.from_numpy(mine)] = self.frames.part(i, torch.from_numpy(rows[mine] - first))
        return Batch(x)
