"""Whisper's encoder against transformers' own, from folders that hold the whole model."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from checkpoints import change, load, perturb
from reference import Noise, moved_by_a_click

SECONDS = 2
SIZES: dict[str, Any] = {
    **{"d_model": 32, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 64},
    **{"decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 64, "vocab_size": 99},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3},
    **{"max_source_positions": 50 * SECONDS, "num_mel_bins": 80},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in the published form: encoder, decoder, and what turns states into words."""
    path = tmp_path_factory.mktemp("weights") / "small"
    config = transformers.WhisperConfig(**SIZES)
    torch.manual_seed(0)
    model = transformers.WhisperForConditionalGeneration(config)
    perturb(model)
    model.save_pretrained(path)
    transformers.WhisperFeatureExtractor(chunk_length=SECONDS).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Any:
    """transformers' encoder."""
    return transformers.WhisperModel.from_pretrained(folder).encoder.eval()


@pytest.fixture(scope="module")
def upstream(folder: Path) -> Any:
    return load(f"whisper@{folder}")


def image_of(folder: Path, wave: Tensor) -> Tensor:
    """The front end of transformers, clip by clip."""
    front_end = transformers.WhisperFeatureExtractor.from_pretrained(folder)
    clips = [front_end(clip.numpy(), sampling_rate=16_000, return_tensors="pt")["input_features"] for clip in wave]
    return torch.cat(clips)


@pytest.mark.parametrize("samples", [1, 159, 20_000, 32_000, 40_000])
def test_the_layers_are_transformers_own(folder: Path, encoder: Any, upstream: Any, samples: int, noise: Noise) -> None:
    wave = noise(2, samples)
    layers = upstream.encode(wave)
    with torch.no_grad():
        output = encoder(image_of(folder, wave), output_hidden_states=True)
    frames = min(-(-samples // 320), 50 * SECONDS)
    assert layers.final.shape == (2, frames, 32)
    assert torch.equal(layers.final, output.last_hidden_state[:, :frames])
    for ours, theirs in zip(layers.hidden[:-1], output.hidden_states[:-1], strict=True):
        assert torch.equal(ours, theirs[:, :frames])


def test_the_last_layer_is_what_the_last_norm_is_given(encoder: Any, upstream: Any, noise: Noise) -> None:
    layers = upstream.encode(noise(1, 20_000))
    assert len(layers.hidden) == 4
    assert torch.equal(encoder.layer_norm(layers.hidden[-1]), layers.final)
    assert not torch.allclose(layers.hidden[-1], layers.final, atol=0.1)


def test_the_front_end_is_transformers_own(folder: Path, upstream: Any, noise: Noise) -> None:
    for samples in (1, 20_000, 32_000, 40_000):
        wave = noise(2, samples)
        assert torch.equal(upstream.log_mel(wave), image_of(folder, wave))


def test_the_front_end_is_as_the_folder_says(folder: Path, tmp_path: Path, noise: Noise) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    upstream = load(f"whisper@{change(tmp_path, 'preprocessor_config.json', n_fft=512)}")
    wave = noise(1, 20_000)
    assert upstream.found["front end"]["n_fft"] == 512
    assert torch.equal(upstream.log_mel(wave), image_of(tmp_path, wave))
    assert not torch.equal(upstream.log_mel(wave), image_of(folder, wave))


def test_the_decoder_is_left_out_and_named(encoder: Any, upstream: Any) -> None:
    assert upstream.parameters == sum(parameter.numel() for parameter in encoder.parameters())
    assert not any("decoder" in name for name, _ in upstream.network.named_modules())
    assert any("decoder" in key for key in upstream.found["ignored keys"])


def test_a_model_without_a_head_gives_the_same(folder: Path, upstream: Any, tmp_path: Path, noise: Noise) -> None:
    transformers.WhisperModel.from_pretrained(folder).save_pretrained(tmp_path)
    transformers.WhisperFeatureExtractor(chunk_length=SECONDS).save_pretrained(tmp_path)
    bare = load(f"whisper@{tmp_path}")
    assert torch.equal(bare.encode(noise(1, 20_000)).final, upstream.encode(noise(1, 20_000)).final)


def test_a_click_moves_the_frame_that_is_centred_on_it(upstream: Any, noise: Noise) -> None:
    wave = noise(1, 32_000)
    for frame in (10, 47, 80):
        assert upstream.frame_rate == 50
        assert upstream.frame_offset == 0
        assert int(moved_by_a_click(upstream, wave, 320 * frame).argmax()) == frame
