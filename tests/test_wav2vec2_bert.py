"""W2v-BERT against transformers' own, from folders that hold more than the encoder."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from checkpoints import load, perturb
from reference import Noise, assert_layers_close, layers_of, moved_by_a_click

SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def write(model: Any, path: Path) -> Path:
    perturb(model)
    model.save_pretrained(path)
    settings = {"feature_size": 80, "num_mel_bins": 80, "padding_value": 1, "sampling_rate": 16_000, "stride": 2}
    (path / "preprocessor_config.json").write_text(json.dumps(settings | {"return_attention_mask": True}))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in the published form."""
    config = transformers.Wav2Vec2BertConfig(**SIZES)
    return write(transformers.Wav2Vec2BertModel(config), tmp_path_factory.mktemp("weights") / "small")


@pytest.fixture(scope="module")
def network(folder: Path) -> Any:
    return transformers.Wav2Vec2BertModel.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def upstream(folder: Path) -> Any:
    return load(f"wav2vec2_bert@{folder}")


def inputs_of(folder: Path, wave: Tensor) -> Any:
    """The front end of transformers, clip by clip, with its mask."""
    front_end = transformers.SeamlessM4TFeatureExtractor.from_pretrained(folder)
    return front_end(list(wave.numpy()), sampling_rate=16_000, return_tensors="pt")


def test_the_layers_are_transformers_own(network: Any, upstream: Any, noise: Noise) -> None:
    wave = noise(2, 20_000)
    layers = upstream.encode(wave)
    with torch.no_grad():
        wanted = layers_of(network(upstream.log_mel(wave), output_hidden_states=True))
    assert len(layers.hidden) == 3
    assert_layers_close(layers, wanted, 0.0)


@pytest.mark.parametrize("samples", [560, 719, 720, 16_000, 16_160, 48_000])
def test_the_front_end_is_the_authors(folder: Path, upstream: Any, samples: int, noise: Noise) -> None:
    wave = noise(2, samples)
    inputs = inputs_of(folder, wave)
    frames = int(inputs["attention_mask"].sum(-1)[0])
    ours, theirs = upstream.log_mel(wave), inputs["input_features"][:, :frames]
    assert ours.shape == theirs.shape == (2, (1 + (samples - 400) // 160) // 2, 160)
    assert (ours - theirs).abs().max() < 1e-2
    assert (ours - theirs).abs().mean() < 1e-4


@pytest.mark.parametrize("samples", [16_000, 16_160])
def test_the_authors_mask_hides_what_is_left_out(
    folder: Path, network: Any, upstream: Any, samples: int, noise: Noise
) -> None:
    wave = noise(2, samples)
    with torch.no_grad():
        theirs = network(**inputs_of(folder, wave)).last_hidden_state
    ours = upstream.encode(wave).final
    torch.testing.assert_close(ours, theirs[:, : ours.shape[1]], rtol=1e-3, atol=1e-3)


def test_a_clip_below_two_log_mel_frames_is_filled_with_zeros(upstream: Any, noise: Noise) -> None:
    wave = noise(1, 500)
    filled = torch.nn.functional.pad(wave, (0, 60))
    assert upstream.shortest == 560
    assert torch.equal(upstream.encode(wave).final, upstream.encode(filled).final)


def test_heads_and_adapters_are_left_out_and_named(tmp_path: Path, noise: Noise) -> None:
    config = transformers.Wav2Vec2BertConfig(**SIZES, vocab_size=9, add_adapter=True)
    model = transformers.Wav2Vec2BertForCTC(config).eval()
    upstream = load(f"wav2vec2_bert@{write(model, tmp_path)}")
    assert upstream.found["ignored keys"] == ["lm_head.bias", "lm_head.weight", "wav2vec2_bert.adapter.* (22)"]
    whole, wave = model.wav2vec2_bert, noise(1, 9000)
    with torch.no_grad():
        output = whole.encoder(whole.feature_projection(upstream.log_mel(wave))[0])
    assert torch.equal(upstream.encode(wave).final, output.last_hidden_state)


def test_a_click_moves_the_frame_that_is_centred_on_it(upstream: Any, noise: Noise) -> None:
    wave = noise(1, 16_000)
    for frame in (5, 21, 40):
        assert upstream.frame_offset + frame / upstream.frame_rate == Fraction(320 * frame + 280, 16_000)
        assert int(moved_by_a_click(upstream, wave, 320 * frame + 280).argmax()) == frame
