"""The network of BEATs: a post-norm transformer over spectrogram patches, with gated relative positions.

Source: Chen et al. 2023 (BEATs), Chi et al. 2022 (XLM-E, the gate), Wang et al. 2022 (DeepNorm), and the code published
with BEATs. Keys are named as in the checkpoints.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

BINS = 128
PATCH = 16
#: Patches above each other, which make one time step.
ROWS = BINS // PATCH


class Config(NamedTuple):
    """What tells one BEATs from another, named as in the files' ``cfg``; the defaults are those of every published
    model."""

    embed_dim: int = 512
    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    conv_pos: int = 128
    conv_pos_groups: int = 16
    num_buckets: int = 320
    max_distance: int = 800
    deep_norm: bool = True


#: The smallest network of the same form.
SMALL = Config(32, 2, 48, 96, 4, conv_pos=16, conv_pos_groups=4, num_buckets=32, max_distance=64)


class Beats(nn.Module):
    """Log-mel images (clip, frame, bin) to the token streams between blocks."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = nn.Conv2d(1, config.embed_dim, PATCH, PATCH, bias=False)
        self.layer_norm = nn.LayerNorm(config.embed_dim)
        self.post_extract_proj = nn.Linear(config.embed_dim, config.encoder_embed_dim)
        self.encoder = Encoder(config)

    def forward(self, image: Tensor, padding: Tensor | None = None) -> list[Tensor]:
        """The stream before the first block and after each block, (clip, token, width).

        Tokens are time-major: token 8 t + f is patch f, low to high, of time step t. Frames beyond a multiple of 16
        are dropped. ``padding`` (clip, token) marks tokens that are no part of their clip, see :func:`token_padding`.
        """
        patches = self.patch_embedding(image[:, None]).flatten(2).transpose(1, 2)
        streams: list[Tensor] = self.encoder(self.post_extract_proj(self.layer_norm(patches)), padding)
        return streams

    def initialise(self) -> None:
        """Random values as before the authors' training, for an untrained control."""
        for module in self.encoder.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        for block in self.encoder.layers:
            assert isinstance(block, Block)
            block.initialise((8 * len(self.encoder.layers)) ** -0.25)


class Encoder(nn.Module):
    """Convolutional positions, a norm, then the blocks; there is no norm after the last."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.pos_conv = nn.Sequential(PositionalConv(config), nn.GELU())
        self.layer_norm = nn.LayerNorm(config.encoder_embed_dim)
        # One table for all blocks, which the files list under every one of them.
        table = nn.Embedding(config.num_buckets, config.encoder_attention_heads)
        self.layers = nn.ModuleList(Block(config, table) for _ in range(config.encoder_layers))

    def forward(self, tokens: Tensor, padding: Tensor | None) -> list[Tensor]:
        """(clip, token, width) to the streams; padding is silenced before the convolution and never attended to."""
        if padding is not None:
            tokens = tokens.masked_fill(padding[..., None], 0)
        stream = self.layer_norm(tokens + self.pos_conv(tokens))
        bias = self.bias(tokens.shape[1])
        streams = [stream]
        for block in self.layers:
            stream = block(stream, bias, padding)
            streams.append(stream)
        return streams

    @property
    def table(self) -> Tensor:
        """The position table, (bucket, head)."""
        return self.get_parameter("layers.0.self_attn.relative_attention_bias.weight")

    def bias(self, tokens: int) -> Tensor:
        """What each head adds to the logit of a query and a key for their distance, before the gate:
        (head, query, key)."""
        distance = torch.arange(1 - tokens, tokens, device=self.table.device)
        by_distance = self.table[bucket(distance, self.config.num_buckets, self.config.max_distance)].T
        # Row i of the windows starts at the distance of key 0 from query tokens - 1 - i.
        return by_distance.unfold(1, tokens, 1).flip(1).contiguous()


class PositionalConv(nn.Module):
    """A grouped convolution along the tokens, whose weight is a direction and a length for each tap."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, self.groups = config.encoder_embed_dim, config.conv_pos_groups
        direction = torch.empty(width, width // self.groups, config.conv_pos)
        nn.init.normal_(direction, std=math.sqrt(4 / (config.conv_pos * width)))
        self.weight_v = nn.Parameter(direction)
        self.weight_g = nn.Parameter(direction.norm(dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(clip, token, width) to the same; the token that an even kernel adds at the end is dropped."""
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(0, 1), keepdim=True))
        out = functional.conv1d(x.transpose(1, 2), weight, self.bias, padding=weight.shape[-1] // 2, groups=self.groups)
        return out[..., : x.shape[1]].transpose(1, 2)


class Block(nn.Module):
    """Attention and two linear layers, each followed by a norm, with residuals that DeepNorm scales up."""

    def __init__(self, config: Config, table: nn.Embedding) -> None:
        super().__init__()
        width, inner = config.encoder_embed_dim, config.encoder_ffn_embed_dim
        self.alpha = (2 * config.encoder_layers) ** 0.25 if config.deep_norm else 1.0
        self.self_attn = Attention(width, config.encoder_attention_heads, table)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, bias: Tensor, padding: Tensor | None) -> Tensor:
        """(clip, token, width) to the same; ``bias`` as :meth:`Encoder.bias`."""
        x = self.self_attn_layer_norm(self.alpha * x + self.self_attn(x, bias, padding))
        out: Tensor = self.final_layer_norm(self.alpha * x + self.fc2(functional.gelu(self.fc1(x))))
        return out

    def initialise(self, gain: float) -> None:
        """DeepNorm's initial values: what the residuals carry is made small."""
        attention = self.self_attn
        for linear in (attention.q_proj, attention.k_proj):
            nn.init.xavier_normal_(linear.weight)
        for linear in (attention.v_proj, attention.out_proj, self.fc1, self.fc2):
            nn.init.xavier_normal_(linear.weight, gain)


class Attention(nn.Module):
    """Self-attention with a relative position bias, which every query weighs by a gate of its own."""

    def __init__(self, width: int, heads: int, table: nn.Embedding) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))
        self.grep_linear = nn.Linear(width // heads, 8)
        self.grep_a = nn.Parameter(torch.ones(1, heads, 1, 1))
        self.relative_attention_bias = table

    def forward(self, x: Tensor, bias: Tensor, padding: Tensor | None) -> Tensor:
        """(clip, token, width) to the same; ``bias`` as :meth:`Encoder.bias`."""
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        bias = self.gate(q) * bias
        if padding is not None:
            bias = bias.masked_fill(padding[:, None, None], -math.inf)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out

    def gate(self, q: Tensor) -> Tensor:
        """How much of the bias each query, (clip, head, token, width) and not yet scaled, lets in:
        (clip, head, token, 1)."""
        a, b = self.grep_linear(q).unflatten(-1, (2, 4)).sum(-1).sigmoid().split(1, dim=-1)
        out: Tensor = a * (b * self.grep_a - 1) + 2
        return out


def bucket(distance: Tensor, buckets: int, furthest: int) -> Tensor:
    """The row of the position table for a distance in tokens (the key's place less the query's), any shape.

    The first half of the rows is for keys that are not after their query, the second for those that are. The lower
    half of either stands for one distance each, the upper for stretches that grow up to ``furthest``; beyond, all
    share the last.
    """
    half = buckets // 2
    exact = half // 2
    far = distance.abs().clamp(min=exact)
    # In single precision, as the authors have it, so that no distance changes its row.
    steps = torch.log(far.float() / exact) / math.log(furthest / exact) * (half - exact)
    stretch = (exact + steps.long()).clamp(max=half - 1)
    return torch.where(distance.abs() < exact, distance.abs(), stretch) + half * (distance > 0)


def token_padding(padding: Tensor, frames: int) -> Tensor:
    """Which tokens are padding, given which samples are: (clip, sample) to (clip, token), both bool.

    As the authors do it, samples become frames, and frames tokens, by the same rule, which knows nothing of hops and
    patches: a remainder is dropped, the rest cut in equal parts, and a part is padding if all of it is. So where a
    clip ends, of one time step's tokens only the upper may be padding.
    """
    for count in (frames, frames // PATCH * ROWS):
        parts = padding[:, : padding.shape[1] // count * count].unflatten(1, (count, -1))
        padding = parts.all(-1)
    return padding
