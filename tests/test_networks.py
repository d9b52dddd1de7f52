"""Networks compute what their papers say, written down once more in float64, and are exactly as large."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from harness.features import Frames, Pooled
from harness.networks import NETWORKS, Probe, SpeakerLinear, build, no_grad_outputs

Noise = Callable[..., Tensor]
Doubles = npt.NDArray[np.float64]

WIDTH, OUTPUTS = 12, 5
#: Every network, HEAR's with one hidden layer and with two.
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NETWORKS),
    ("hear-mlp", {"hidden_layers": 2, "init": "normal"}),
]


def made(name: str, setting: dict[str, Any], width: int = WIDTH, outputs: int = OUTPUTS) -> nn.Module:
    """A network in use, whose weights and running statistics are all drawn by lot."""
    network = NETWORKS[name](width, outputs, **setting).eval()
    random = torch.Generator().manual_seed(3)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            tensor.data = 0.3 * torch.randn(tensor.shape, generator=random)
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.data = buffer.abs() + 0.5
    return network


def numbers(network: nn.Module) -> dict[str, Doubles]:
    return {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}


def linear(x: Doubles, w: dict[str, Doubles], name: str) -> Doubles:
    out: Doubles = x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
    return out


def normed(x: Doubles, w: dict[str, Doubles], name: str) -> Doubles:
    """Batch normalisation as it is in use."""
    mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
    out: Doubles = (x - mean) / np.sqrt(var + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]
    return out


def by_hand(name: str, x: Doubles, w: dict[str, Doubles]) -> Doubles:
    """What a network in use makes of (clip, width)."""
    if name == "superb-linear":
        return linear(linear(x, w, "0"), w, "1")
    if name == "hear-mlp":
        for first in ("0", "4")[: (len(w) - 2) // 7]:
            x = normed(linear(x, w, first), w, str(int(first) + 1)).clip(min=0)
        return linear(x, w, "8" if "8.weight" in w else "4")
    if name == "arch-nonlinear":
        return linear(linear(x, w, "0").clip(min=0), w, "3")
    if name == "xares-linear":
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return linear(x * w["0.weight"] + w["0.bias"], w, "1")
    if name == "speaker-linear":
        return linear(x, w, "embed")
    return x @ w["weight"].T + w["bias"]


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_a_network_computes_what_its_paper_says(name: str, setting: dict[str, Any], noise: Noise) -> None:
    network, x = made(name, setting), 10 * noise(6, WIDTH) + 0.3
    expected = by_hand(name, x.double().numpy(), numbers(network))
    np.testing.assert_allclose(network(x).detach(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "setting"), CASES)
@pytest.mark.parametrize("shape", [(4,), (2, 7)])
def test_a_network_gives_so_many_numbers_for_clips_and_for_frames(
    name: str, setting: dict[str, Any], shape: tuple[int, ...], noise: Noise
) -> None:
    x = noise(*shape, WIDTH)
    for network in (made(name, setting), made(name, setting).train()):
        assert network(x).shape == (*shape, 512 if name == "speaker-linear" else OUTPUTS)


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_frames_are_answered_as_clips_are(name: str, setting: dict[str, Any], noise: Noise) -> None:
    network, x = made(name, setting), noise(2, 7, WIDTH)
    torch.testing.assert_close(network(x).flatten(0, 1), network(x.flatten(0, 1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [1, 12, 768])
@pytest.mark.parametrize("c", [1, 12, 50])
@pytest.mark.parametrize(
    ("name", "setting", "count"),
    [
        ("superb-linear", {}, lambda d, c: d * 256 + 256 + 256 * c + c),
        ("hear-mlp", {}, lambda d, c: d * 1024 + 3 * 1024 + 1024 * c + c),
        ("hear-mlp", {"hidden_layers": 2}, lambda d, c: d * 1024 + 1024 * 1024 + 6 * 1024 + 1024 * c + c),
        ("arch-linear", {}, lambda d, c: d * c + c),
        ("arch-nonlinear", {}, lambda d, c: d * d + d + d * c + c),
        ("evar-linear", {}, lambda d, c: d * c + c),
        ("xares-linear", {}, lambda d, c: 2 * d + d * c + c),
        ("speaker-linear", {}, lambda d, c: d * 512 + 512 + 512 * c),
    ],
)
def test_a_network_is_as_large_as_published(
    name: str, setting: dict[str, Any], count: Callable[[int, int], int], width: int, c: int
) -> None:
    network = NETWORKS[name](width, c, **setting)
    assert sum(parameter.numel() for parameter in network.parameters()) == count(width, c)


def test_superbs_head_on_thirteen_layers_of_768_has_199961_weights() -> None:
    probe = build("superb-linear", (13, 768), 12, ("weighted-sum", "mean"), {})
    assert sum(parameter.numel() for parameter in probe.parameters()) == 199_961


# How weights are drawn, and what is dropped.


@pytest.mark.parametrize("hidden", [1, 2])
@pytest.mark.parametrize("init", ["uniform", "normal"])
def test_hears_weights_are_drawn_by_glorots_rule_with_the_gain_of_what_comes_before(hidden: int, init: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS["hear-mlp"](700, 400, hidden_layers=hidden, init=init)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in layers] == [700, 1024, 1024][: hidden + 1]
    for layer, gain in zip(layers, [1, 2**0.5, 2**0.5], strict=False):
        std = gain * (2 / (layer.in_features + layer.out_features)) ** 0.5
        weight = layer.weight.detach().double()
        assert weight.mean().item() == pytest.approx(0, abs=0.01 * std)
        assert weight.std().item() == pytest.approx(std, rel=0.01)
        # No number of a uniform draw is beyond the root of 3, and a normal draw of so many goes beyond 4.
        largest = weight.abs().max().item() / std
        assert largest == pytest.approx(3**0.5, rel=1e-3) if init == "uniform" else largest > 4


@pytest.mark.parametrize("hidden", [1, 2])
def test_hears_hidden_layers_are_normed_then_dropped_then_cut(hidden: int) -> None:
    network = NETWORKS["hear-mlp"](WIDTH, OUTPUTS, hidden_layers=hidden)
    layers = [layer for layer in network.modules() if not list(layer.children())]
    block = [nn.Linear, nn.BatchNorm1d, nn.Dropout, nn.ReLU]
    assert all(isinstance(*pair) for pair in zip(layers, [*block * hidden, nn.Linear], strict=True))


@pytest.mark.parametrize("shape", [(64,), (4, 16)])
def test_hears_network_norms_over_the_batch_while_it_learns(shape: tuple[int, ...], noise: Noise) -> None:
    network = made("hear-mlp", {}).train()
    norm = next(layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d))
    nn.init.ones_(norm.weight)
    nn.init.zeros_(norm.bias)
    out = norm(20 * noise(*shape, 1024) + 1).flatten(0, -2)
    torch.testing.assert_close(out.mean(0), torch.zeros(1024), rtol=0, atol=1e-4)
    torch.testing.assert_close(out.std(0, correction=0), torch.ones(1024), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["hear-mlp", "arch-nonlinear"])
def test_a_tenth_is_dropped_while_learning_and_nothing_in_use(name: str) -> None:
    torch.manual_seed(1)
    dropout = next(layer for layer in NETWORKS[name](8, 2).modules() if isinstance(layer, nn.Dropout))
    kept = dropout(torch.ones(100_000))
    assert (kept == 0).float().mean().item() == pytest.approx(0.1, abs=0.005)
    assert kept.max().item() == pytest.approx(1 / 0.9)
    assert torch.equal(dropout.eval()(torch.ones(9)), torch.ones(9))


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"hear-mlp", "arch-nonlinear"}))
def test_other_networks_learn_as_they_are_used(name: str, noise: Noise) -> None:
    network, x = made(name, {}), noise(4, WIDTH)
    assert torch.equal(network.train()(x), network.eval()(x))


# Speakers.


def test_the_speaker_heads_output_is_the_embedding_before_it_is_normed(noise: Noise) -> None:
    head, x = made("speaker-linear", {}), noise(4, WIDTH)
    assert isinstance(head, SpeakerLinear)
    assert torch.equal(head(x), head.embed(x))
    assert head(x).norm(dim=1).std() > 1e-3


# Probes.


def random_probe(name: str, join: str, pool: str, layers: int, width: int = WIDTH) -> Probe:
    """A probe in use, with unequal layer weights."""
    torch.manual_seed(6)
    probe = build(name, (layers, width), OUTPUTS, (join, pool), {}).eval()
    for key, parameter in probe.interface.named_parameters():
        if key == "join.logits":
            parameter.data.normal_()
    return probe


def test_a_probe_is_its_interface_and_then_its_network(noise: Noise) -> None:
    probe, x = random_probe("arch-nonlinear", "weighted-sum", "attention", 4), noise(3, 6, 4, WIDTH)
    mask = torch.arange(6) < torch.tensor([6, 2, 4])[:, None]
    assert torch.equal(probe(x, mask), probe.head(probe.interface(x, mask)))


def test_outputs_are_given_without_learning(noise: Noise) -> None:
    probe, x = random_probe("hear-mlp", "weighted-sum", "mean", 4).train(), noise(10, 4, WIDTH)
    before = {key: tensor.clone() for key, tensor in probe.state_dict().items()}
    out = no_grad_outputs(probe, x, None)
    assert torch.equal(no_grad_outputs(probe, x, None), out)
    assert not out.requires_grad
    assert all(torch.equal(tensor, before[key]) for key, tensor in probe.state_dict().items())


# What is stored of a clip is all that SUPERB's head sees of it.

LENGTHS = (149, 61, 298, 1, 7)


@pytest.fixture(scope="module")
def clips(noise: Noise) -> list[Tensor]:
    """Whole clips of unequal length and unlike each other: (frame, layer, width) of thirteen layers of 768."""
    return [10 * (noise(n, 13, 768, seed=i) + noise(1, 13, 768, seed=50 + i)) for i, n in enumerate(LENGTHS)]


def pooled(clips: list[Tensor]) -> Pooled:
    return Pooled(np.stack([clip.mean(0).numpy() for clip in clips]))


def frames(clips: list[Tensor]) -> Frames:
    return Frames([[[layer] for layer in clip.unbind(1)] for clip in clips])


def superb(probe: Probe, clip: Tensor) -> Doubles:
    """SUPERB's way, frame by frame: sum the layers up, project; then average the frames, and answer."""
    w = numbers(probe)
    shares = np.exp(w["interface.join.logits"]) / np.exp(w["interface.join.logits"]).sum()
    projected = [linear(shares @ frame, w, "head.0") for frame in clip.double().numpy()]
    return linear(np.mean(projected, axis=0), w, "head.1")


def test_superbs_head_sees_all_of_a_clip_in_the_means_of_its_layers(clips: list[Tensor]) -> None:
    probe = random_probe("superb-linear", "weighted-sum", "mean", 13, 768)
    expected = np.stack([superb(probe, clip) for clip in clips])
    everyone = np.arange(len(clips))
    from_means = no_grad_outputs(probe, *pooled(clips).batch(everyone)).numpy()
    from_frames = no_grad_outputs(probe, *frames(clips).batch(everyone)).numpy()
    assert np.ptp(expected, axis=0).min() > 0.2
    assert np.abs(from_means - expected).max() < 1e-5
    assert np.abs(from_frames - expected).max() < 1e-5


@pytest.mark.parametrize(("join", "pool"), [("conv", "mean"), ("weighted-sum", "attention")])
def test_what_bends_or_weighs_single_frames_sees_more_than_means(clips: list[Tensor], join: str, pool: str) -> None:
    probe = random_probe("superb-linear", join, pool, 13, 768)
    each = [clip[None] for clip in clips if len(clip) > 1]
    from_frames = torch.cat([no_grad_outputs(probe, clip, None) for clip in each])
    from_means = torch.cat([no_grad_outputs(probe, clip.mean(1, keepdim=True), None) for clip in each])
    assert (from_frames - from_means).abs().amax(1).min() > 1e-3


@pytest.mark.parametrize("name", ["hear-mlp", "arch-nonlinear", "xares-linear"])
def test_only_a_linear_head_answers_the_mean_as_it_answers_the_frames_on_average(name: str, noise: Noise) -> None:
    x = 10 * noise(40, WIDTH)
    for each, exact in ((name, False), ("superb-linear", True), ("arch-linear", True)):
        network = made(each, {})
        gap = (network(x).mean(0) - network(x.mean(0, keepdim=True))[0]).abs().max()
        assert (gap < 1e-5) == exact
