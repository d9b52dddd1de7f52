"""The network of ARMHuBERT: HuBERT's, narrower, with blocks that take over the attention of the one before them.

Source: Jang et al. 2023 and the code published with it. Keys are named as in the checkpoints.
"""

import math
from collections import OrderedDict
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from ._beats import Config as PositionalConfig
from ._beats import PositionalConv

#: The stride of a convolution by its kernel, both in samples; the smallest kernel only mixes channels.
STRIDES = {10: 5, 3: 2, 2: 2, 1: 1}


class Config(NamedTuple):
    """What tells one student from another; the defaults are those of every published model."""

    #: Channels and kernel of each.
    convolutions: tuple[tuple[int, int], ...]
    width: int
    inner: int
    #: Of each block, whether it has no attention of its own.
    reuses: tuple[bool, ...]
    heads: int = 12
    #: Kernel and groups of the convolution that tells positions.
    positions: tuple[int, int] = (128, 16)
    #: The teacher's width, to which the last block is projected; None if it is not.
    target: int | None = 768

    @property
    def last(self) -> str:
        """The number of the last block, as keys have it."""
        return str(len(self.reuses) - 1)


def published(width: int, inner: int, *, reuses: bool) -> Config:
    """A published model: 12 blocks, of which every second reuses attention or none does."""
    convolutions = ((128, 10), (256, 1), *[(256, 3)] * 4, (width, 1), *[(width, 2)] * 2)
    return Config(convolutions, width, inner, (False, reuses) * 6)


#: A small network of the same form.
SMALL = published(48, 64, reuses=True)._replace(
    convolutions=((16, 10), (24, 1), *[(24, 3)] * 4, (48, 1), *[(48, 2)] * 2),
    reuses=(False, True, False),
    heads=4,
    positions=(16, 4),
    target=40,
)


class ArmHubert(nn.Module):
    """A wave (clip, sample) to the streams between blocks, and the last one's projection."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        channels = [1, *(width for width, _ in config.convolutions)]
        layers = []
        for i, (width, kernel) in enumerate(config.convolutions):
            convolution = nn.Conv1d(channels[i], width, kernel, STRIDES[kernel], bias=False)
            # The norm has the third place, behind a dropout; it measures each channel over the whole clip.
            norm = () if i else (nn.Identity(), nn.GroupNorm(width, width))
            layers.append(nn.Sequential(convolution, *norm, nn.GELU()))
        self.feature_extractor = nn.ModuleDict({"conv_layers": nn.Sequential(*layers)})
        self.layer_norm = nn.LayerNorm(channels[-1])
        equal = channels[-1] == config.width
        self.post_extract_proj = nn.Identity() if equal else nn.Linear(channels[-1], config.width)
        self.encoder = Encoder(config)
        # In training there is one for every block.
        head = nn.Identity() if config.target is None else nn.Linear(config.width, config.target)
        self.proj_head = nn.ModuleDict({config.last: nn.Sequential(OrderedDict(lin_proj=head))})

    def forward(self, wave: Tensor) -> tuple[list[Tensor], Tensor]:
        """The stream before the first block and after each, (clip, frame, width), and (clip, frame, target)."""
        features = self.feature_extractor["conv_layers"](wave[:, None]).transpose(1, 2)
        streams: list[Tensor] = self.encoder(self.post_extract_proj(self.layer_norm(features)))
        return streams, self.proj_head[self.config.last](streams[-1])

    def initialise(self) -> None:
        """Random values as before the authors' training, for an untrained control."""
        for module in self.feature_extractor.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight)
        for module in self.encoder.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)


class Encoder(nn.Module):
    """Convolutional positions, a norm, then the blocks; there is no norm after the last."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        kernel, groups = config.positions
        positions = PositionalConfig(encoder_embed_dim=config.width, conv_pos=kernel, conv_pos_groups=groups)
        self.pos_conv = nn.Sequential(PositionalConv(positions), nn.GELU())
        self.layer_norm = nn.LayerNorm(config.width)
        self.layers = nn.ModuleList(Block(config, reuses) for reuses in config.reuses)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(clip, frame, width) to the streams."""
        stream, attention = self.layer_norm(x + self.pos_conv(x)), None
        streams = [stream]
        for block in self.layers:
            stream, attention = block(stream, attention)
            streams.append(stream)
        return streams


class Block(nn.Module):
    """Attention and two linear layers, each followed by a norm."""

    def __init__(self, config: Config, reuses: bool) -> None:
        super().__init__()
        self.self_attn = Attention(config.width, config.heads, reuses)
        self.self_attn_layer_norm = nn.LayerNorm(config.width)
        self.fc1 = nn.Linear(config.width, config.inner)
        self.fc2 = nn.Linear(config.inner, config.width)
        self.final_layer_norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor, attention: Tensor | None) -> tuple[Tensor, Tensor]:
        """(clip, frame, width) to the same; ``attention`` goes in and out as in :meth:`Attention.forward`."""
        mixed, attention = self.self_attn(x, attention)
        x = self.self_attn_layer_norm(x + mixed)
        return self.final_layer_norm(x + self.fc2(functional.gelu(self.fc1(x)))), attention


class Attention(nn.Module):
    """Self-attention that is its own, or the last that was, softened by a second softmax as the authors have it."""

    def __init__(self, width: int, heads: int, reuses: bool) -> None:
        super().__init__()
        self.heads, self.reuses = heads, reuses
        self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(2))
        if not reuses:
            self.q_proj, self.k_proj = (nn.Linear(width, width) for _ in range(2))

    def forward(self, x: Tensor, attention: Tensor | None) -> tuple[Tensor, Tensor]:
        """(clip, frame, width) to the same, and the attention that the blocks behind it may reuse.

        ``attention`` (clip, head, query, key) is that of the last block that has its own.
        """
        if self.reuses:
            assert attention is not None, "the first block has its own"
            weights = attention.softmax(-1)
        else:
            attention = weights = self.weigh(x)
        mixed = weights @ self._by_head(self.v_proj(x))
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), attention

    def weigh(self, x: Tensor) -> Tensor:
        """How much each query hears of each key: (clip, frame, width) to (clip, head, query, key)."""
        q, k = (self._by_head(project(x)) for project in (self.q_proj, self.k_proj))
        logits: Tensor = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
        return logits.float().softmax(-1)

    def _by_head(self, x: Tensor) -> Tensor:
        out: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return out
