"""Joins and pools: what they compute, held against loops in float64, and what padding must not move."""

import math
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from harness.errors import NotApplicable
from harness.features import Frames, Pooled
from harness.joins import AttentionPool, HierarchicalConv, LayerMean, MeanPool, Only, Readout, WeightedSum, build

Refused = Callable[[str], AbstractContextManager[None]]
Noise = Callable[..., Tensor]
Floats = npt.NDArray[np.float64]

JOINS = ("one", "mean", "weighted-sum", "conv")
POOLS = ("mean", "attention", "none")
CLIPS, FRAMES, LAYERS, WIDTH = 3, 7, 5, 8
LENGTHS = torch.tensor([7, 2, 5])
MASK = torch.arange(FRAMES) < LENGTHS[:, None]


def made(join: str, pool: str, layers: int = LAYERS, width: int = WIDTH) -> Readout:
    """A readout whose every weight is drawn by lot."""
    readout = build(join, pool, 1 if join == "one" else layers, width)
    random = torch.Generator().manual_seed(3)
    for parameter in readout.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=random)
    return readout


def frames(noise: Noise, join: str) -> Tensor:
    return 5 * noise(CLIPS, FRAMES, 1 if join == "one" else LAYERS, WIDTH) + 0.3


# Joins.


def convolved(x: Floats, convs: nn.ModuleList) -> Floats:
    """One frame (layer, width) through the convolutions: a sum over the layers that each place sees."""
    for conv in convs:
        assert isinstance(conv, nn.Conv1d) and conv.bias is not None
        weight, bias = conv.weight.detach().double().numpy(), conv.bias.detach().double().numpy()
        places = math.ceil(len(x) / 3)
        out = np.tile(bias, (places, 1))
        for place in range(places):
            for step in range(5):
                if 0 <= (layer := 3 * place + step - 2) < len(x):
                    out[place] += weight[:, :, step] @ x[layer]
        x = out.clip(min=0)
    # All places of the first channel, then all of the next.
    return x.T.reshape(-1)


def joined(join: str, x: Floats, readout: Readout) -> Floats:
    """One frame (layer, width) to (width,)."""
    if isinstance(readout.join, WeightedSum):
        logits = readout.join.logits.detach().double().numpy()
        return sum(np.exp(logits[i]) * x[i] for i in range(len(x))) / np.exp(logits).sum()  # type: ignore[no-any-return]
    if isinstance(readout.join, HierarchicalConv):
        return convolved(x, readout.join.convs)
    out: Floats = sum(x[i] for i in range(len(x))) / len(x)
    return out


@pytest.mark.parametrize("join", JOINS)
def test_layers_of_every_frame_are_joined_as_a_loop_joins_them(noise: Noise, join: str) -> None:
    x, readout = frames(noise, join), made(join, "none")
    found = readout(x).detach().numpy()
    expected = [[joined(join, frame, readout) for frame in clip] for clip in x.double().numpy()]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("join", JOINS)
def test_pooled_layers_are_joined_as_frames_are(noise: Noise, join: str) -> None:
    x, readout = frames(noise, join), made(join, "mean")
    torch.testing.assert_close(readout(x[:, 0]), readout.join(x)[:, 0])


@pytest.mark.parametrize("layers", [3, 4, 8, 9, 10, 13, 25, 27])
@pytest.mark.parametrize("width", [3, 7, 16])
def test_convolutions_are_as_a_loop_makes_them_whatever_the_size(noise: Noise, layers: int, width: int) -> None:
    x, readout = 5 * noise(2, layers, width) + 0.3, made("conv", "mean", layers, width)
    assert isinstance(readout.join, HierarchicalConv)
    expected = [convolved(clip, readout.join.convs) for clip in x.double().numpy()]
    np.testing.assert_allclose(readout(x).detach().numpy(), expected, rtol=1e-4, atol=1e-4)
    assert np.shape(expected) == (2, readout.out_width)


@pytest.mark.parametrize("layers", [3, 9, 13])
def test_convolutions_are_as_published_with_layers_first(noise: Noise, layers: int) -> None:
    """The published order of axes is (layer, clip, frame, width), of which (width, layer) is what is convolved."""
    x = noise(layers, 2, 6, WIDTH)
    join = HierarchicalConv(layers, WIDTH)
    steps = nn.Sequential(*(step for conv in join.convs for step in (conv, nn.ReLU())))
    expected = steps(x.permute(1, 2, 3, 0).reshape(12, WIDTH, layers)).reshape(2, 6, -1)
    torch.testing.assert_close(join(x.permute(1, 2, 0, 3)), expected)


@pytest.mark.parametrize(
    ("layers", "width", "channels", "out_width", "count"),
    [
        (13, 768, [768, 384], 768, 4_424_832),
        (12, 768, [768, 384], 768, 4_424_832),
        (24, 768, [768, 256], 768, 3_933_184),
        (25, 1024, [1024, 341], 1023, 6_990_165),
        (4, 64, [32], 64, 5 * 64 * 32 + 32),
        (3, 64, [64], 64, 5 * 64 * 64 + 64),
    ],
)
def test_convolutions_are_as_large_as_published(
    layers: int, width: int, channels: list[int], out_width: int, count: int
) -> None:
    join = HierarchicalConv(layers, width)
    assert [conv.out_channels for conv in join.convs if isinstance(conv, nn.Conv1d)] == channels
    assert join.out_width == out_width
    assert sum(parameter.numel() for parameter in join.parameters()) == count


@pytest.mark.parametrize("layers", [3, 8, 9, 26, 27, 80, 81, 242])
def test_there_are_as_many_convolutions_as_the_published_code_makes(layers: int) -> None:
    assert len(HierarchicalConv(layers, 3).convs) == math.floor(np.log(layers) / np.log(3))


@pytest.mark.parametrize(
    ("layers", "width", "least"), [(2, 64, 2), (1, 64, 1), (4, 1, 2), (7, 2, 3), (25, 2, 3), (13, 1, 2)]
)
def test_layers_too_few_or_too_narrow_are_refused(layers: int, width: int, least: int, refused: Refused) -> None:
    with refused(f"needs 3 layers or more, of width {least} or more, and this upstream has {layers} of width {width}"):
        build("conv", "mean", layers, width)
    with pytest.raises(NotApplicable):
        HierarchicalConv(layers, width)


def test_a_weighted_sum_begins_as_the_mean(noise: Noise) -> None:
    x = frames(noise, "weighted-sum")
    torch.testing.assert_close(WeightedSum(LAYERS, WIDTH)(x), LayerMean(WIDTH)(x))


def test_a_weighted_sum_tells_its_weights() -> None:
    readout = made("weighted-sum", "mean")
    assert isinstance(readout.join, WeightedSum)
    weights = np.exp(readout.join.logits.detach().double().numpy())
    assert readout.layer_weights() == pytest.approx(weights / weights.sum())
    assert len(set(readout.layer_weights())) == LAYERS


@pytest.mark.parametrize("join", ["one", "mean", "conv"])
def test_other_joins_have_no_weights_to_tell(join: str) -> None:
    assert made(join, "attention").layer_weights() == ()


def test_one_layer_is_left_as_it_is(noise: Noise) -> None:
    x = noise(2, 3, 1, WIDTH)
    assert torch.equal(Only(WIDTH)(x), x[:, :, 0])


# Pools.


@pytest.mark.parametrize("mask", [MASK, None])
def test_the_mean_is_that_of_the_frames_that_count(noise: Noise, mask: Tensor | None) -> None:
    x = noise(CLIPS, FRAMES, WIDTH) + 0.3
    lengths = [FRAMES] * CLIPS if mask is None else LENGTHS.tolist()
    expected = [x[i, :n].double().numpy().mean(0) for i, n in enumerate(lengths)]
    np.testing.assert_allclose(MeanPool()(x, mask).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("mask", [MASK, None])
def test_attention_weighs_the_frames_that_count_by_a_softmax_of_their_logits(noise: Noise, mask: Tensor | None) -> None:
    x, pool = 20 * noise(CLIPS, FRAMES, WIDTH) + 0.3, AttentionPool(WIDTH)
    lengths = [FRAMES] * CLIPS if mask is None else LENGTHS.tolist()
    weight, bias = (p.detach().double().numpy() for p in pool.logit.parameters())
    for found, clip, length in zip(pool(x, mask).detach().numpy(), x.double().numpy(), lengths, strict=True):
        logits = [math.exp((weight @ clip[i] + bias).item()) for i in range(length)]
        expected = sum(logits[i] * clip[i] for i in range(length)) / sum(logits)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_attention_is_not_the_mean(noise: Noise) -> None:
    x, readout = frames(noise, "mean"), made("mean", "attention")
    assert not torch.allclose(readout(x), MeanPool()(readout.join(x), None), atol=0.05)


def test_pooled_layers_have_no_frames_to_average(noise: Noise) -> None:
    x = noise(CLIPS, WIDTH)
    assert torch.equal(MeanPool()(x, None), x)


def test_without_pooling_every_frame_is_given(noise: Noise) -> None:
    x, readout = frames(noise, "weighted-sum"), made("weighted-sum", "none")
    assert torch.equal(readout(x, MASK), readout.join(x))


# Both together.


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("join", JOINS)
@pytest.mark.parametrize("filling", [0.0, 100.0, torch.nan])
def test_what_fills_a_clip_up_moves_nothing(noise: Noise, join: str, pool: str, filling: float) -> None:
    x, readout = frames(noise, join), made(join, pool)
    x[~MASK] = filling
    for i, length in enumerate(LENGTHS.tolist()):
        found = readout(x, MASK)[i]
        alone = readout(x[i : i + 1, :length])[0]
        torch.testing.assert_close(found[:length] if pool == "none" else found, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pool", ["mean", "attention"])
@pytest.mark.parametrize("join", JOINS)
def test_the_order_of_frames_moves_nothing(noise: Noise, join: str, pool: str) -> None:
    x, readout = frames(noise, join), made(join, pool)
    order = torch.tensor([4, 0, 6, 2, 1, 5, 3])
    torch.testing.assert_close(readout(x[:, order], MASK[:, order]), readout(x, MASK), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("join", ["weighted-sum", "conv"])
def test_the_order_of_layers_matters(noise: Noise, join: str) -> None:
    x, readout = frames(noise, join), made(join, "mean")
    assert not torch.allclose(readout(x.flip(2)), readout(x), atol=0.05)


@pytest.mark.parametrize(
    ("join", "pool"),
    [*product(["weighted-sum", "conv"], POOLS), ("one", "attention"), ("mean", "attention")],
)
def test_every_weight_learns(noise: Noise, join: str, pool: str) -> None:
    readout = made(join, pool)
    out = readout(frames(noise, join), MASK)
    (out * noise(*out.shape, seed=1)).sum().backward()
    for name, parameter in readout.named_parameters():
        assert parameter.grad is not None
        # A softmax does not see what is added to all of its logits.
        assert name == "pool.logit.bias" or parameter.grad.abs().max() > 1e-4, name


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("join", JOINS)
def test_the_width_of_what_comes_out_is_told_before(noise: Noise, join: str, pool: str) -> None:
    readout = build(join, pool, 1 if join == "one" else 7, 10)
    out = readout(noise(2, 4, 1 if join == "one" else 7, 10))
    assert out.shape == ((2, 4, readout.out_width) if pool == "none" else (2, readout.out_width))
    assert readout.out_width == (9 if join == "conv" else 10)


@pytest.mark.parametrize("join", JOINS)
def test_features_are_taken_as_they_come_in_batches(noise: Noise, join: str) -> None:
    layers = 1 if join == "one" else LAYERS
    clips = [[[noise(n, WIDTH, seed=i)] for i in range(layers)] for n in LENGTHS.tolist()]
    pooled = Pooled(np.array([[layer[0].mean(0).numpy() for layer in clip] for clip in clips]))
    rows, readout = np.array([2, 0]), made(join, "mean")
    assert readout(*Frames(clips).batch(rows)).shape == readout(*pooled.batch(rows)).shape


def test_nothing_that_lists_names_loads_these_modules() -> None:
    code = "import sys, harness.interfaces, harness.heads, harness.views; assert 'harness.joins' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
