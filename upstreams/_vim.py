"""The networks of SSAMBA and AuM: Vision Mamba blocks, in bidirectional pairs or one after another.

Source: Zhu et al. 2024 (Vision Mamba), Shams et al. 2024 (SSAMBA), Erol et al. 2024 (AuM), and the code published with
them. Keys are named as in the checkpoints.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import _convolution, _scan
from ._linear import linear
from ._patches import PATCH, adapt_positions, grid_of

STATE = 16
TAPS = 4

#: How a mixer reads its sequence, in the words of AuM: forwards only; forwards with states that also run backwards
#: ("v1" in checkpoints' code); or in two directions with weights for each ("v2").
Directions = Literal["fofo", "fobi", "bibi"]


class Shape(NamedTuple):
    """What tells one network from another: width, number of mixers, norm, the patch grid of its position table, and
    the mixers' directions."""

    width: int
    depth: int
    norm: type[nn.Module]
    grid: tuple[int, int]
    directions: Directions = "bibi"


class Mixer(nn.Module):
    """A selective state space model, (clip, token, width) to the same."""

    def __init__(self, width: int, directions: Directions = "bibi") -> None:
        super().__init__()
        inner, rank = 2 * width, math.ceil(width / 16)
        self.directions = directions
        self.sides = ("", "_b") if directions == "bibi" else ("",)
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        for side in self.sides:
            self.register_module(f"conv1d{side}", nn.Conv1d(inner, inner, TAPS, groups=inner))
        for side in self.sides:
            self.register_module(f"x_proj{side}", nn.Linear(inner, rank + 2 * STATE, bias=False))
        for side in self.sides:
            self.register_module(f"dt_proj{side}", nn.Linear(rank, inner))
            self.register_parameter(f"D{side}", nn.Parameter(torch.ones(inner)))
        for states in ("A_log",) if directions == "fofo" else ("A_log", "A_b_log"):
            # At first, the states decay at the rates 1 to 16.
            rates = torch.arange(1.0, STATE + 1).log().repeat(inner, 1)
            self.register_parameter(states, nn.Parameter(rates))
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, *, reverse: bool = False) -> Tensor:
        """All directions share the gate and the projection out; in ``reverse``, each runs the other way.

        In Fo-Bi, the scan from the end reads the same convolved sequence, and both scans are added. In Bi-Bi, the
        second convolution looks ahead, and the sum is halved.
        """
        x, gate = (linear(x, weight) for weight in self.in_proj.weight.chunk(2))
        ways = [reverse, not reverse]
        convolved = _convolution.convolve(x, *map(self._filter, self.sides, ways))
        scans = [self._scan(*each) for each in zip(convolved, self.sides, ways, strict=False)]
        if self.directions == "fobi":
            scans.append(scans[0]._replace(A=-torch.exp(self.get_parameter("A_b_log")), reverse=not reverse))
        out = linear(_scan.selective_scan(*scans, gate=gate), self.out_proj.weight)
        return out / 2 if self.directions == "bibi" else out

    def _filter(self, side: str, reverse: bool) -> _convolution.Filter:
        conv = getattr(self, f"conv1d{side}")
        return _convolution.Filter(conv.weight, conv.bias, reverse)

    def _scan(self, u: Tensor, side: str, reverse: bool) -> _scan.Scan:
        """What one side scans, projected from its convolved sequence (clip, token, inner width).

        It is float32 in lower precisions as well: there, the authors' kernel adds the steps' bias and takes their
        softplus in float32.
        """
        project, step = getattr(self, f"x_proj{side}"), getattr(self, f"dt_proj{side}")
        dt, b, c = linear(u, project.weight).split([step.in_features, STATE, STATE], dim=-1)
        with torch.autocast(u.device.type, enabled=False):
            dt, b, c = (y.to(u.dtype) for y in (dt, b, c))
            a = -torch.exp(getattr(self, "A_b_log" if side else "A_log"))
            delta = linear(dt, step.weight)
        return _scan.Scan(u, delta, a, b, c, getattr(self, f"D{side}"), step.bias, reverse)

    def initialise(self) -> None:
        """Mamba's initial steps: between 0.001 and 0.1, evenly in their logarithm."""
        for side in self.sides:
            step: nn.Linear = getattr(self, f"dt_proj{side}")
            nn.init.uniform_(step.weight, -(step.in_features**-0.5), step.in_features**-0.5)
            size = torch.exp(torch.empty_like(step.bias).uniform_(math.log(1e-3), math.log(1e-1))).clamp(min=1e-4)
            step.bias.data.copy_(size + torch.log(-torch.expm1(-size)))


class Block(nn.Module):
    """A norm and a mixer; adding to the stream is the network's business."""

    def __init__(self, width: int, norm: type[nn.Module], directions: Directions = "bibi") -> None:
        super().__init__()
        self.norm = norm(width, eps=1e-5)
        self.mixer = Mixer(width, directions)

    def forward(self, stream: Tensor, *, reverse: bool = False) -> Tensor:
        """What the block adds to the stream (clip, token, width), which it reads from the end in ``reverse``."""
        out: Tensor = self.mixer(self.norm(stream), reverse=reverse)
        return out


class PatchEmbed(nn.Module):
    """The convolution that cuts an image into patches; how far apart they lie is the caller's choice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, PATCH)

    def forward(self, image: Tensor, stride: int) -> Tensor:
        """(clip, frame, bin) to (clip, patch, width), frequency-major."""
        patches = functional.conv2d(image.transpose(1, 2)[:, None], self.proj.weight, self.proj.bias, stride)
        return patches.flatten(2).transpose(1, 2)


class Trunk(nn.Module):
    """What both networks have: patches, a class token, blocks and a final norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.patch_embed = PatchEmbed(shape.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.layers = nn.ModuleList(Block(shape.width, shape.norm, shape.directions) for _ in range(shape.depth))
        self.norm_f = shape.norm(shape.width, eps=1e-5)

    def initialise(self) -> None:
        """Random values as before the authors' training, for an untrained control."""
        for mixer in (block.mixer for block in self.layers if isinstance(block, Block)):
            mixer.initialise()
            mixer.out_proj.weight.data /= math.sqrt(self.shape.depth)


class Vim(Trunk):
    """SSAMBA's network: log-mel images (clip, frame, bin) to the token streams between pairs of blocks."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(shape.grid), shape.width))

    def forward(self, image: Tensor, stride: int) -> list[Tensor]:
        """The stream before the first pair and after each pair, (clip, 1 + token, width); the class token comes first.

        Tokens are frequency-major. A pair's second block reads the flipped stream, and since both blocks of a pair
        carry the stream on, it doubles at every pair.
        """
        tokens = self.patch_embed(image, stride)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        stream = tokens + self.positions(grid_of(image.shape[1], stride))
        streams = [stream]
        for there, back in zip(self.layers[::2], self.layers[1::2], strict=True):
            stream = 2 * stream + there(stream) + back(stream, reverse=True)
            streams.append(stream)
        return streams

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """The position table for a grid (frequency, time): (1, 1 + position, width)."""
        patches = adapt_positions(self.pos_embed[0, 1:], self.shape.grid, grid)
        return torch.cat([self.pos_embed[0, :1], patches])[None]

    def initialise(self) -> None:
        """Random values as before the authors' training, for an untrained control."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        super().initialise()


class Positions(nn.Module):
    """A table of positions, the class token's first: (1, 1 + position, width)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.grid = shape.grid
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(shape.grid), shape.width))

    def forward(self, grid: tuple[int, int]) -> Tensor:
        """The table for a grid (frequency, time): a shorter or longer one squeezes or stretches the trained one."""
        if grid == self.grid:
            return self.pos_embed
        cls, patches = self.pos_embed.split([1, math.prod(self.grid)], dim=1)
        image = patches.transpose(1, 2).unflatten(2, self.grid)
        image = functional.interpolate(image, grid, mode="bilinear", antialias=True)
        return torch.cat([cls, image.flatten(2).transpose(1, 2)], dim=1)


class SequentialVim(Trunk):
    """AuM's network: log-mel images (clip, frame, bin) to the token streams between blocks."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.pos_embed = Positions(shape)

    def forward(self, image: Tensor) -> list[Tensor]:
        """The stream before the first block and after each, (clip, 1 + token, width).

        Tokens are frequency-major. The class token stands before the middle one, though its position is the table's
        first.
        """
        patches = self.patch_embed(image, PATCH)
        cls, table = self.pos_embed(grid_of(image.shape[1], PATCH)).split([1, patches.shape[1]], dim=1)
        before, after = (patches + table).chunk(2, dim=1)
        stream = torch.cat([before, (self.cls_token + cls).expand(len(patches), -1, -1), after], dim=1)
        streams = [stream]
        for block in self.layers:
            stream = stream + block(stream)
            streams.append(stream)
        return streams

    def initialise(self) -> None:
        """Random values as before the authors' training, for an untrained control."""
        nn.init.trunc_normal_(self.pos_embed.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        # The authors' LeCun initialisation allows for a truncation that does not take place.
        for name, values in self.patch_embed.proj.named_parameters():
            nn.init.normal_(values, std=1 / (0.8796 * PATCH) if name == "weight" else 0.0)
        super().initialise()
