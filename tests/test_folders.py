"""What the upstreams share that read a front end's settings from a folder: the contract, and every way to spoil one."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import harness
from harness.registry import UpstreamSpec
from harness.testing import CHECKS, Subject, examine

from checkpoints import change, untrained
from reference import Noise, Refused, assert_layers_close

FAMILIES = ("whisper", "ast", "clap", "encodec", "dac", "wav2vec2_bert")
#: Tokens that take another path through the code.
VARIANTS = ("ast:speechcommands-concat", "clap:fused", "dac:16khz")


@cache
def subject(name: str) -> Subject:
    return Subject.of(f"{name}@untrained", quick=True)


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Networks are kept for all tests of a name, and not beyond this file."""
    yield
    subject.cache_clear()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a small network, as it saves itself, by its family."""

    @cache
    def save(family: str) -> Path:
        folder = tmp_path_factory.mktemp("folders") / family
        folder.mkdir()
        untrained(family).save(folder)
        return folder

    return save


@pytest.fixture
def changed(saved: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """Gives a copy of a family's folder with other settings for the front end."""

    def make(family: str, **settings: Any) -> Path:
        return change(shutil.copytree(saved(family), tmp_path / "changed"), "preprocessor_config.json", **settings)

    return make


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_keeps_the_contract(name: str, check: str) -> None:
    finding = examine(subject(name), check)
    assert not finding.change, finding


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_clip_fills_the_frames_and_a_longer_one_has_no_fewer(family: str, noise: Noise) -> None:
    upstream = subject(family).upstream
    assert upstream.longest is not None
    assert upstream.frame_rate is not None
    samples = min(upstream.longest, 6 * upstream.sample_rate)
    frames = [upstream.encode(noise(1, n)).final.shape[1] for n in (samples, samples + 1000)]
    assert abs(frames[0] - samples * upstream.frame_rate / upstream.sample_rate) < 2
    assert frames[1] >= frames[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_without_settings_is_read_as_published_and_says_so(
    saved: Callable[[str], Path], tmp_path: Path, family: str, noise: Noise
) -> None:
    whole, bare = harness.upstream(f"{family}@{saved(family)}", device="cpu"), tmp_path / "bare"
    shutil.copytree(saved(family), bare)
    (bare / "preprocessor_config.json").unlink()
    upstream = harness.upstream(f"{family}@{bare}", device="cpu")
    assert whole.found["as published"] == []
    assert upstream.found["as published"] == sorted(upstream.found["front end"])
    if family != "ast":  # whose small image is of no published length
        assert upstream.found["front end"] == whole.found["front end"]
    assert_layers_close(upstream.encode(noise(1, 9000)), whole.encode(noise(1, 9000)), 0.0)


@pytest.mark.parametrize(
    ("family", "value"),
    [("whisper", "16k"), ("ast", True), ("clap", -1), ("encodec", 0), ("dac", float("inf")), ("wav2vec2_bert", 10**12)],
)
def test_a_setting_that_cannot_be_is_refused(
    changed: Callable[..., Path], refused: Refused, family: str, value: Any
) -> None:
    with refused("preprocessor_config.json of changed has sampling_rate .*, where .* is usual"):
        harness.upstream(f"{family}@{changed(family, sampling_rate=value)}", device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_that_are_no_json_are_refused(changed: Callable[..., Path], refused: Refused, family: str) -> None:
    folder = changed(family)
    (folder / "preprocessor_config.json").write_text("{")
    with refused("preprocessor_config.json of changed cannot be read"):
        harness.upstream(f"{family}@{folder}", device="cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_of_other_code_are_left_alone(changed: Callable[..., Path], family: str) -> None:
    folder = changed(family, processor_class="Processor", auto_map={"AutoFeatureExtractor": "evil.py"}, mel_filters=[1])
    assert "mel_filters" not in harness.upstream(f"{family}@{folder}", device="cpu").found["front end"]


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_in_half_precision_are_read_as_float32(changed: Callable[..., Path], family: str, noise: Noise) -> None:
    folder = changed(family)
    file = folder / "model.safetensors"
    halves = {key: x.half() if x.is_floating_point() else x for key, x in load_file(file).items()}
    save_file(halves, file, metadata={"format": "pt"})
    upstream: Any = harness.upstream(f"{family}@{folder}", device="cpu")
    assert {parameter.dtype for parameter in upstream.network.parameters()} == {torch.float32}
    assert upstream.encode(noise(1, 9000)).final.dtype == torch.float32


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_as_torch_once_wrote_them_give_the_same(
    saved: Callable[[str], Path], changed: Callable[..., Path], family: str, noise: Noise
) -> None:
    folder = changed(family)
    state = load_file(folder / "model.safetensors")
    for name in [name for name in state if name.endswith("original0")]:  # of weight norm
        base = name.removesuffix(".parametrizations.weight.original0")
        state[f"{base}.weight_g"] = state.pop(name)
        state[f"{base}.weight_v"] = state.pop(f"{base}.parametrizations.weight.original1")
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    old, new = (harness.upstream(f"{family}@{each}", device="cpu") for each in (folder, saved(family)))
    assert_layers_close(old.encode(noise(1, 9000)), new.encode(noise(1, 9000)), 0.0)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("whisper:base", "d_model 32, but whisper:base has 512: write whisper@FOLDER"),
        ("ast:audioset", "max_length 512, but ast:audioset has 1024: write ast@FOLDER"),
        ("clap:general", "patch_embeds_hidden_size 8, but clap:general has 128: write clap@FOLDER"),
        ("encodec:48khz", "sampling_rate 24000, but encodec:48khz has 48000: write encodec@FOLDER"),
        ("dac:16khz", "sampling_rate 44100, but dac:16khz has 16000: write dac@FOLDER"),
    ],
)
def test_a_token_that_contradicts_the_folder_is_refused(
    saved: Callable[[str], Path], refused: Refused, name: str, key: str
) -> None:
    family = name.partition(":")[0]
    with refused(f"{family} has {key}"):
        harness.upstream(f"{name}@{saved(family)}", device="cpu")


@pytest.mark.parametrize(
    ("family", "settings", "said"),
    [
        ("whisper", {"feature_size": 128}, "feature_size 128, but the network takes 80"),
        ("whisper", {"chunk_length": 30}, "makes 3000 frames, but the network takes 500"),
        ("whisper", {"hop_length": 80}, "makes 1000 frames, but the network takes 500"),
        ("ast", {"max_length": 1024}, "max_length 1024, but the network takes 512"),
        ("ast", {"sampling_rate": 32_000}, "sampling_rate 32000, but the network takes 16000"),
        ("ast", {"std": 0.0}, "a deviation of 0"),
        ("clap", {"truncation": "fusion"}, "truncation 'fusion', but the network takes 'rand_trunc'"),
        ("clap", {"padding": "mirror"}, "an unknown padding 'mirror'"),
        ("clap", {"max_length_s": 11}, "makes 1101 frames, but the network takes 1024"),
        ("encodec", {"feature_size": 2}, "feature_size 2, but the network takes 1"),
        ("dac", {"sampling_rate": 16_000}, "sampling_rate 16000, but the network takes 44100"),
        ("wav2vec2_bert", {"stride": 1}, "makes frames of 80 numbers, but the network takes 160"),
    ],
)
def test_a_front_end_that_its_network_cannot_take_is_refused(
    changed: Callable[..., Path], refused: Refused, family: str, settings: dict[str, Any], said: str
) -> None:
    with refused(said):
        harness.upstream(f"{family}@{changed(family, **settings)}", device="cpu")


@pytest.mark.parametrize("name", [f"{family}@untrained" for family in FAMILIES])
def test_the_published_models_are_named_by_their_repository(name: str) -> None:
    cls = UpstreamSpec.parse(name).cls
    assert all("/" in getattr(variant.source, "repo", "") for variant in cls.variants.values())
    for token, variant in cls.variants.items():
        assert cls.published(**({"variant": token} if token else {})) == variant.source
