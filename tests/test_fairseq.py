"""Encoders of the raw wave from the files in which they were first published."""

import argparse
import pickle
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from checkpoints import GROUP, LAYER, Save, State, build, load, saved
from reference import Noise, Refused, assert_layers_close, layers_of

#: Each family's class in transformers, and the norms of its published files.
FAMILIES = {
    "hubert": "HubertModel",
    "wav2vec2": "Wav2Vec2Model",
    "wavlm": "WavLMModel",
    "contentvec": "HubertModel",
    "data2vec_audio": "Data2VecAudioModel",
    "dinosr": "Data2VecAudioModel",
}
SETTINGS = {"encoder_attention_heads": 4, "layer_norm_first": False, "extractor_mode": "default"}


def fairseq_name(key: str, *, layer_norms: bool) -> str:
    """What fairseq calls a tensor of transformers."""
    match key.split("."):
        case ["feature_extractor", _, i, "conv", kind]:
            return f"feature_extractor.conv_layers.{i}.0.{kind}"
        case ["feature_extractor", _, i, "layer_norm", kind]:
            return f"feature_extractor.conv_layers.{i}.2.{'1.' if layer_norms else ''}{kind}"
        case ["feature_projection", "projection", kind]:
            return f"post_extract_proj.{kind}"
        case ["feature_projection", "layer_norm", kind]:
            return f"layer_norm.{kind}"
        case ["encoder", "pos_conv_embed", "layers", i, "conv", kind]:
            return f"encoder.pos_conv.{i}.0.{kind}"
        case ["encoder", "pos_conv_embed", *_, kind]:
            return f"encoder.pos_conv.0.{ {'original0': 'weight_g', 'original1': 'weight_v'}.get(kind, kind) }"
        case ["encoder", "layers", i, "attention", "gru_rel_pos_const"]:
            return f"encoder.layers.{i}.self_attn.grep_a"
        case ["encoder", "layers", i, "attention", part, kind]:
            others = {"gru_rel_pos_linear": "grep_linear", "rel_attn_embed": "relative_attention_bias"}
            return f"encoder.layers.{i}.self_attn.{others.get(part, part)}.{kind}"
        case ["encoder", "layers", i, "layer_norm", kind]:
            return f"encoder.layers.{i}.self_attn_layer_norm.{kind}"
        case ["encoder", "layers", i, "feed_forward", part, kind]:
            return f"encoder.layers.{i}.{ {'intermediate_dense': 'fc1', 'output_dense': 'fc2'}[part] }.{kind}"
    return key  # encoder.layer_norm and encoder.layers.N.final_layer_norm


def fairseq_state(network: Any) -> State:
    """The tensors of a network as a file of fairseq has them, with what pre-training leaves behind."""
    layers = getattr(network.config, "feat_extract_norm", "layer") == "layer"
    state = {fairseq_name(key, layer_norms=layers): value for key, value in network.state_dict().items()}
    return {**state, "mask_emb": torch.ones(32), "final_proj.weight": torch.ones(2, 32)}


def frozen(settings: Mapping[str, Any], *, normalize: bool) -> argparse.Namespace:
    """The settings as objects, as fairseq pickles them."""
    task = argparse.Namespace(normalize=normalize, sample_rate=16_000)
    return argparse.Namespace(model=argparse.Namespace(**settings), task=task)


def assert_same(upstream: Any, network: Any, wave: Tensor) -> None:
    """An upstream's layers are a network's, bit by bit, on the same normalised wave."""
    assert_layers_close(upstream.forward(wave), layers_of(network(wave, output_hidden_states=True)), 0.0)


@pytest.fixture(scope="module")
def network() -> Any:
    return build("HubertModel", **GROUP)


@pytest.fixture
def state(network: Any) -> State:
    return fairseq_state(network)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a checkpoint and gives its path."""
    return partial(saved, tmp_path / "small.pt")


@pytest.mark.parametrize("norms", [GROUP, LAYER], ids=["group", "layer"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_of_fairseq_gives_the_layers_of_transformers(
    save: Save, noise: Noise, family: str, norms: Mapping[str, Any]
) -> None:
    stack = FAMILIES[family] == "Data2VecAudioModel"
    network = build(FAMILIES[family], **({} if stack else norms))
    settings = {**SETTINGS, "layer_norm_first": not stack and norms["do_stable_layer_norm"]}
    path = save({"cfg": frozen(settings, normalize=True), "model": fairseq_state(network)})
    upstream = load(f"{family}@{path}")
    assert_same(upstream, network, noise(2, 8000))
    assert upstream.found["ignored keys"] == ["final_proj.weight", "mask_emb"]
    assert upstream.found["assumed"] == []


def test_waves_are_normalised_as_fairseq_does_it(save: Save, state: State, noise: Noise) -> None:
    upstream = load(f"hubert@{save({'cfg': frozen(SETTINGS, normalize=True), 'model': state})}")
    wave = 0.01 * (1 + noise(1, 5000))
    torch.testing.assert_close(upstream.normalise(wave), functional.layer_norm(wave, wave.shape[1:]), rtol=0, atol=1e-4)
    assert upstream.found["waves are normalised"]


def test_waves_are_left_alone_where_the_file_says_so(save: Save, state: State, noise: Noise) -> None:
    upstream = load(f"hubert@{save({'cfg': frozen(SETTINGS, normalize=False), 'model': state})}")
    assert torch.equal(upstream.normalise(wave := noise(1, 5000)), wave)


def test_the_old_container_is_read(save: Save, state: State, network: Any, noise: Noise) -> None:
    settings = argparse.Namespace(**SETTINGS, normalize=False, task="audio_pretraining")
    upstream = load(f"hubert@{save({'args': settings, 'cfg': None, 'model': state})}")
    assert_same(upstream, network, noise(1, 4000))
    assert upstream.found["assumed"] == []


def test_the_container_without_foreign_objects_is_read(save: Save, state: State, network: Any, noise: Noise) -> None:
    content = {"task_cfg": {"normalize": True}, "model_cfg": SETTINGS, "model_weight": state}
    upstream = load(f"hubert@{save(content)}")
    assert_same(upstream, network, noise(1, 4000))
    assert upstream.found["waves are normalised"]


class Node:
    """As omegaconf keeps a setting."""

    def __init__(self, **inside: Any) -> None:
        self.__dict__ |= inside


def test_settings_within_settings_are_read(
    save: Save, state: State, network: Any, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("omegaconf.nodes")
    monkeypatch.setitem(sys.modules, "omegaconf", ModuleType("omegaconf"))
    monkeypatch.setitem(sys.modules, "omegaconf.nodes", module)
    monkeypatch.setattr(Node, "__module__", "omegaconf.nodes")
    module.Node = Node  # type: ignore[attr-defined]

    def node(settings: Mapping[str, Any]) -> Node:
        return Node(_content={key: Node(_val=value, _parent=None) for key, value in settings.items()}, _metadata=None)

    config = Node(_content={"model": node(SETTINGS), "task": node({"normalize": True})}, _parent=None)
    path = save({"cfg": config, "model": state})
    monkeypatch.undo()
    upstream = load(f"hubert@{path}")
    assert_same(upstream, network, noise(1, 4000))
    assert upstream.found["assumed"] == []


@pytest.mark.parametrize("norms", [GROUP, LAYER], ids=["group", "layer"])
def test_what_a_file_does_not_tell_is_as_published_and_said_to_be_assumed(
    save: Save, noise: Noise, norms: Mapping[str, Any]
) -> None:
    network = build("HubertModel", **norms, hidden_size=128, num_attention_heads=2)
    state = {**fairseq_state(network), "mask_emb": torch.ones(128)}
    upstream = load(f"hubert@{save({'model': state})}")
    assert_same(upstream, network, noise(1, 4000))
    assert upstream.found["waves are normalised"] is (norms is LAYER)
    assert upstream.found["assumed"] == [
        "whether waves are normalised",
        "where blocks have their norms",
        "how many attention heads there are",
    ]


def test_the_settings_place_the_norms_and_count_the_heads(save: Save, noise: Noise) -> None:
    network = build("HubertModel", **{**GROUP, "do_stable_layer_norm": True}, num_attention_heads=2)
    settings = {"layer_norm_first": True, "encoder_attention_heads": 2}
    path = save({"cfg": frozen(settings, normalize=True), "model": fairseq_state(network)})
    assert_same(load(f"wav2vec2@{path}"), build("Wav2Vec2Model", **network.config.to_diff_dict()), noise(1, 4000))


def test_half_precision_is_loaded_as_float32(save: Save, state: State) -> None:
    half = {key: value.half() for key, value in state.items()}
    upstream = load(f"hubert@{save({'cfg': frozen(SETTINGS, normalize=False), 'model': half})}")
    assert {parameter.dtype for parameter in upstream.network.parameters()} == {torch.float32}


def test_of_dinosr_the_student_is_read(save: Save, noise: Noise) -> None:
    network = build("Data2VecAudioModel")
    behind = {
        "_ema": {"layers.0.fc1.weight": torch.ones(3)},
        **{"_codebook0": torch.ones(4, 32), "_codebook_cnts0": torch.ones(4), "heads.0.weight": torch.ones(4, 32)},
    }
    path = save({"cfg": frozen(SETTINGS, normalize=True), "model": {**fairseq_state(network), **behind}})
    upstream = load(f"dinosr@{path}")
    assert_same(upstream, network, noise(1, 4000))
    assert set(behind) < set(upstream.found["ignored keys"])


@pytest.mark.parametrize("newer", [False, True])
def test_a_file_of_torchaudio_gives_the_layers_of_transformers(save: Save, noise: Noise, newer: bool) -> None:
    network = build("HubertModel", **GROUP, hidden_size=128, num_attention_heads=2)
    state = {}
    for key, value in network.state_dict().items():
        name = key.replace("encoder.", "encoder.transformer.", 1) if key.startswith("encoder.") else key
        name = f"encoder.{name}" if name.startswith("feature_projection.") else name
        for i, letter in enumerate("gv"):
            old = name.replace(f"parametrizations.weight.original{i}", f"weight_{letter}")
            name = name if newer else old
        state[name] = value
    upstream = load(f"aves@{save(state)}")
    assert_same(upstream, network, wave := noise(2, 8000))
    assert torch.equal(upstream.normalise(wave), wave)
    assert upstream.found["assumed"] == ["how many attention heads there are"]


# LightHuBERT: parts of a file.

SUPERNET = {**SETTINGS, "encoder_attention_heads": 6, "_name": "hubert_pruner"}


@pytest.fixture(scope="module")
def supernet() -> Any:
    return build("HubertModel", **GROUP, hidden_size=96, num_attention_heads=6, intermediate_size=384)


@pytest.mark.parametrize(
    ("size", "tokens", "width"),
    [("base", "", 96), ("base", ":middle", 80), ("small", "", 64), ("small", ":middle", 48)],
)
def test_a_subnet_takes_what_leads_and_the_lead_of_each_inner_block(
    save: Save, noise: Noise, supernet: Any, size: str, tokens: str, width: int
) -> None:
    settings = {**SUPERNET, "pruner_supernet": f"/config/Supernet-{size.title()}.yaml"}
    path = save({"cfg": {"model": settings}, "model": fairseq_state(supernet)})
    stream = torch.arange(width)
    inner = torch.cat([stream + 96 * block for block in range(4)])
    network = build(
        "HubertModel", **GROUP, hidden_size=width, num_attention_heads=width // 16, intermediate_size=4 * width
    )
    whole = supernet.state_dict()
    for key, value in network.state_dict().items():
        axes = [{96: stream, 384: inner}.get(size, torch.arange(size)) for size in whole[key].shape]
        if "parametrizations" not in key:
            value.copy_(whole[key][torch.meshgrid(*axes, indexing="ij")])
    conv, theirs = (each.encoder.pos_conv_embed.conv for each in (network, supernet))
    conv.weight = theirs.weight[:width, : width // 4]  # its norm is that of the whole
    upstream = load(f"lighthubert{tokens}@{path}")
    assert upstream.widths == (width,) * 4
    wanted = network(wave := noise(1, 8000), output_hidden_states=True).hidden_states
    for layer, other in zip(upstream.encode(wave).hidden, wanted, strict=True):
        torch.testing.assert_close(layer, other, rtol=0, atol=2e-5)


def test_a_saved_subnet_is_one_network(save: Save, tmp_path: Path, noise: Noise, supernet: Any) -> None:
    settings = {**SUPERNET, "pruner_supernet": "small.yaml"}
    first = load(f"lighthubert:middle@{save({'cfg': {'model': settings}, 'model': fairseq_state(supernet)})}")
    first.save(tmp_path / "saved.pt")
    again = load(f"lighthubert:middle@{tmp_path / 'saved.pt'}")
    assert torch.equal(again.encode(noise(1, 4000)).final, first.encode(noise(1, 4000)).final)


@pytest.mark.parametrize(
    ("tokens", "settings", "pattern"),
    [
        (":middle", {"_name": "student_hubert"}, "without subnets"),
        (":stage1-middle", {"_name": "student_hubert"}, "without subnets"),
        ("", {}, "does not say which subnets"),
        ("", {"pruner_supernet": "small.yaml", "encoder_attention_heads": 4}, "no subnet takes 2/3"),
        (":small", {"_name": "student_hubert"}, "stage1.*, but lighthubert:small .*: write lighthubert@FILE"),
    ],
)
def test_a_subnet_that_a_file_does_not_hold_is_refused(
    save: Save, supernet: Any, refused: Refused, tokens: str, settings: Mapping[str, Any], pattern: str
) -> None:
    path = save({"cfg": {"model": {**SUPERNET, **settings}}, "model": fairseq_state(supernet)})
    with refused(pattern):
        load(f"lighthubert{tokens}@{path}")


# What is wrong is said.


@pytest.mark.parametrize(
    ("edit", "pattern"),
    [
        (
            lambda s: s.pop("encoder.layers.1.self_attn.q_proj.weight"),
            r"lacks .*'encoder\.layers\.1\.self_attn\.q_proj",
        ),
        (lambda s: s.pop("post_extract_proj.weight"), "lacks the key 'post_extract_proj.weight'"),
        (lambda s: s.update(mystery=torch.ones(2)), "has the key 'mystery'"),
        (
            lambda s: s.update({"encoder.layer_norm.bias": torch.ones(7)}),
            r"'encoder\.layer_norm\.bias' of shape \(7,\)",
        ),
        (lambda s: s.update({"encoder.layer_norm.bias": 7}), r"'encoder\.layer_norm\.bias' of shape \('no tensor',\)"),
        (lambda s: s.update({"post_extract_proj.weight": 7}), r"'post_extract_proj\.weight' of shape \(\)"),
        (lambda s: s.update({"post_extract_proj.weight": torch.ones(0, 8)}), r"of shape \(0, 8\)"),
        (lambda s: s.update({"encoder.layers.999.fc1.weight": torch.ones(3)}), r"lacks .*'encoder\.layers\.3\.fc1"),
        (lambda s: s.update({"encoder.pos_conv.0.weight_v": torch.ones(32, 5, 128)}), "groups of 5"),
        (
            lambda s: s.update({"feature_extractor.conv_layers.0.0.weight": torch.ones(8, 1, 11)}),
            r"convolutions of \(11",
        ),
    ],
    ids=["missing", "first", "left over", "shape", "number", "no axes", "empty", "far", "groups", "kernels"],
)
def test_wrong_keys_are_named_as_the_file_has_them(
    save: Save, state: State, refused: Refused, edit: Callable[[State], Any], pattern: str
) -> None:
    edit(state)
    with refused(pattern):
        load(f"hubert@{save({'cfg': frozen(SETTINGS, normalize=False), 'model': state})}")


@pytest.mark.parametrize(
    ("family", "settings", "task"),
    [
        ("hubert", {"encoder_attention_heads": 0}, {}),
        ("hubert", {"encoder_attention_heads": 5}, {}),
        ("hubert", {"encoder_attention_heads": "many"}, {}),
        ("hubert", {"layer_norm_first": "yes"}, {}),
        ("hubert", {}, {"normalize": "${task}"}),
        ("hubert", {}, {"sample_rate": 8000}),
        ("data2vec_audio", {"layer_norm_first": True}, {}),
    ],
)
def test_hostile_settings_are_refused(
    save: Save, refused: Refused, family: str, settings: Mapping[str, Any], task: Mapping[str, Any]
) -> None:
    state = fairseq_state(build(FAMILIES[family]))
    with refused("small.pt says"):
        load(f"{family}@{save({'cfg': {'model': {**SETTINGS, **settings}, 'task': dict(task)}, 'model': state})}")


@pytest.mark.parametrize("content", [{}, {"model": 3}, {"model": {}}, {"cfg": {}, "model": {"a": 1}}], ids=str)
def test_a_file_without_weights_is_refused(save: Save, refused: Refused, content: Mapping[str, Any]) -> None:
    with refused("no tensors under the key 'model'"):
        load(f"hubert@{save(content)}")


def test_a_file_of_another_family_is_refused(save: Save, state: State, refused: Refused) -> None:
    path = save({"cfg": frozen(SETTINGS, normalize=False), "model": state})
    with refused("lacks"):
        load(f"wavlm@{path}")
    with refused("lacks"):
        load(f"dinosr@{path}")


def test_a_token_that_contradicts_the_file_is_refused(save: Save, state: State, refused: Refused) -> None:
    with refused(r"3 blocks of width 32 at 16000 Hz, but hubert:large has 24 .*: write hubert@FILE"):
        load(f"hubert:large@{save({'cfg': frozen(SETTINGS, normalize=False), 'model': state})}")


def test_nothing_in_a_file_runs(save: Save, state: State, tmp_path: Path, noise: Noise) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "it-ran"), "w")

    assert b"it-ran" in pickle.dumps(Bomb())
    load(f"hubert@{save({'cfg': Bomb(), 'model': state, 'task_state': Bomb()})}").encode(noise(1, 400))
    assert not (tmp_path / "it-ran").exists()
