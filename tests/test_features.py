"""Features reach a head as they are stored, scaled as scikit-learn would, whatever the clips' lengths."""

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from harness.features import Features, FlatFrames, Frames, Pooled, Rows

Noise = Callable[..., Tensor]
Doubles = npt.NDArray[np.float64]

LENGTHS = (5, 3, 7, 1, 4)
LAYERS, PARTS = 3, (4, 2)
WIDTH = sum(PARTS)
TRAIN = np.array([4, 0, 2])


def clips(dtype: torch.dtype = torch.float32, lengths: tuple[int, ...] = LENGTHS) -> list[list[list[Tensor]]]:
    """Clips of these lengths, each feature with a mean and a spread of its own."""
    random = torch.Generator().manual_seed(5)
    mean, spread = torch.randn(LAYERS, WIDTH, generator=random), torch.rand(LAYERS, WIDTH, generator=random) + 0.2

    def layer(number: int, length: int) -> list[Tensor]:
        x = mean[number] + spread[number] * torch.randn(length, WIDTH, generator=random)
        return list(x.to(dtype).split(PARTS, dim=1))

    return [[layer(number, length) for number in range(LAYERS)] for length in lengths]


def by_hand(clip: list[list[Tensor]]) -> Doubles:
    """(frame, layer, width) of one clip, number by number."""
    out = np.full((len(clip[0][0]), LAYERS, WIDTH), np.nan)
    for number, layer in enumerate(clip):
        for frame in range(len(out)):
            out[frame, number] = [float(value) for part in layer for value in part[frame]]
    return out


def pooled() -> Pooled:
    return Pooled(np.random.default_rng(0).normal(3, 2, (9, LAYERS, WIDTH)).astype(np.float32))


def standard(train: Doubles, x: Doubles) -> Doubles:
    """What scikit-learn makes of (example, layer, width)."""
    scaler = StandardScaler().fit(train.reshape(len(train), -1))
    out: Doubles = scaler.transform(x.reshape(len(x), -1)).reshape(x.shape)
    return out


# Batches.


def test_a_batch_of_pooled_layers_is_those_clips_in_that_order() -> None:
    rows = np.array([7, 0, 3, 3])
    x, mask = pooled().batch(rows)
    assert mask is None
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x, pooled().array[rows])


def test_a_batch_of_frames_is_those_clips_filled_up_with_zeros() -> None:
    made, rows = clips(), [3, 2, 0]
    x, mask = Frames(made).batch(np.array(rows))
    assert mask is not None
    assert x.shape == (3, 7, LAYERS, WIDTH)
    for row, clip in enumerate(rows):
        np.testing.assert_array_equal(x[row, : LENGTHS[clip]], by_hand(made[clip]))
        assert not x[row, LENGTHS[clip] :].any()
        assert mask[row].tolist() == [True] * LENGTHS[clip] + [False] * (7 - LENGTHS[clip])


@pytest.mark.parametrize("rows", [[1], [0, 2, 1]])
def test_clips_of_one_length_need_no_mask(rows: list[int]) -> None:
    made = clips(lengths=(4, 4, 4))
    x, mask = Frames(made).batch(np.array(rows))
    assert mask is None
    np.testing.assert_array_equal(x, [by_hand(made[i]) for i in rows])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_frames_of_any_float_come_out_as_float32_to_the_last_bit(dtype: torch.dtype) -> None:
    made = clips(dtype)
    x, _ = Frames(made).batch(np.array([2, 4]))
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x[1, :4], by_hand(made[4]))


@pytest.mark.parametrize("features", [pooled(), Frames(clips())], ids=["pooled", "frames"])
def test_some_clips_are_what_a_batch_of_them_is(features: Features) -> None:
    some = features.rows(TRAIN)
    assert len(some) == 3
    assert torch.equal(some.batch(np.array([2, 0])).x, features.batch(TRAIN[[2, 0]]).x)


@pytest.mark.parametrize(
    ("features", "size"),
    [(pooled(), 9), (Frames(clips()), 5), (FlatFrames(Frames(clips())), sum(LENGTHS))],
    ids=["pooled", "frames", "flat"],
)
def test_features_tell_their_size(features: Features, size: int) -> None:
    assert (len(features), features.layers, features.width) == (size, LAYERS, WIDTH)


def test_frames_tell_the_length_of_each_clip() -> None:
    assert tuple(Frames(clips()).length(i) for i in range(5)) == LENGTHS


def test_one_layer_gives_one_vector_per_clip() -> None:
    x = pooled().array
    np.testing.assert_array_equal(Pooled(x[:, 1:2]).vectors, x[:, 1])


def test_several_layers_are_no_single_vector() -> None:
    with pytest.raises(ValueError, match="there are 3 layers, and one vector per clip is asked for"):
        _ = pooled().vectors


# Scaling.


def test_pooled_layers_are_scaled_as_scikit_learn_scales_them() -> None:
    x = pooled()
    expected = standard(x.array[TRAIN].astype(np.float64), x.array.astype(np.float64))
    found = x.scaled(x.scale(TRAIN)).array
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_frames_are_scaled_by_all_frames_of_the_clips_that_are_given(dtype: torch.dtype) -> None:
    made = clips(dtype)
    train = np.concatenate([by_hand(made[i]) for i in TRAIN])
    scaled = Frames(made).scaled(Frames(made).scale(TRAIN))
    for i in range(5):
        x, _ = scaled.batch(np.array([i]))
        assert x.dtype == torch.float32
        np.testing.assert_allclose(x[0], standard(train, by_hand(made[i])), rtol=1e-5, atol=1e-6)


def test_a_long_clip_counts_for_as_many_frames_as_it_has() -> None:
    frames = Frames(clips())
    means = Pooled(np.stack([by_hand(clip).mean(0) for clip in clips()]).astype(np.float32))
    assert not np.allclose(frames.scale(TRAIN).shift, means.scale(TRAIN).shift, atol=0.01)


def test_scaling_leaves_zeros_where_a_clip_has_ended() -> None:
    frames = Frames(clips())
    x, mask = frames.scaled(frames.scale(TRAIN)).batch(np.array([2, 3]))
    assert mask is not None
    assert not x[~mask].any()
    assert x[mask].all()


def test_some_scaled_frames_stay_scaled() -> None:
    frames = Frames(clips())
    scaled = frames.scaled(frames.scale(TRAIN))
    assert torch.equal(scaled.rows(TRAIN).batch(np.array([1])).x, scaled.batch(TRAIN[1:2]).x)


def test_frames_are_not_scaled_twice() -> None:
    frames = Frames(clips())
    scale = frames.scale(TRAIN)
    with pytest.raises(ValueError, match="scaled already"):
        frames.scaled(scale).scaled(scale)


def constant(kind: str, value: float) -> Features:
    """Features of which one number is the same in all clips of TRAIN, and another in clip 1."""
    made, x = clips(), pooled().array
    for i, clip in enumerate(made):
        clip[1][0][:, 2] = value + 5 * (i == 1)
    x[:, 1, 2] = value + 5 * (np.arange(9) == 1)
    return Pooled(x) if kind == "pooled" else Frames(made)


@pytest.mark.parametrize("kind", ["pooled", "frames"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e-8, 3.7, -12345.678, 1e7])
def test_a_constant_feature_becomes_zero_even_where_it_moves_later(kind: str, value: float) -> None:
    features = constant(kind, value)
    x, mask = features.scaled(features.scale(TRAIN)).batch(np.array([0, 1, 2]))
    assert not x[..., 1, 2].any()
    rest = x if mask is None else x[mask]
    assert rest[..., 1, [0, 1, 3, 4, 5]].all()


@pytest.mark.parametrize("kind", ["pooled", "frames"])
@pytest.mark.parametrize("value", [0.1, -1 / 3, 12345.678])
def test_what_rounding_makes_of_a_constant_is_still_constant(kind: str, value: float) -> None:
    x = np.full((500, 1, 1), value, np.float32)
    x[::3] = np.nextafter(x[0], np.float32(np.inf))
    features: Features = Pooled(x) if kind == "pooled" else Frames([[[torch.from_numpy(clip)]] for clip in x])
    assert not features.scaled(features.scale(np.arange(500))).batch(np.arange(500)).x.any()


@pytest.mark.parametrize("kind", ["pooled", "frames"])
@pytest.mark.parametrize(("mean", "spread"), [(1000, 0.1), (-30, 1e-3), (0, 1e-5)])
def test_a_feature_that_moves_little_is_not_taken_for_constant(kind: str, mean: float, spread: float) -> None:
    x = (mean + spread * np.random.default_rng(1).normal(0, 1, (50, 1, 1))).astype(np.float32)
    features: Features = Pooled(x) if kind == "pooled" else Frames([[[torch.from_numpy(clip)]] for clip in x])
    found = features.scaled(features.scale(np.arange(50))).batch(np.arange(50)).x.numpy().ravel()
    np.testing.assert_allclose(found, standard(*2 * [x.astype(np.float64)]).ravel(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["pooled", "frames"])
def test_clips_that_are_not_given_do_not_move_the_scale(kind: str) -> None:
    before, after = constant(kind, 3.0), constant(kind, 3.0)
    others = np.setdiff1d(np.arange(len(after)), TRAIN)
    if isinstance(after, Pooled):
        after.array[others] *= 100
    elif isinstance(after, Frames):
        for i in others:
            after.clips[i][0][0].mul_(100)
    for one, other in zip(before.scale(TRAIN), after.scale(TRAIN), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("features", [pooled(), Frames(clips())], ids=["pooled", "frames"])
def test_scaling_leaves_what_is_scaled_as_it_was(features: Features) -> None:
    before = features.batch(TRAIN).x.clone()
    features.scaled(features.scale(TRAIN)).batch(TRAIN)
    assert torch.equal(features.batch(TRAIN).x, before)


# Frame by frame.


def orders() -> list[Rows]:
    total = sum(LENGTHS)
    rng = np.random.default_rng(2)
    return [np.arange(total), rng.permutation(total), rng.integers(0, total, 50), np.array([total - 1, 0])]


@pytest.mark.parametrize("rows", orders(), ids=["in order", "shuffled", "repeated", "ends"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_single_frames_are_those_of_all_clips_in_a_row(rows: Rows, dtype: torch.dtype) -> None:
    x, mask = FlatFrames(Frames(clips(dtype))).batch(rows)
    assert mask is None
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x, np.concatenate([by_hand(clip) for clip in clips(dtype)])[rows])


def test_single_frames_are_scaled_as_their_clips_are() -> None:
    frames = Frames(clips())
    scaled = frames.scaled(frames.scale(TRAIN))
    expected = torch.cat([scaled.batch(np.array([i])).x[0] for i in range(5)])
    rows = orders()[1]
    assert torch.equal(FlatFrames(scaled).batch(rows).x, expected[rows])


@pytest.mark.parametrize("features", [pooled(), Frames(clips()), FlatFrames(Frames(clips()))], ids=lambda x: type(x))
def test_features_are_not_changed_by_accident(features: Pooled | Frames | FlatFrames) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(features, dataclasses.fields(features)[0].name, None)
