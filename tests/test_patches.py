"""What SSAST and SSAMBA share: images of any clip, patches in time, position tables, files."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness.fbank import fbank
from harness.models import Layers
from harness.upstreams import _patches
from harness.upstreams._patches import Statistics, adapt_positions, log_mel, superb_windows

from checkpoints import load, untrained
from reference import Noise, Refused, assert_close, assert_layers_close, in_windows

#: The log-mel frames of a patch and the stride, by name.
CUTS = {
    "ssast": (16, 16),
    "ssast:s10": (16, 10),
    "ssast:frame": (2, 2),
    "ssast:frame-s1": (2, 1),
    "ssamba": (16, 16),
    "ssamba:s10": (16, 10),
}
FAMILIES = ["ssast", "ssast:frame", "ssamba"]
every_cut = pytest.mark.parametrize(("name", "patch", "stride"), [(name, *cut) for name, cut in CUTS.items()])
every_family = pytest.mark.parametrize("name", FAMILIES)
small = cache(untrained)


def with_tokens(name: str, *tokens: str) -> Any:
    return small(name + ("-" if ":" in name else ":") + "-".join(tokens))


@contextmanager
def watched(upstream: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tensor]]:
    """Collects the images that a network sees."""
    seen: list[Tensor] = []
    forward = upstream.network.forward

    def watch(image: Tensor, stride: int) -> Any:
        seen.append(image)
        return forward(image, stride)

    with monkeypatch.context() as patch:
        patch.setattr(upstream.network, "forward", watch)
        yield seen


# Frames.


@every_cut
@pytest.mark.parametrize("samples", [2800, 5359, 5360, 16_000, 20_720])
def test_there_is_a_frame_for_every_whole_patch(noise: Noise, name: str, patch: int, stride: int, samples: int) -> None:
    images = 1 + (samples - 400) // 160
    frames = 1 + (images - patch) // stride
    upstream = small(name)
    assert {layer.shape[:2] for _, layer in upstream.encode(noise(2, samples)).named()} == {(2, frames)}


@every_cut
def test_frames_come_at_their_rate_and_the_first_lies_at_its_centre(name: str, patch: int, stride: int) -> None:
    upstream = small(name)
    assert upstream.frame_rate == Fraction(100, stride)
    assert upstream.frame_offset == Fraction(400 + 160 * (patch - 1), 2 * 16_000)


@every_cut
def test_a_frame_hears_its_own_patch_and_nothing_else(noise: Noise, name: str, patch: int, stride: int) -> None:
    upstream, wave = small(name), noise(1, 20_720)
    changed = torch.cat([wave[:, :15_000], noise(1, 5720, seed=1)], dim=1)
    before, after = (upstream.forward(x).hidden[0][0] for x in (wave, changed))
    ends = 160 * stride * torch.arange(len(before)) + 400 + 160 * (patch - 1)
    moved = (before - after).abs().amax(dim=1) > 1e-6
    assert moved.tolist() == (ends > 15_000).tolist()


@pytest.mark.parametrize(
    "name", [*CUTS, "ssast:s10-concat", "ssast:superb", "ssamba:t64", "ssamba:superb-expert-concat"]
)
@pytest.mark.parametrize("samples", [1, 399, 400, 559, 2799])
def test_a_short_clip_gives_finite_layers(noise: Noise, name: str, samples: int) -> None:
    upstream = small(name)
    for layer_name, layer in upstream.encode(noise(2, samples)).named():
        width = upstream.final_width if layer_name == "final" else upstream.widths[int(layer_name)]
        assert layer.shape[::2] == (2, width)
        assert layer.shape[1] >= 1
        assert layer.isfinite().all()


@every_family
def test_silence_gives_finite_layers(name: str) -> None:
    layers = small(name).encode(torch.full((1, 8000), 0.1))
    assert all(layer.isfinite().all() for _, layer in layers.named())


@pytest.mark.parametrize("name", [*CUTS, "ssast:s10-concat", "ssast:frame-superb-t208", "ssamba:superb-t208"])
def test_a_batch_is_what_its_clips_are_alone(noise: Noise, name: str) -> None:
    upstream, waves = small(name), noise(3, 12_000)
    alone = Layers.join([upstream.encode(wave[None]) for wave in waves], dim=0)
    assert_layers_close(upstream.encode(waves), alone, 1e-5)


@pytest.mark.parametrize("name", ["ssast", "ssast:s10", "ssamba", "ssamba:s10"])
def test_concatenated_frequencies_average_to_the_mean(noise: Noise, name: str) -> None:
    upstream, wave = with_tokens(name, "concat"), noise(2, 12_000)
    width = small(name).final_width
    for (_, tall), (_, flat) in zip(upstream.encode(wave).named(), small(name).encode(wave).named(), strict=True):
        assert tall.shape[-1] == upstream.final_width == (12 if "s10" in name else 8) * width
        assert_close(tall.unflatten(-1, (-1, width)).mean(2), flat, 1e-6)


def test_frames_have_one_row_to_concatenate(noise: Noise) -> None:
    wave = noise(1, 8000)
    one, other = (small(name).encode(wave).final for name in ("ssast:frame", "ssast:frame-concat"))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@every_family
@pytest.mark.parametrize("samples", [164_081, 400_000])
def test_a_long_clip_is_normalised_whole_and_its_windows_join(noise: Noise, name: str, samples: int) -> None:
    upstream, wave = small(name), noise(1, samples)
    assert upstream.longest == 164_080
    assert_layers_close(upstream.encode_in_windows(wave, 1), in_windows(upstream, wave), 1e-5)


@every_family
def test_a_clip_that_fits_is_one_window(noise: Noise, name: str) -> None:
    upstream, wave = small(name), noise(1, 164_080)
    torch.testing.assert_close(upstream.encode_in_windows(wave).final, upstream.encode(wave).final, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "least"), [("ssast", 16), ("ssast:frame", 2), ("ssamba", 16), ("ssast:frame-superb", 3)]
)
def test_fewer_frames_than_a_patch_are_refused(refused: Refused, name: str, least: int) -> None:
    assert with_tokens(name, f"t{least}").encode(torch.ones(1, 1)).final.shape[1] == 1
    for frames in (0, 1, least - 1, 120_001):
        with refused(f"images of {least} to 120000 frames can be made, not of {frames}"):
            with_tokens(name, f"t{frames}")


# Front ends.


@every_family
def test_each_clips_mean_is_removed_first(noise: Noise, name: str) -> None:
    waves = noise(2, 8000) + torch.tensor([[0.5], [-0.2]])
    normalised = small(name).normalise(waves)
    torch.testing.assert_close(normalised.mean(-1), torch.zeros(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(normalised.diff(), waves.diff(), rtol=0, atol=1e-6)


@every_family
def test_the_superb_front_end_leaves_the_mean_in(noise: Noise, name: str) -> None:
    waves = noise(2, 8000) + 0.5
    torch.testing.assert_close(with_tokens(name, "superb").normalise(waves), waves, rtol=0, atol=0)


@every_family
@pytest.mark.parametrize(("pad", "filling"), [("dataset", 4.2677393 / (2 * 4.5689974)), ("superb", 0.0)])
def test_a_short_image_is_filled_before_or_after_it_is_normalised(
    noise: Noise, monkeypatch: pytest.MonkeyPatch, name: str, pad: str, filling: float
) -> None:
    upstream = with_tokens(name, "t64", pad)
    with watched(upstream, monkeypatch) as seen:
        upstream.encode(noise(1, 8000))
    assert seen[0].shape == (1, 64, 128)
    torch.testing.assert_close(seen[0][:, -1], torch.full((1, 128), filling), rtol=0, atol=1e-6)


@every_family
def test_a_long_image_loses_its_end(noise: Noise, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    upstream, wave = with_tokens(name, "t64"), noise(1, 20_000)
    with watched(upstream, monkeypatch) as seen:
        upstream.encode_in_windows(wave)
    whole = upstream.statistics.normalise(fbank(wave - wave.mean(), window="hanning"))
    assert_close(seen[0], whole[:, :64], 1e-5)


@pytest.mark.parametrize("tokens", ["s16", "s10", "frame-s2", "frame-s1"])
@pytest.mark.parametrize("samples", [100, 16_000, 160_000, 165_000])
def test_the_frames_of_superbs_windows_end_where_the_clip_ends(noise: Noise, tokens: str, samples: int) -> None:
    patch, stride = 2 if "frame" in tokens else 16, int(tokens.partition("s")[2])
    in_a_window = 1 + (1000 - patch) // stride
    frames = min(-(-samples // 160_000) * in_a_window, -(-samples // (160 * stride)))
    assert small(f"ssast:{tokens}-superb").encode(noise(1, samples)).final.shape[1] == frames


@every_family
def test_superbs_windows_are_encoded_each_for_itself(noise: Noise, name: str) -> None:
    upstream, wave = with_tokens(name, "t100", "superb"), noise(1, 40_000)
    together = upstream.encode(wave).final
    first, second, third = (upstream.encode(part).final for part in wave.split(16_000, dim=1))
    assert_close(together, torch.cat([first, second, third], dim=1)[:, : together.shape[1]], 1e-5)


@every_family
@pytest.mark.parametrize("padding", [1000, 40_000])
def test_zeros_at_the_end_leave_superbs_frames_as_they_were(noise: Noise, name: str, padding: int) -> None:
    upstream, wave = with_tokens(name, "t100", "superb"), noise(1, 20_000)
    alone = upstream.encode(wave).final
    padded = upstream.encode(functional.pad(wave, (0, padding))).final
    assert not upstream.padding_changes_output
    assert small(name).padding_changes_output
    assert_close(padded[:, : alone.shape[1]], alone, 1e-6)


def test_superbs_last_window_is_filled_with_silence_and_then_with_nothing(noise: Noise) -> None:
    statistics = _patches.STATISTICS["audioset"]
    windows = superb_windows(noise(2, 20_000), statistics, 100)
    assert windows.shape == (2, 2, 100, 128)
    silence = (math.log(torch.finfo(torch.float32).eps) - statistics.mean) / (2 * statistics.std)
    torch.testing.assert_close(windows[:, 1, 25:98], torch.full((2, 73, 128), silence), rtol=0, atol=1e-5)
    assert not windows[:, :, 98:].any()


@every_family
def test_the_published_statistics_are_named_in_the_grammar(name: str) -> None:
    for word, statistics in _patches.STATISTICS.items():
        assert with_tokens(name, word).statistics == statistics
    assert small(name).statistics == _patches.STATISTICS["audioset"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_images_are_exact_in_lower_precisions(noise: Noise, dtype: torch.dtype) -> None:
    wave, statistics = noise(1, 16_000), Statistics(-4.0, 4.0)
    with torch.autocast("cpu", dtype):
        images = log_mel(wave, statistics, 128), superb_windows(wave, statistics, 128)
    wanted = log_mel(wave, statistics, 128), superb_windows(wave, statistics, 128)
    torch.testing.assert_close(images, wanted, rtol=0, atol=0)


# Position tables.


@pytest.mark.parametrize("grid", [(8, 64), (8, 8), (12, 12), (1, 512)])
def test_positions_that_fit_are_left_as_they_are(noise: Noise, grid: tuple[int, int]) -> None:
    table = noise(math.prod(grid), 6)
    assert adapt_positions(table, grid, grid) is table


@pytest.mark.parametrize(("rows", "columns"), [(8, 64), (1, 512)])
@pytest.mark.parametrize("wanted", [1, 13, 32, 63])
def test_a_shorter_image_takes_the_middle_of_the_position_table(
    noise: Noise, rows: int, columns: int, wanted: int
) -> None:
    table, first = noise(rows * columns, 6), columns // 2 - wanted // 2
    got = adapt_positions(table, (rows, columns), (rows, wanted)).reshape(rows, wanted, 6)
    torch.testing.assert_close(got, table.reshape(rows, columns, 6)[:, first : first + wanted], rtol=0, atol=0)


@pytest.mark.parametrize(("trained", "wanted"), [((8, 64), (8, 101)), ((8, 64), (12, 101)), ((1, 512), (1, 1023))])
def test_a_larger_image_stretches_the_position_table(
    noise: Noise, trained: tuple[int, int], wanted: tuple[int, int]
) -> None:
    table = noise(math.prod(trained), 3)

    def stretched(x: np.ndarray[Any, Any], axis: int) -> np.ndarray[Any, Any]:
        at = (np.arange(wanted[axis]) + 0.5) * trained[axis] / wanted[axis] - 0.5
        return np.apply_along_axis(lambda column: np.interp(at, np.arange(trained[axis]), column), axis, x)

    grid = stretched(stretched(table.reshape(*trained, 3).double().numpy(), 1), 0)
    got = adapt_positions(table, trained, wanted)
    torch.testing.assert_close(got, torch.from_numpy(grid).reshape(-1, 3).float(), rtol=0, atol=5e-5)


# Files and controls.


@pytest.mark.parametrize("name", [*CUTS, "ssast:concat", "ssamba:expert"])
def test_what_is_saved_gives_the_same_bits(tmp_path: Path, noise: Noise, name: str) -> None:
    upstream, wave, path = small(name), noise(1, 8000), tmp_path / "saved.pth"
    upstream.save(path)
    again = load(f"{name}@{path}")
    assert (again.longest, again.parameters) == (upstream.longest, upstream.parameters)
    assert_layers_close(again.encode(wave), upstream.encode(wave), 0.0)


@every_family
def test_weights_are_saved_in_the_published_form(tmp_path: Path, name: str) -> None:
    small(name).save(tmp_path / "saved.pth")
    state = torch.load(tmp_path / "saved.pth", weights_only=True)
    sizes = {"module.p_input_fdim": 128, "module.p_input_tdim": 1024}
    assert {name: int(state[name]) for name in sizes} == sizes
    assert all(name in sizes or name.startswith("module.v.") for name in state)
    assert sum(tensor.numel() for tensor in state.values()) == small(name).parameters + len(sizes)


@every_family
def test_a_small_control_is_built_alike_and_small(name: str) -> None:
    upstream = small(name)
    assert upstream.parameters < 250_000
    assert upstream.widths == (upstream.final_width,) * 3
    assert (upstream.frame_rate, upstream.longest) == (Fraction(50 if "frame" in name else Fraction(25, 4)), 164_080)


@every_family
def test_the_untrained_control_is_the_same_every_time(noise: Noise, name: str) -> None:
    wave, finals = noise(1, 4000), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        finals.append(untrained(name).encode(wave).final)
    torch.testing.assert_close(*finals, rtol=0, atol=0)


@every_family
def test_the_untrained_control_leaves_other_random_numbers_alone(name: str) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(4)
    torch.manual_seed(5)
    untrained(name)
    torch.testing.assert_close(torch.rand(4), wanted, rtol=0, atol=0)


@every_family
def test_nothing_in_it_is_trained(name: str) -> None:
    network = small(name).network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
