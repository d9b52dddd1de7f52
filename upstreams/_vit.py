"""The network of SSAST: the vision transformer of DeiT.

Source: Dosovitskiy et al. 2021 (ViT), Touvron et al. 2021 (DeiT, the distillation token), Gong et al. 2022 (SSAST).
Keys are named as in the checkpoints.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._patches import Tokens, adapt_positions, grid_of

#: Width of an attention head.
HEAD = 64


class Attention(nn.Module):
    """Multi-head self-attention, (clip, token, width) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Every token attends to every token."""
        query, key, value = self.qkv(x).unflatten(-1, (3, -1, HEAD)).permute(2, 0, 3, 1, 4)
        heads = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(heads.transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    """Two layers with the exact GELU between them, (clip, token, width) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Each token for itself."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Attention and MLP, each after a norm and added to the stream (clip, token, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.attn, self.mlp = Attention(width), Mlp(width)

    def forward(self, stream: Tensor) -> Tensor:
        """The stream after the block."""
        stream = stream + self.attn(self.norm1(stream))
        out: Tensor = stream + self.mlp(self.norm2(stream))
        return out


class PatchEmbed(nn.Module):
    """The convolution that cuts an image into patches; how far apart they lie is the caller's choice."""

    def __init__(self, width: int, patch: tuple[int, int]) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, width, patch)

    def forward(self, image: Tensor, stride: int) -> Tensor:
        """(clip, frame, bin) to (clip, patch, width), frequency-major."""
        patches = functional.conv2d(image.transpose(1, 2)[:, None], self.proj.weight, self.proj.bias, stride)
        return patches.flatten(2).transpose(1, 2)


class Vit(nn.Module):
    """Log-mel images (clip, frame, bin) to the token streams between blocks."""

    def __init__(self, tokens: Tokens, *, distilled: bool = True) -> None:
        """``distilled`` adds a token for distillation behind the class token."""
        super().__init__()
        self.tokens = tokens
        self.specials = ["cls_token", "dist_token"] if distilled else ["cls_token"]
        self.patch_embed = PatchEmbed(tokens.width, tokens.patch)
        for name in self.specials:
            self.register_parameter(name, nn.Parameter(torch.zeros(1, 1, tokens.width)))
        self.pos_embed = nn.Parameter(torch.zeros(1, len(self.specials) + math.prod(tokens.grid), tokens.width))
        self.blocks = nn.ModuleList(Block(tokens.width) for _ in range(tokens.layers - 1))
        self.norm = nn.LayerNorm(tokens.width, eps=1e-6)

    def forward(self, image: Tensor, stride: int) -> list[Tensor]:
        """The stream before the first block and after each, (clip, special + patch, width), patches frequency-major."""
        specials = [self.get_parameter(name).expand(len(image), -1, -1) for name in self.specials]
        stream = torch.cat([*specials, self.patch_embed(image, stride)], dim=1)
        streams = [stream + self.positions(grid_of(image.shape[1], stride, self.tokens.patch))]
        for block in self.blocks:
            streams.append(block(streams[-1]))
        return streams

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """The position table for a grid (frequency, time): (1, special + position, width)."""
        own, table = self.pos_embed[0].tensor_split([len(self.specials)])
        return torch.cat([own, adapt_positions(table, self.tokens.grid, grid)])[None]

    def initialise(self) -> None:
        """Random values as before the authors' training, for an untrained control."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for name in (*self.specials, "pos_embed"):
            nn.init.trunc_normal_(self.get_parameter(name), std=0.02)
