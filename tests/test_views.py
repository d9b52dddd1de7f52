"""Views: what is kept of an upstream's layers, and how many bytes it takes."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.cards import Weights
from harness.models import Layers, Upstream
from harness.store import FeatureStore
from harness.views import View

Refused = Callable[[str], AbstractContextManager[None]]
Noise = Callable[..., Tensor]


class Toy(Upstream):
    """Ten frames a second of seeded noise, in layers of several widths."""

    revision = "1"
    sample_rate = 100
    widths = (3, 5, 4)
    final_width = 6

    def __init__(self, frame_rate: Fraction | None = Fraction(10)) -> None:
        super().__init__(Weights("none"), torch.device("cpu"))
        self.frame_rate = frame_rate

    def forward(self, wave: Tensor) -> Layers:
        frames = 1 if self.frame_rate is None else round(wave.shape[1] * self.frame_rate / self.sample_rate)
        random = torch.Generator().manual_seed(7)
        made = [torch.randn(len(wave), frames, w, generator=random) for w in (*self.widths, self.final_width)]
        return Layers(tuple(made[:-1]), made[-1])


NAMES = ("0", "1", "2", "final")
#: Far from mean 0 and variance 1, and every frame differently so.
HIDDEN = torch.tensor([1.0, 5.0, 0.1, 20.0, 3.0])[:, None]


@pytest.fixture
def layers(noise: Noise) -> Layers:
    """Two clips of five frames."""
    hidden = tuple(HIDDEN * noise(2, 5, 4, seed=i) + HIDDEN for i in range(3))
    return Layers(hidden, HIDDEN * noise(2, 5, 6, seed=9) + 1)


def reduce(view: str, layers: Layers, names: tuple[str, ...] = NAMES) -> Mapping[str, Tensor]:
    return View.parse(view).reduce(layers, names)


# What the names mean.


@pytest.mark.parametrize(
    "text",
    [
        "mean",
        "mean-ln",
        "mean-std",
        "mean-std-ln",
        "frames[0]:float32",
        "frames[0,6,final]:float16",
        "frames[final]:bfloat16",
        "frames-ln[2,final]:float16",
        "frames[all]:float16",
        "frames-ln[all]:float32",
    ],
)
def test_a_view_is_written_as_it_is_read(text: str) -> None:
    assert str(View.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mean",
        "mean ",
        "mean\n",
        "mean-ln-std",
        "mean-std-ln-ln",
        "std",
        "-ln",
        "max",
        "frames",
        "frames[]:float32",
        "frames[0]",
        "frames[0]:",
        "frames[0]:float64",
        "frames[0]:int8",
        "frames[0;1]:float32",
        "frames[0,]:float32",
        "frames[-1]:float32",
        "frames[last]:float32",
        "frames[0]:float32\n",
        "mean:float16",
        "mean-std[all]:float16",
        "frames-ln",
        "frames-std[0]:float16",
        "frames[0]-ln:float16",
        "frames[all,0]:float16",
        "frames[final,all]:float16",
        "frames[\u0663]:float16",
    ],
)
def test_what_is_no_view_is_refused(text: str, refused: Refused) -> None:
    with refused("there is no view"):
        View.parse(text)


def test_a_layer_that_is_named_twice_is_kept_once() -> None:
    assert View.parse("frames[2,0,2]:float32") == View.parse("frames[2,0]:float32")


@pytest.mark.parametrize("view", ["mean", "mean-ln", "mean-std", "mean-std-ln", "frames[all]:float16"])
def test_what_names_no_layers_keeps_all(view: str) -> None:
    assert View.parse(view).names(Toy()) == NAMES


def test_frames_keep_the_layers_that_they_name() -> None:
    assert View.parse("frames[2,final]:float16").names(Toy()) == ("2", "final")


def test_a_layer_that_the_upstream_lacks_is_refused(refused: Refused) -> None:
    with refused("asks for layer 3, and the layers are 0 to 2 and final"):
        View.parse("frames[0,3]:float16").names(Toy())


# What is kept.


def test_the_mean_is_that_over_frames(layers: Layers) -> None:
    kept = reduce("mean", layers)
    for name, layer in layers.named():
        torch.testing.assert_close(kept[name], sum(layer[:, i] for i in range(5)) / 5)


def test_mean_ln_normalises_each_frame_of_the_numbered_layers_before_the_mean(layers: Layers) -> None:
    kept = reduce("mean-ln", layers)
    for index, layer in enumerate(layers.hidden):
        centred = layer - layer.mean(-1, keepdim=True)
        normalised = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        torch.testing.assert_close(kept[str(index)], normalised.mean(1))


def test_mean_ln_is_not_the_normalised_mean(layers: Layers) -> None:
    mean = layers.hidden[0].mean(1)
    assert not torch.allclose(reduce("mean-ln", layers)["0"], torch.nn.functional.layer_norm(mean, (4,)), atol=0.1)


def test_mean_ln_leaves_final_as_the_authors_made_it(layers: Layers) -> None:
    assert torch.equal(reduce("mean-ln", layers)["final"], reduce("mean", layers)["final"])


@pytest.mark.parametrize("ln", ["", "-ln"])
def test_the_mean_of_mean_std_is_that_of_mean_to_the_last_bit(layers: Layers, ln: str) -> None:
    means = reduce(f"mean{ln}", layers)
    for name, kept in reduce(f"mean-std{ln}", layers).items():
        assert torch.equal(kept[:, : kept.shape[1] // 2], means[name])


def test_the_deviation_is_that_of_all_frames_not_of_a_sample_of_them(layers: Layers) -> None:
    for name, kept in reduce("mean-std", layers).items():
        layer = dict(layers.named())[name].double().numpy()
        np.testing.assert_allclose(kept[:, layer.shape[2] :], layer.std(1, ddof=0), rtol=1e-5)


def test_the_deviation_of_mean_std_ln_is_that_of_normalised_frames(layers: Layers) -> None:
    kept = reduce("mean-std-ln", layers)
    for index, layer in enumerate(layers.hidden):
        x = layer.double().numpy()
        normalised = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(kept[str(index)][:, 4:], normalised.std(1), rtol=1e-4)
    assert torch.equal(kept["final"], reduce("mean-std", layers)["final"])


@pytest.mark.parametrize("offset", [0.0, 1e4, -3e6])
def test_the_deviation_of_frames_that_are_all_alike_is_nought(offset: float, noise: Noise) -> None:
    same = (noise(2, 1, 6) + offset).expand(2, 500, 6)
    std = reduce("mean-std", Layers((same,), same), ("0",))["0"][:, 6:]
    assert torch.equal(std, torch.zeros(2, 6))


def test_a_small_deviation_from_a_large_mean_is_found(noise: Noise) -> None:
    layer = 1e4 + noise(2, 500, 6)
    std = reduce("mean-std", Layers((layer,), layer), ("0",))["0"][:, 6:]
    np.testing.assert_allclose(std, layer.double().numpy().std(1), rtol=1e-4)


def test_one_frame_has_no_deviation(noise: Noise) -> None:
    layer = noise(2, 1, 6)
    kept = reduce("mean-std", Layers((layer,), layer), ("0",))["0"]
    assert torch.equal(kept, torch.cat([layer[:, 0], torch.zeros(2, 6)], dim=1))


def test_frames_ln_averages_to_mean_ln(layers: Layers) -> None:
    means = reduce("mean-ln", layers)
    for name, kept in reduce("frames-ln[all]:float32", layers).items():
        assert torch.equal(kept.mean(1), means[name])


def test_frames_ln_leaves_final_as_the_authors_made_it(layers: Layers) -> None:
    assert torch.equal(reduce("frames-ln[all]:float32", layers)["final"], layers.final)


def test_float16_moves_a_number_by_at_most_2_to_the_minus_11_of_itself(noise: Noise) -> None:
    layer = torch.exp(100 * noise(1, 4000, 4)).clamp(2**-14, 65504)
    kept = reduce("frames[0]:float16", Layers((layer,), layer), ("0",))["0"]
    moved = ((kept.double() - layer.double()) / layer.double()).abs().max()
    assert 2**-13 < moved <= 2**-11


@pytest.mark.parametrize(("value", "finite"), [(65504.0, True), (-65504.0, True), (65520.0, False), (-1e6, False)])
def test_what_float16_cannot_hold_is_infinite_so_that_extraction_refuses_it(
    layers: Layers, value: float, finite: bool
) -> None:
    layers.hidden[1][0, 3, 2] = value
    kept = reduce("frames[1]:float16", layers, ("1",))["1"]
    assert bool(kept.isfinite().all()) == finite


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_frames_are_kept_as_numbers_of_the_kind_that_is_named(layers: Layers, dtype: str) -> None:
    kept = reduce(f"frames[1]:{dtype}", layers, ("1",))
    assert torch.equal(kept["1"], layers.hidden[1].to(getattr(torch, dtype)))


def test_layers_that_are_not_named_are_not_kept(layers: Layers) -> None:
    assert set(reduce("frames[2,final]:float16", layers, ("2", "final"))) == {"2", "final"}


@pytest.mark.parametrize("view", ["mean", "mean-ln", "mean-std", "mean-std-ln", "frames[all]:float32"])
def test_what_is_kept_of_a_clip_does_not_depend_on_its_batch(layers: Layers, view: str) -> None:
    alone = Layers(tuple(layer[1:] for layer in layers.hidden), layers.final[1:])
    for name, layer in reduce(view, alone).items():
        assert torch.equal(layer[0], reduce(view, layers)[name][1])


@pytest.mark.parametrize("view", ["mean", "mean-ln", "mean-std-ln", "frames[0]:float32", "frames-ln[0]:float32"])
def test_the_layers_themselves_are_left_alone(layers: Layers, view: str) -> None:
    before = layers.hidden[0].clone()
    reduce(view, layers)
    assert torch.equal(layers.hidden[0], before)


# How many bytes it takes.


@pytest.mark.parametrize("frame_rate", [Fraction(10), Fraction(25, 2), None])
@pytest.mark.parametrize(
    "view",
    ["mean", "mean-ln", "mean-std", "mean-std-ln", "frames[all]:float32", "frames[1]:float16", "frames-ln[2]:bfloat16"],
)
def test_the_forecast_of_bytes_is_what_the_store_takes(
    tmp_path: Path, noise: Noise, view: str, frame_rate: Fraction | None
) -> None:
    upstream, parsed, lengths = Toy(frame_rate), View.parse(view), [80, 160, 400]
    names = parsed.names(upstream)
    kept = [parsed.reduce(upstream.encode(noise(1, samples)), names) for samples in lengths]
    with closing(FeatureStore(tmp_path)) as store:
        shelf = store.shelf({"view": view})
        shelf.put("abc", {name: [layers[name][0] for layers in kept] for name in names})
        size = shelf.size()
        (data,) = (path.read_bytes() for path in shelf.shards.iterdir())
    header = 8 + int.from_bytes(data[:8], "little")
    frame_counts = 8 * len(lengths) if parsed.pool == "frames" else 0
    forecast = sum(parsed.bytes(upstream, samples / upstream.sample_rate) for samples in lengths)
    assert size - header - frame_counts == forecast
