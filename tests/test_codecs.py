"""EnCodec and DAC against transformers' own."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from torch.nn.functional import pad

import harness
from harness.testing import Subject

from reference import Noise, moved_by_a_click

STEREO: dict[str, Any] = {
    **{"sampling_rate": 48_000, "audio_channels": 2, "target_bandwidths": [3.0, 6.0, 12.0, 24.0]},
    **{"use_causal_conv": False, "norm_type": "time_group_norm", "normalize": True},
    **{"chunk_length_s": 1.0, "overlap": 0.01},
}
ENCODEC: dict[str, Any] = {"num_filters": 4, "hidden_size": 16}
DAC: dict[str, Any] = {"encoder_hidden_size": 4, "decoder_hidden_size": 16, "n_codebooks": 3, "codebook_size": 32}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small models in the published form."""
    root = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    models = {
        "mono": transformers.EncodecModel(transformers.EncodecConfig(**ENCODEC)),
        "stereo": transformers.EncodecModel(transformers.EncodecConfig(**ENCODEC, **STEREO)),
        "dac": transformers.DacModel(transformers.DacConfig(**DAC, downsampling_ratios=[2, 4, 5, 8])),
    }
    extractors = {
        "mono": transformers.EncodecFeatureExtractor(),
        "stereo": transformers.EncodecFeatureExtractor(2, 48_000, chunk_length_s=1.0, overlap=0.01),
        "dac": transformers.DacFeatureExtractor(hop_length=320),
    }
    for name, model in models.items():
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim < 3:
                    parameter.add_(torch.randn(parameter.shape), alpha=0.05)
        for layer in getattr(model.quantizer, "layers", []):
            nn.init.normal_(layer.codebook.embed, std=0.05)
        model.save_pretrained(root / name)
        extractors[name].save_pretrained(root / name)
    return {name: root / name for name in models}


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    """As upstreams encode: LSTMs compute otherwise with them."""
    with torch.no_grad():
        yield


def load(folders: dict[str, Path], name: str) -> tuple[Any, Any, Any]:
    """The upstream, transformers' model and its front end."""
    family, cls = ("dac", "Dac") if name == "dac" else ("encodec", "Encodec")
    model = getattr(transformers, f"{cls}Model").from_pretrained(folders[name]).eval()
    extractor = getattr(transformers, f"{cls}FeatureExtractor").from_pretrained(folders[name])
    return harness.upstream(f"{family}@{folders[name]}", device="cpu"), model, extractor


@pytest.mark.parametrize("samples", [1, 319, 320, 16_000, 20_123])
def test_encodec_gives_its_latents_and_their_codes(folders: dict[str, Path], samples: int, noise: Noise) -> None:
    upstream, model, _ = load(folders, "mono")
    wave = noise(2, samples)
    layers = upstream.encode(wave)
    filled = pad(wave, (0, -samples % 320))[:, None]
    codes = model.encode(filled, bandwidth=24.0).audio_codes[0]
    assert codes.shape[1] == 32
    assert torch.equal(layers.hidden[0], model.encoder(filled).transpose(1, 2))
    assert torch.equal(layers.final, model.quantizer.decode(codes.transpose(0, 1)).transpose(1, 2))
    assert layers.final.shape == (2, math.ceil(samples / 320), 16)


@pytest.mark.parametrize("seconds", [1, 2])
def test_encodec_in_stereo_hears_normalised_seconds(folders: dict[str, Path], seconds: int, noise: Noise) -> None:
    upstream, model, extractor = load(folders, "stereo")
    wave = noise(2, seconds * 48_000)
    layers = upstream.encode(wave)
    for second, part in zip(layers.final.split(150, dim=1), wave.split(48_000, dim=1), strict=True):
        inputs = extractor([clip.expand(2, -1).numpy() for clip in part], sampling_rate=48_000, return_tensors="pt")
        # The authors' pieces overlap by 10 ms, so a second one begins at the end of the first.
        codes = model.encode(inputs["input_values"], inputs["padding_mask"][:, None], bandwidth=24.0).audio_codes[0]
        assert codes.shape == (2, 16, 150)
        wanted = model.quantizer.decode(codes.transpose(0, 1)).transpose(1, 2)
        torch.testing.assert_close(second, wanted, rtol=0, atol=1e-5)
    assert upstream.longest == 30 * 48_000


def test_encodec_in_stereo_does_not_hear_how_loud_a_clip_is(folders: dict[str, Path], noise: Noise) -> None:
    upstream, _, _ = load(folders, "stereo")
    wave = noise(1, 48_000)
    torch.testing.assert_close(upstream.encode(3 * wave).hidden[0], upstream.encode(wave).hidden[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 319, 320, 16_000, 20_123])
def test_dac_gives_its_latents_and_their_codes(folders: dict[str, Path], samples: int, noise: Noise) -> None:
    upstream, model, extractor = load(folders, "dac")
    for clip in noise(2, samples):
        inputs = extractor(clip.numpy(), sampling_rate=16_000, return_tensors="pt")["input_values"]
        layers = upstream.encode(clip[None])
        assert torch.equal(layers.hidden[0], model.encoder(inputs).transpose(1, 2))
        assert torch.equal(layers.final, model.encode(inputs).quantized_representation.transpose(1, 2))
        assert layers.final.shape == (1, math.ceil(samples / 320), 64)


def test_untrained_codebooks_are_not_empty(noise: Noise) -> None:
    for name in ("encodec", "encodec:48khz", "dac"):
        upstream = Subject.of(f"{name}@untrained", quick=True).upstream
        assert upstream.encode(noise(1, 9000)).final.std() > 1e-3


def test_a_causal_frame_hears_nothing_after_its_samples(folders: dict[str, Path], noise: Noise) -> None:
    upstream, _, _ = load(folders, "mono")
    wave = noise(1, 16_000)
    for frame in (7, 30):
        for sample in (320 * frame, 320 * frame + 319):
            assert int(moved_by_a_click(upstream, wave, sample).nonzero()[0]) == frame


def test_the_middle_of_a_frame_is_that_of_what_its_convolutions_hear(folders: dict[str, Path]) -> None:
    # Half a sample; then by how much each convolution looks ahead of its own output, times the hop at its input.
    causal = Fraction(1, 2) - 3 - 1.5 - (2 + 1) - (8 + 4) - (40 + 20) - 3 * 320
    centred = Fraction(1, 2) + Fraction(1, 2) + Fraction(3, 2) * 2 + Fraction(3, 2) * 8 + Fraction(7, 2) * 40
    assert load(folders, "mono")[0].frame_offset == Fraction(causal) / 24_000
    assert load(folders, "stereo")[0].frame_offset == centred / 48_000
    assert load(folders, "dac")[0].frame_offset == centred / 16_000


@pytest.mark.parametrize("name", ["stereo", "dac"])
def test_a_click_moves_the_frames_around_it(folders: dict[str, Path], name: str, noise: Noise) -> None:
    upstream, _, _ = load(folders, name)
    rate, wave = upstream.sample_rate, noise(1, 48_000)
    before = upstream.encode(wave).hidden[0]
    for frame in (40, 75):
        centre = round((upstream.frame_offset + frame / upstream.frame_rate) * rate)
        clicked = wave.clone()
        clicked[0, centre - 40 : centre + 40] += noise(80, seed=frame)
        moved = (upstream.encode(clicked).hidden[0] - before).norm(dim=-1)[0]
        heard = (moved >= moved.max() / 2).nonzero().double()
        assert abs(float(heard.mean()) - frame) <= 1
