"""CLAP's audio tower against transformers' own, from folders that hold the text tower too."""

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from checkpoints import change, load, perturb
from reference import Noise, moved_by_a_click

#: Two seconds: 201 log-mel frames of 16 bins, stretched to 256 and cut in 4 strips of 64.
LONGEST = 2 * 48_000
STRIPS, FRAMES = 4, 16
TOWER: dict[str, Any] = {
    **{"spec_size": 64, "num_mel_bins": 16, "window_size": 4, "patch_embeds_hidden_size": 8, "hidden_size": 32},
    **{"depths": (2, 1, 1), "num_attention_heads": (2, 2, 4), "projection_dim": 16},
}
TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 99,
}
SETTINGS = {"feature_size": 16, "sampling_rate": 48_000, "hop_length": 480, "max_length_s": 2, "fft_window_size": 1024}
BAND = {"frequency_min": 50, "frequency_max": 14_000}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A small model of both towers in the published form, without and with fusion."""
    root, paths = tmp_path_factory.mktemp("weights"), {}
    for fused in (False, True):
        tower = TOWER | ({"enable_fusion": True, "fusion_type": "aff_2d"} if fused else {})
        model = transformers.ClapModel(
            transformers.ClapConfig(text_config=TEXT, audio_config=tower, projection_dim=16)
        ).eval()
        perturb(model)
        norm = model.audio_model.audio_encoder.batch_norm
        norm.running_mean -= 20
        norm.running_var *= 50
        paths[fused] = root / ("fused" if fused else "unfused")
        model.save_pretrained(paths[fused])
        settings = SETTINGS | BAND | {"padding": "repeatpad", "truncation": "fusion" if fused else "rand_trunc"}
        (paths[fused] / "preprocessor_config.json").write_text(json.dumps(settings | {"top_db": None}))
    return paths


def images_of(folder: Path, wave: Tensor, **settings: Any) -> Tensor:
    """The front end of transformers, (clip, image, frame, bin)."""
    front_end = transformers.ClapFeatureExtractor.from_pretrained(folder, **settings)
    images: Tensor = front_end(list(wave.double().numpy()), sampling_rate=48_000, return_tensors="pt")["input_features"]
    return images


def in_time(maps: Tensor) -> list[Tensor]:
    """Maps (clip, width, row, column) one step of time after the other, averaged over frequency, then to frames."""
    rows = maps.shape[2] // STRIPS
    steps = [
        maps[:, :, strip * rows : (strip + 1) * rows, column].mean(-1)
        for strip in range(STRIPS)
        for column in range(maps.shape[3])
    ]
    pooled = len(steps) // FRAMES
    return [torch.stack(steps[i * pooled : (i + 1) * pooled]).mean(0) for i in range(FRAMES)]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("samples", [1, 20_000, LONGEST])
def test_the_layers_are_transformers_own(folders: dict[bool, Path], fused: bool, samples: int, noise: Noise) -> None:
    upstream, wave = load(f"clap@{folders[fused]}"), noise(2, samples)
    tower = transformers.ClapModel.from_pretrained(folders[fused]).audio_model.eval()
    images = upstream.log_mel(wave)[:, None].expand(-1, 4 if fused else 1, -1, -1)
    with torch.no_grad():
        output = tower(images, is_longer=torch.zeros(2, 1), output_hidden_states=True)
    layers = upstream.encode(wave)
    assert len(layers.hidden) == len(output.hidden_states) == 4
    for ours, theirs in zip(layers.hidden, output.hidden_states, strict=True):
        expected = torch.stack(in_time(theirs), dim=1)[:, : ours.shape[1]]
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        layers.final, output.last_hidden_state.mean(2).transpose(1, 2)[:, : layers.final.shape[1]], rtol=0, atol=1e-6
    )
    if samples == LONGEST:
        torch.testing.assert_close(layers.final.mean(1), output.pooler_output, rtol=0, atol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
def test_the_front_end_is_the_authors(
    folders: dict[bool, Path], tmp_path: Path, fused: bool, padding: str, noise: Noise
) -> None:
    shutil.copytree(folders[fused], tmp_path, dirs_exist_ok=True)
    upstream = load(f"clap@{change(tmp_path, 'preprocessor_config.json', padding=padding)}")
    for samples in (1, 1000, 40_000, 60_000, LONGEST):
        wave = noise(2, samples)
        theirs = images_of(tmp_path, wave)
        for image in range(theirs.shape[1]):
            assert (upstream.log_mel(wave) - theirs[:, image]).abs().max() < 1e-3  # decibels


def test_a_pure_tone_in_silence_is_heard_as_the_authors_do(folders: dict[bool, Path]) -> None:
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 / 48_000 * torch.arange(LONGEST))[None]
    theirs = images_of(folders[False], tone)[:, 0]
    assert theirs.max() - theirs.min() > 100
    assert (load(f"clap@{folders[False]}").log_mel(tone) - theirs).abs().max() < 0.1


def test_nothing_is_random(folders: dict[bool, Path], noise: Noise) -> None:
    wave = noise(2, LONGEST + 9000)
    for fused in (False, True):
        upstream, answers = load(f"clap@{folders[fused]}"), []
        for seed in (1, 2):
            np.random.seed(seed)
            torch.manual_seed(seed)
            answers.append(upstream.encode_in_windows(wave).final)
        assert torch.equal(*answers)


def test_the_images_for_longer_clips_have_no_part(folders: dict[bool, Path], noise: Noise) -> None:
    upstream, wave = load(f"clap@{folders[True]}"), noise(1, 20_000)
    before = upstream.encode(wave).final
    upstream.tower.audio_encoder.patch_embed.mel_conv2d.weight.fill_(7)
    assert torch.equal(upstream.encode(wave).final, before)


def test_a_repeated_clip_keeps_the_frames_of_its_first_time(folders: dict[bool, Path], noise: Noise) -> None:
    upstream = load(f"clap@{folders[False]}")
    assert upstream.frame_rate == 16 / (Fraction(256, 255) * 2)
    for samples, frames in ((1, 1), (6000, 1), (6030, 2), (24_000, 4), (48_000, 8), (LONGEST, 16), (LONGEST + 9, 16)):
        assert upstream.encode(noise(1, samples)).final.shape[1] == frames


def test_the_text_tower_is_left_out_and_named(folders: dict[bool, Path]) -> None:
    upstream, model = load(f"clap@{folders[False]}"), transformers.ClapModel.from_pretrained(folders[False])
    assert upstream.parameters == sum(parameter.numel() for parameter in model.audio_model.parameters())
    named = {key.partition(".")[0] for key in upstream.found["ignored keys"]}
    assert named == {"text_model", "text_projection", "logit_scale_a", "logit_scale_t"}


def test_a_click_moves_the_frame_that_is_centred_on_it(folders: dict[bool, Path], noise: Noise) -> None:
    upstream, wave = load(f"clap@{folders[False]}"), noise(1, LONGEST)
    for frame in (2, 7, 13):
        centre = upstream.frame_offset + frame / upstream.frame_rate
        moved = moved_by_a_click(upstream, wave, round(centre * 48_000))
        assert abs(centre - Fraction(frame * 2 + 1, 16)) < Fraction(1, 100)
        assert int(moved.argmax()) == frame
