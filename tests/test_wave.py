"""Encoders of the raw wave from folders in the hub's layout: transformers' own numbers, and strict reading."""

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from harness.registry import UpstreamSpec
from harness.upstreams import _wave

from checkpoints import GROUP, LAYER, SMALL, build, change, load
from reference import Noise, Refused, assert_layers_close, layers_of

#: Each family's class in transformers, and the type of model that its folders name.
FAMILIES = {
    "hubert": ("HubertModel", "hubert"),
    "wav2vec2": ("Wav2Vec2Model", "wav2vec2"),
    "wavlm": ("WavLMModel", "wavlm"),
    "unispeech_sat": ("UniSpeechSatModel", "unispeech-sat"),
    "data2vec_audio": ("Data2VecAudioModel", "data2vec-audio"),
    "music2vec": ("Data2VecAudioModel", "data2vec-audio"),
    "mert": ("HubertModel", "mert_model"),
    "contentvec": ("HubertModel", "hubert"),
}
PREPROCESSOR = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": False, "sampling_rate": 16_000}


def folder(path: Path, network: Any, preprocessor: Mapping[str, Any] | None = PREPROCESSOR, **config: Any) -> Path:
    """A folder as the hub has it; ``config`` goes into its config.json."""
    network.save_pretrained(path)
    change(path, **config)
    if preprocessor is not None:
        (path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return path


@pytest.fixture(scope="module")
def network() -> Any:
    return build("HubertModel", **GROUP)


@pytest.fixture
def small(tmp_path: Path, network: Any) -> Path:
    """A folder of a small HuBERT."""
    return folder(tmp_path / "small", network)


@pytest.mark.parametrize("norms", [GROUP, LAYER], ids=["group", "layer"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_layers_are_those_of_transformers(
    tmp_path: Path, noise: Noise, family: str, norms: Mapping[str, Any]
) -> None:
    model, kind = FAMILIES[family]
    network = build(model, **({} if model.startswith("Data2Vec") else norms))
    upstream = load(f"{family}@{folder(tmp_path / 'small', network, model_type=kind)}")
    with torch.no_grad():
        wanted = layers_of(network(wave := noise(2, 8000), output_hidden_states=True))
    layers = upstream.encode(wave)
    assert len(layers.hidden) == len(upstream.widths) == 4
    assert_layers_close(layers, wanted, 0.0)


@pytest.mark.parametrize(("norms", "same"), [(GROUP, True), (LAYER, False)], ids=["group", "layer"])
def test_the_last_layer_is_raw_and_final_is_behind_the_last_norm(
    tmp_path: Path, noise: Noise, norms: Mapping[str, Any], same: bool
) -> None:
    upstream = load(f"hubert@{folder(tmp_path / 'small', build('HubertModel', **norms))}")
    layers = upstream.encode(noise(1, 8000))
    assert torch.equal(layers.hidden[-1], layers.final) is same
    normed = layers.final if same else upstream.network.encoder.layer_norm(layers.hidden[-1])
    torch.testing.assert_close(normed, layers.final, rtol=0, atol=0)


@pytest.mark.parametrize("told", [True, False])
def test_waves_are_normalised_as_the_folder_says(small: Path, noise: Noise, told: bool) -> None:
    change(small, "preprocessor_config.json", do_normalize=told)
    upstream, waves = load(f"hubert@{small}"), 0.3 + noise(2, 5000)
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(small)
    wanted = extractor([wave.numpy() for wave in waves], sampling_rate=16_000, return_tensors="pt").input_values
    torch.testing.assert_close(upstream.normalise(waves), wanted, rtol=0, atol=2e-6)
    assert upstream.found["waves are normalised"] is told
    assert upstream.found["assumed"] == []


def test_a_folder_that_does_not_mention_normalising_wants_it(small: Path) -> None:
    # As transformers reads the file.
    (small / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16_000}))
    assert load(f"hubert@{small}").found["waves are normalised"]


@pytest.mark.parametrize(
    ("family", "group", "layer"),
    [("hubert", True, True), ("wavlm", False, True), ("contentvec", False, True), ("mert", True, True)],
)
def test_without_the_file_normalising_is_assumed_and_said_to_be(
    tmp_path: Path, family: str, group: bool, layer: bool
) -> None:
    model, kind = FAMILIES[family]
    for norms, wanted in ((GROUP, group), (LAYER, layer)):
        path = folder(tmp_path / str(norms["feat_extract_norm"]), build(model, **norms), None, model_type=kind)
        found = load(f"{family}@{path}").found
        assert found["waves are normalised"] is wanted
        assert found["assumed"] == ["whether waves are normalised"]


def test_a_long_clip_is_normalised_before_it_is_cut(small: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
    change(small, "preprocessor_config.json", do_normalize=True)
    upstream, wave = load(f"hubert@{small}"), noise(1, 12_000)
    assert upstream.longest == 32 * 16_000
    monkeypatch.setattr(upstream, "longest", 6000)
    halves = [upstream.forward(half).final for half in upstream.normalise(wave).split(6000, dim=1)]
    torch.testing.assert_close(upstream.encode_in_windows(wave).final, torch.cat(halves, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("samples", "frames"), [(1, 1), (400, 1), (719, 1), (720, 2), (16_000, 49), (80_000, 249), (163_840, 511)]
)
def test_a_frame_hears_400_samples_and_they_come_every_320(
    small: Path, noise: Noise, samples: int, frames: int
) -> None:
    upstream = load(f"hubert@{small}")
    assert (upstream.shortest, upstream.frame_offset, upstream.frame_rate) == (400, Fraction(1, 80), 50)
    assert upstream.encode(noise(1, samples)).final.shape == (1, frames, 32)


def test_other_strides_give_another_rate(tmp_path: Path, noise: Noise) -> None:
    strides = {"conv_kernel": [10, 4], "conv_stride": [5, 4], "conv_dim": [8, 8]}
    upstream = load(f"hubert@{folder(tmp_path / 'small', build('HubertModel', **strides))}")
    assert (upstream.frame_rate, upstream.shortest) == (800, 25)
    assert upstream.frame_offset == Fraction(25, 32_000)
    assert upstream.encode(noise(1, 45)).final.shape[1] == 2


def test_zeros_at_the_end_move_the_frames_of_a_group_norm(small: Path, noise: Noise) -> None:
    # Which is why batches hold clips of one length.
    upstream, wave = load(f"hubert@{small}"), noise(1, 8000)
    padded = upstream.encode(nn.functional.pad(wave, (0, 8000))).hidden[0][:, :24]
    assert (padded - upstream.encode(wave).hidden[0]).abs().max() > 0.1
    assert upstream.padding_changes_output


def test_an_old_file_with_heads_gives_the_same_layers(small: Path, noise: Noise) -> None:
    wanted = load(f"hubert@{small}").encode(wave := noise(1, 4000)).final
    conv = "encoder.pos_conv_embed.conv."
    names = {f"{conv}parametrizations.weight.original{i}": f"{conv}weight_{letter}" for i, letter in enumerate("gv")}
    state = load_file(small / "model.safetensors")
    old = {f"hubert.{names.get(key, key)}": value for key, value in state.items()}
    (small / "model.safetensors").unlink()
    heads = {"lm_head.weight": torch.ones(32, 32), "lm_head.bias": torch.ones(32)}
    torch.save({**old, **heads}, small / "pytorch_model.bin")
    upstream = load(f"hubert@{change(small, architectures=['HubertForCTC'])}")
    assert torch.equal(upstream.encode(wave).final, wanted)
    assert upstream.found["ignored keys"] == ["lm_head.bias", "lm_head.weight"]


def test_half_precision_is_loaded_as_float32(small: Path, noise: Noise) -> None:
    state = {key: value.half() for key, value in load_file(small / "model.safetensors").items()}
    save_file(state, small / "model.safetensors", metadata={"format": "pt"})
    upstream = load(f"hubert@{change(small, dtype='float16')}")
    assert {parameter.dtype for parameter in upstream.network.parameters()} == {torch.float32}
    assert upstream.encode(noise(1, 4000)).final.dtype == torch.float32


def test_a_folder_of_mert_runs_no_code_and_hears_24_khz(tmp_path: Path, noise: Noise) -> None:
    network = build("HubertModel", feat_extract_norm="group", do_stable_layer_norm=True)
    auto = {"AutoConfig": "configuration_MERT.MERTConfig", "AutoModel": "modeling_MERT.MERTModel"}
    settings = {"model_type": "mert_model", "sample_rate": 24_000, "auto_map": auto, "feature_extractor_cqt": False}
    path = folder(tmp_path / "mert", network, {**PREPROCESSOR, "sampling_rate": 24_000}, **settings)
    for name in ("configuration_MERT.py", "modeling_MERT.py"):
        (path / name).write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')")
    upstream = load(f"mert@{path}")
    assert (upstream.sample_rate, upstream.frame_rate, upstream.frame_offset) == (24_000, 75, Fraction(200, 24_000))
    with torch.no_grad():
        wanted = network(wave := noise(1, 8000)).last_hidden_state
    assert torch.equal(upstream.encode(wave).final, wanted)
    assert not (tmp_path / "it-ran").exists()


def test_the_rate_of_a_folder_without_a_preprocessor_is_that_of_its_config(tmp_path: Path) -> None:
    path = folder(tmp_path / "small", build("HubertModel"), None, model_type="mert_model", sample_rate=24_000)
    assert load(f"mert@{path}").sample_rate == 24_000


def test_a_kernel_that_a_folder_asks_for_is_not_fetched(small: Path, noise: Noise) -> None:
    wanted = load(f"hubert@{small}").encode(noise(1, 4000)).final
    for key in ("attn_implementation", "_attn_implementation"):
        assert torch.equal(
            load(f"hubert@{change(small, **{key: 'someone/kernel'})}").encode(noise(1, 4000)).final, wanted
        )


def test_a_pickle_that_would_run_code_is_refused(small: Path, tmp_path: Path, refused: Refused) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "it-ran"), "w")

    (small / "model.safetensors").unlink()
    torch.save({"encoder.layer_norm.weight": Bomb()}, small / "pytorch_model.bin")
    with refused("cannot be read"):
        load(f"hubert@{small}")
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    ("edit", "pattern"),
    [
        (lambda state: state.pop("encoder.layers.1.attention.q_proj.weight"), r"lacks .*layers\.1\.attention\.q_proj"),
        (lambda state: state.update({"mystery.weight": torch.ones(2)}), r"has .*'mystery\.weight'"),
        (lambda state: state.update({"encoder.layer_norm.bias": torch.ones(7)}), r"layer_norm\.bias' of shape \(7,\)"),
    ],
    ids=["missing", "left over", "of another shape"],
)
def test_wrong_keys_are_named(small: Path, refused: Refused, edit: Callable[[Any], Any], pattern: str) -> None:
    state = load_file(small / "model.safetensors")
    edit(state)
    save_file(state, small / "model.safetensors", metadata={"format": "pt"})
    with refused(pattern):
        load(f"hubert@{small}")


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "wav2vec2"},
        {"model_type": None},
        {"hidden_size": "wide"},
        {"hidden_size": -32},
        {"hidden_size": 10**9},
        {"hidden_size": 48},
        {"num_hidden_layers": 10**7},
        {"num_attention_heads": 0},
        {"num_attention_heads": 5},
        {"num_conv_pos_embedding_groups": 0},
        {"conv_stride": [0] * 7},
        {"conv_kernel": [-3] * 7},
        {"conv_dim": [8]},
        {"hidden_act": "surprise"},
        {"feat_extract_norm": "batch"},
        {"layer_norm_eps": "small"},
        {"deepnorm": True},
        {"feature_extractor_cqt": True},
        {"sample_rate": 44_100},
    ],
    ids=str,
)
def test_a_hostile_config_is_refused(small: Path, refused: Refused, config: Mapping[str, Any]) -> None:
    with refused("."):
        load(f"hubert@{change(small, **config)}")


@pytest.mark.parametrize("content", ['{"do_normalize": "yes"}', '{"sampling_rate": 0}', '{"sampling_rate": "hi"}', "["])
def test_a_hostile_preprocessor_is_refused(small: Path, refused: Refused, content: str) -> None:
    (small / "preprocessor_config.json").write_text(content)
    with refused("preprocessor_config.json"):
        load(f"hubert@{small}")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_is_cut_short_is_refused(small: Path, refused: Refused, name: str) -> None:
    content = (small / name).read_bytes()
    (small / name).write_bytes(content[: len(content) // 2])
    with refused("cannot be read"):
        load(f"hubert@{small}")


def test_a_token_that_contradicts_the_folder_is_refused(small: Path, refused: Refused) -> None:
    with refused(r"3 blocks of width 32 at 16000 Hz, but hubert:large has 24 .*1024 .*: write hubert@FOLDER"):
        load(f"hubert:large@{small}")


def test_a_token_that_agrees_with_the_folder_is_taken(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = UpstreamSpec.parse("hubert").cls
    own = _wave.published(SMALL, 0.1, Path("nowhere"))
    monkeypatch.setattr(cls, "variants", {**cls.variants, "large": own})
    assert load(f"hubert:large@{small}").final_width == 32


@pytest.mark.parametrize("family", [*FAMILIES, "aves", "dinosr", "lighthubert"])
def test_published_models_are_as_large_as_is_said(family: str) -> None:
    cls: Any = UpstreamSpec.parse(family).cls
    for config, millions in {(json.dumps(v.config), v.parameters) for v in cls.variants.values()}:
        model = getattr(transformers, cls.model)
        with torch.device("meta"):
            network = model(model.config_class(**json.loads(config)))
        assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
