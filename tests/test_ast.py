"""AST against transformers' own, from folders that hold a classifier too."""

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from checkpoints import change, load, perturb
from reference import Noise, moved_by_a_click

ROWS, COLUMNS, WIDTH = 12, 8, 32
FRAMES = 10 * (COLUMNS - 1) + 16
LONGEST = 400 + (FRAMES - 1) * 160
SIZES: dict[str, Any] = {
    **{"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    **{"max_length": FRAMES, "num_labels": 3},
}
SETTINGS = {"max_length": FRAMES, "mean": -5.0, "std": 4.0}

pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")  # filter 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier in the published form, with statistics of its own."""
    path = tmp_path_factory.mktemp("weights") / "small"
    config = transformers.ASTConfig(**SIZES)
    model = transformers.ASTForAudioClassification(config)
    perturb(model)
    model.save_pretrained(path)
    settings = {"feature_extractor_type": "ASTFeatureExtractor", "sampling_rate": 16_000, "num_mel_bins": 128}
    (path / "preprocessor_config.json").write_text(json.dumps(settings | SETTINGS | {"do_normalize": True}))
    return path


@pytest.fixture(scope="module")
def network(folder: Path) -> Any:
    return transformers.ASTModel.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def upstream(folder: Path) -> Any:
    return load(f"ast@{folder}")


@pytest.mark.parametrize("freq", ["mean", "concat"])
@pytest.mark.parametrize(("samples", "columns"), [(1, 1), (400, 1), (1840, 1), (2000, 2), (LONGEST, 8), (30_000, 8)])
def test_the_layers_are_transformers_own(
    folder: Path, network: Any, freq: str, samples: int, columns: int, noise: Noise
) -> None:
    upstream = load(f"ast:{freq}@{folder}")
    wave = noise(2, samples)
    with torch.no_grad():
        output = network(upstream.log_mel(wave), output_hidden_states=True)
    theirs = (*output.hidden_states, output.last_hidden_state)
    for (_, ours), stream in zip(upstream.encode(wave).named(), theirs, strict=True):
        assert ours.shape[:2] == (2, columns)
        for column in range(columns):
            patches = torch.stack([stream[:, 2 + row * COLUMNS + column] for row in range(ROWS)], dim=1)
            expected = patches.mean(1) if freq == "mean" else patches.flatten(1)
            assert torch.equal(ours[:, column], expected)


def test_only_the_last_norm_lies_between_the_last_layer_and_final(network: Any, upstream: Any, noise: Noise) -> None:
    upstream = load(f"ast:concat@{upstream.weights.path}")
    layers = upstream.encode(noise(1, LONGEST))
    last, final = (each.unflatten(-1, (ROWS, WIDTH)) for each in (layers.hidden[-1], layers.final))
    torch.testing.assert_close(network.layernorm(last), final)
    assert not torch.allclose(last, final, atol=0.1)


@pytest.mark.parametrize("samples", [400, 5000, LONGEST, 30_000])
def test_the_front_end_is_the_authors(folder: Path, upstream: Any, samples: int, noise: Noise) -> None:
    wave = noise(2, samples)
    front_end = transformers.ASTFeatureExtractor.from_pretrained(folder)
    theirs = front_end(list(wave.numpy()), sampling_rate=16_000, return_tensors="pt")["input_values"]
    gap = (upstream.log_mel(wave) - theirs).abs() * 2 * SETTINGS["std"]  # of log-mel values as they are
    assert gap.max() < 1e-2
    assert gap.mean() < 1e-4


def test_images_are_filled_before_they_are_normalised(upstream: Any, noise: Noise) -> None:
    image = upstream.log_mel(noise(1, 2000))
    assert torch.equal(image[:, 11:], torch.full((1, FRAMES - 11, 128), 5 / 8))


def test_a_folder_may_leave_its_images_as_they_are(folder: Path, upstream: Any, tmp_path: Path, noise: Noise) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    raw = load(f"ast@{change(tmp_path, 'preprocessor_config.json', do_normalize=False)}")
    wave = noise(1, 5000)
    torch.testing.assert_close((raw.log_mel(wave) + 5) / 8, upstream.log_mel(wave))


def test_the_classifier_is_left_out_and_named(network: Any, upstream: Any) -> None:
    assert upstream.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert upstream.found["ignored keys"] == ["classifier.dense.* (2)", "classifier.layernorm.* (2)"]


def test_a_click_moves_the_patches_that_are_centred_on_it(upstream: Any, noise: Noise) -> None:
    wave = noise(1, LONGEST)
    for column in (1, 4, 6):
        moved = moved_by_a_click(upstream, wave, 1600 * column + 1400)
        assert upstream.frame_offset + column / upstream.frame_rate == Fraction(1600 * column + 1400, 16_000)
        assert int(moved.argmax()) == column
