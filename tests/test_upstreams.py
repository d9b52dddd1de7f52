"""The upstream contract, over every built-in with small or random weights."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

import harness
from harness.models import Upstream
from harness.registry import UpstreamSpec, plugins

Noise = Callable[..., Tensor]

#: The smallest control of each family that has weights.
CONTROLS = {"ssamba": "ssamba:tiny@untrained"}
#: What each built-in makes of a fixed wave: its revision, the first number and the spread of ``final``.
#: Another value needs another revision, or stored features of two kinds are mixed.
FINGERPRINTS = {"mel": ("1", -13.2638, 7.74559), "mfcc": ("1", -56.2034, 8.06559), "ssamba": ("1", 0.8782, 0.686059)}

NAMES = sorted(plugins("upstreams"))


@cache
def load(name: str) -> Upstream:
    return harness.upstream(CONTROLS.get(name, name), device="cpu")


def lengths(upstream: Upstream) -> list[int]:
    return [1, upstream.shortest - 1 or 2, upstream.shortest, upstream.shortest + 1, 24_000, 33_333]


@pytest.mark.parametrize("name", NAMES)
def test_layers_have_the_declared_number_and_widths(name: str, noise: Noise) -> None:
    upstream = load(name)
    for length in lengths(upstream):
        layers = upstream.encode(noise(2, length))
        assert tuple(layer.shape[-1] for layer in layers.hidden) == upstream.widths
        assert layers.final.shape[-1] == upstream.final_width
        assert {layer.shape[:2] for _, layer in layers.named()} == {layers.final.shape[:2]}
        assert len(layers.final) == 2


@pytest.mark.parametrize("name", NAMES)
def test_features_are_finite_at_every_length(name: str, noise: Noise) -> None:
    upstream = load(name)
    for length in lengths(upstream):
        assert all(layer.isfinite().all() for _, layer in upstream.encode(noise(1, length)).named())


@pytest.mark.parametrize("name", NAMES)
def test_frames_come_at_the_declared_rate(name: str, noise: Noise) -> None:
    upstream = load(name)
    short, long = (upstream.encode(noise(1, n)).final.shape[1] for n in (32_000, 64_000))
    expected = 0 if upstream.frame_rate is None else float(upstream.frame_rate * 32_000 / upstream.sample_rate)
    assert abs(long - short - expected) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_same_wave_gives_the_same_bits(name: str, noise: Noise) -> None:
    upstream = load(name)
    one, two = (upstream.encode(noise(2, 20_000)) for _ in range(2))
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(one.named(), two.named(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_is_the_same_alone_and_in_a_batch(name: str, noise: Noise) -> None:
    upstream = load(name)
    wave = noise(3, 20_000)
    batch = upstream.encode(wave)
    for i in range(3):
        for (_, a), (_, b) in zip(upstream.encode(wave[i : i + 1]).named(), batch.named(), strict=True):
            torch.testing.assert_close(a[0], b[i], rtol=1e-4, atol=1e-4 * max(1.0, float(b.abs().max())))


@pytest.mark.parametrize("name", NAMES)
def test_the_wave_is_left_as_it_was(name: str, noise: Noise) -> None:
    wave = noise(1, 20_000)
    before = wave.clone()
    load(name).encode(wave)
    assert torch.equal(wave, before)


@pytest.mark.parametrize("name", NAMES)
def test_louder_audio_is_not_the_same_audio(name: str, noise: Noise) -> None:
    upstream, wave = load(name), noise(1, 20_000)
    assert not torch.allclose(upstream.encode(wave).final, upstream.encode(3 * wave).final, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_output_is_what_this_revision_has_always_given(name: str, tones: Callable[[int], Tensor]) -> None:
    final = load(name).encode(tones(24_000)[None]).final
    revision, first, spread = FINGERPRINTS[name]
    assert load(name).revision == revision
    assert (float(final[0, 0, 0]), float(final.std())) == pytest.approx((first, spread), rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_where_the_model_comes_from(name: str) -> None:
    card = UpstreamSpec.parse(name).cls.card
    assert card.paper
    assert card.licence
    assert card.training


@pytest.mark.parametrize(
    "wave", [torch.ones(100), torch.ones(1, 0), torch.ones(0, 5), torch.ones(1, 9, dtype=torch.int)]
)
def test_a_wave_of_another_shape_is_refused(wave: Tensor, refused: Callable[[str], object]) -> None:
    with refused("floats of shape"):  # type: ignore[attr-defined]
        load("mel").encode(wave)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_samples_that_are_not_finite_are_refused(value: float, noise: Noise, refused: Callable[[str], object]) -> None:
    wave = noise(1, 1000)
    wave[0, 500] = value
    with refused("not finite"):  # type: ignore[attr-defined]
        load("mel").encode(wave)


def test_a_long_clip_is_cut_in_equal_windows_whose_frames_follow_each_other(noise: Noise) -> None:
    upstream = load("ssamba")
    assert upstream.longest is not None
    wave = noise(2, 2 * upstream.longest + 1000)
    window = -(-wave.shape[-1] // 3)
    windows = upstream.encode_in_windows(wave, clips_at_once=2)
    first = upstream.encode(wave[:, :window])
    assert windows.final.shape[1] == 3 * first.final.shape[1]
    # The mean over the clip is taken away before the clip is cut, which moves nothing but the last bits.
    torch.testing.assert_close(windows.final[:, : first.final.shape[1]], first.final, rtol=1e-2, atol=1e-2)


def test_a_clip_within_the_limit_is_not_cut(noise: Noise) -> None:
    upstream, wave = load("ssamba"), noise(1, 32_000)
    assert torch.equal(upstream.encode_in_windows(wave).final, upstream.encode(wave).final)
