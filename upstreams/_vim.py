"""The network of SSAMBA: Vision Mamba blocks in bidirectional pairs.

Source: Zhu et al. 2024 (Vision Mamba), Shams et al. 2024 (SSAMBA), and the code published with them. Keys are named
as in the checkpoints.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._patches import PATCH, adapt_positions, grid_of
from ._scan import selective_scan

STATE = 16
TAPS = 4


class Shape(NamedTuple):
    """What tells one Vim from another: width, number of mixers, norm, and the patch grid of its position table."""

    width: int
    depth: int
    norm: type[nn.Module]
    grid: tuple[int, int]


class Mixer(nn.Module):
    """A selective state space model that reads the sequence forwards and backwards ("v2"), (clip, token, width) to
    the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner, rank = 2 * width, math.ceil(width / 16)
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.conv1d, self.conv1d_b = (nn.Conv1d(inner, inner, TAPS, groups=inner) for _ in range(2))
        self.x_proj, self.x_proj_b = (nn.Linear(inner, rank + 2 * STATE, bias=False) for _ in range(2))
        self.dt_proj, self.dt_proj_b = (nn.Linear(rank, inner) for _ in range(2))
        self.A_log, self.A_b_log = (nn.Parameter(torch.empty(inner, STATE)) for _ in range(2))
        self.D, self.D_b = (nn.Parameter(torch.ones(inner)) for _ in range(2))
        self.out_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Both directions share the gate and the projection out; their sum is halved."""
        x, gate = self.in_proj(x).chunk(2, dim=-1)
        there = _read(x, self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D)
        back = _read(x.flip(1), self.conv1d_b, self.x_proj_b, self.dt_proj_b, self.A_b_log, self.D_b)
        out: Tensor = self.out_proj((there + back.flip(1)) * functional.silu(gate) / 2)
        return out


def _read(x: Tensor, conv: nn.Conv1d, project: nn.Linear, step: nn.Linear, a_log: Tensor, skip: Tensor) -> Tensor:
    """One direction, before the gate: causal convolution, projections, scan; (clip, token, inner width) to the same."""
    causal = functional.pad(x.transpose(1, 2), (TAPS - 1, 0))
    u = functional.silu(conv(causal)).transpose(1, 2)
    dt, b, c = project(u).split([step.in_features, STATE, STATE], dim=-1)
    delta = functional.softplus(step(dt))
    return selective_scan(u, delta, -torch.exp(a_log.float()), b, c, skip)


class Block(nn.Module):
    """A norm and a mixer; adding to the stream is the pair's business."""

    def __init__(self, width: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.norm = norm(width, eps=1e-5)
        self.mixer = Mixer(width)

    def forward(self, stream: Tensor) -> Tensor:
        """What the block adds to the stream (clip, token, width)."""
        out: Tensor = self.mixer(self.norm(stream))
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


class Vim(nn.Module):
    """Log-mel images (clip, frame, bin) to the token streams between pairs of blocks."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.patch_embed = PatchEmbed(shape.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(shape.grid), shape.width))
        self.layers = nn.ModuleList(Block(shape.width, shape.norm) for _ in range(shape.depth))
        self.norm_f = shape.norm(shape.width, eps=1e-5)

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
            stream = 2 * stream + there(stream) + back(stream.flip(1)).flip(1)
            streams.append(stream)
        return streams

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """The position table for a grid (frequency, time): (1, 1 + position, width)."""
        patches = adapt_positions(self.pos_embed[0, 1:], self.shape.grid, grid)
        return torch.cat([self.pos_embed[0, :1], patches])[None]

    def initialise(self) -> None:
        """Random values as before the authors' training, for an untrained control (Mamba's initialisation of steps
        and states)."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        for mixer in (block.mixer for block in self.layers if isinstance(block, Block)):
            for states in (mixer.A_log, mixer.A_b_log):
                states.data.copy_(torch.arange(1, STATE + 1).log().expand_as(states))
            for step in (mixer.dt_proj, mixer.dt_proj_b):
                nn.init.uniform_(step.weight, -(step.in_features**-0.5), step.in_features**-0.5)
                size = torch.exp(torch.empty_like(step.bias).uniform_(math.log(1e-3), math.log(1e-1))).clamp(min=1e-4)
                step.bias.data.copy_(size + torch.log(-torch.expm1(-size)))
            mixer.out_proj.weight.data /= math.sqrt(self.shape.depth)
