"""What families of upstreams refuse, mark and promise beyond their own numbers."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from harness.registry import UpstreamSpec
from harness.upstreams import _wave

from checkpoints import GROUP, LAYER, Save, build, load, saved, untrained
from reference import Noise, Refused


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a checkpoint and gives its path."""
    return partial(saved, tmp_path / "small.pt")


def written(family: str, path: Path, **more: Any) -> Path:
    """The file of a small untrained upstream, with more in its state dict."""
    untrained(family).save(path)
    content = torch.load(path)
    content.get("model", content).update(more)
    return saved(path, content)


def renamed(path: Path, **settings: Any) -> Path:
    """A file of fairseq, with other settings of its model."""
    content = torch.load(path)
    content["cfg"]["model"].update(settings)
    return saved(path, content)


# Files of fairseq.


def test_a_tensor_that_is_sparse_is_refused_by_the_files_own_name(tmp_path: Path, refused: Refused) -> None:
    sparse = torch.eye(128).to_sparse()
    path = written("dinosr", tmp_path / "small.pt", **{"encoder.layers.0.self_attn.q_proj.weight": sparse})
    with refused(r"'encoder\.layers\.0\.self_attn\.q_proj\.weight' of shape \('no plain tensor',\)"):
        load(f"dinosr@{path}")


def test_a_file_in_half_precision_is_loaded_as_float32(save: Save, tmp_path: Path) -> None:
    content = torch.load(written("dinosr", tmp_path / "whole.pt"))
    halves = {key: value.half() for key, value in content["model"].items()}
    upstream = load(f"dinosr@{save(content | {'model': halves})}")
    parameters = upstream.network.state_dict()
    assert {value.dtype for value in parameters.values()} == {torch.float32}
    key = "encoder.layers.1.self_attn.q_proj.weight"
    assert torch.equal(parameters["encoder.layers.1.attention.q_proj.weight"], halves[key].float())


@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        ({"activation_fn": "relu"}, "says activation_fn 'relu', where 'gelu' is expected"),
        ({"conv_feature_layers": "[(512,10,5)] + [(512,3,1)] * 4 + [(512,2,2)] * 2"}, r"strides \(5, 1, 1, 1, 1, 2, 2"),
        ({"conv_feature_layers": "[(512, 10, 5), (512, 3, 2)]"}, r"strides \(5, 2\)"),
    ],
    ids=["activation", "strides", "number"],
)
def test_a_file_whose_settings_say_another_network_is_refused(
    tmp_path: Path, refused: Refused, settings: Mapping[str, Any], pattern: str
) -> None:
    path = renamed(written("dinosr", tmp_path / "small.pt"), **settings)
    with refused(pattern):
        load(f"dinosr@{path}")


@pytest.mark.parametrize(
    "layers",
    [
        "[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] + [(512,2,2)]",
        "[(512, 10, 5)] + [(512, 3, 2), (512, 3, 2)] * 2 + [(512, 2, 2)] * 2",
        "__import__('os').abort()",
        "(" * 1000,
        None,
    ],
    ids=["usual", "in lists", "code", "nonsense", "none"],
)
def test_settings_that_agree_or_cannot_be_read_are_taken(tmp_path: Path, noise: Noise, layers: Any) -> None:
    path = renamed(written("dinosr", tmp_path / "small.pt"), activation_fn="gelu", conv_feature_layers=layers)
    assert load(f"dinosr@{path}").encode(noise(1, 4000)).final.isfinite().all()


# What a checkpoint tells of its training.


@pytest.mark.parametrize("head", ["lm_head.weight", "classifier.bias", "projector.weight"])
def test_a_folder_with_a_head_of_labels_was_fine_tuned(tmp_path: Path, head: str) -> None:
    from safetensors.torch import load_file, save_file

    untrained("hubert").save(tmp_path / "small")
    weights = tmp_path / "small" / "model.safetensors"
    assert load(f"hubert@{tmp_path / 'small'}").training is None
    save_file({**load_file(weights), head: torch.ones(3)}, weights, {"format": "pt"})
    training = load(f"hubert@{tmp_path / 'small'}").training
    assert (training.how, training.note) == ("supervised", "fine-tuned: its checkpoint has a head of labels")


def test_heads_of_pre_training_are_none_of_labels(tmp_path: Path) -> None:
    more = {"final_proj.weight": torch.ones(2, 3), "quantizer.vars": torch.ones(2), "project_q.weight": torch.ones(2)}
    upstream = load(f"dinosr@{written('dinosr', tmp_path / 'small.pt', **more)}")
    assert set(more) <= set(upstream.found["ignored keys"])
    assert upstream.training is None


@pytest.mark.parametrize(("key", "how"), [("module.mlp_head.0.weight", "supervised"), ("module.v.head.weight", None)])
def test_only_a_head_of_labels_tells_that_ssast_was_fine_tuned(tmp_path: Path, key: str, how: str | None) -> None:
    upstream = load(f"ssast@{written('ssast', tmp_path / 'small.pt', **{key: torch.ones(3)})}")
    assert getattr(upstream.training, "how", None) == how


# Tokens and files that contradict each other.


@pytest.mark.parametrize(
    ("norms", "name"), [(GROUP, "feat_extract_norm"), ({**LAYER, "conv_bias": False}, "conv_bias"), (LAYER, None)]
)
def test_a_checkpoint_of_the_tokens_size_and_other_settings_is_told_from_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norms: Mapping[str, Any], name: str | None
) -> None:
    from checkpoints import SMALL

    build("HubertModel", **norms).save_pretrained(tmp_path / "small")
    cls = UpstreamSpec.parse("hubert").cls
    own = _wave.published({**SMALL, **LAYER, "conv_dim": (8,) * 7}, 0.1, Path("nowhere"))
    monkeypatch.setattr(cls, "variants", {**cls.variants, "large": own})
    unlike = load(f"hubert:large@{tmp_path / 'small'}").found["unlike the record"]
    assert name in unlike if name else unlike == []


@pytest.mark.parametrize(
    ("settings", "token"),
    [
        ({"_name": "student_hubert", "variant": "stage1"}, "base"),
        ({"_name": "student_hubert"}, "small"),
        ({"_name": "hubert_pruner", "pruner_supernet": "base.yaml"}, "stage1"),
        ({"_name": "hubert_pruner", "pruner_supernet": "small.yaml"}, "base"),
    ],
)
def test_a_token_of_another_lighthubert_is_refused(
    tmp_path: Path, refused: Refused, settings: Mapping[str, Any], token: str
) -> None:
    path = written("lighthubert", tmp_path / "small.pt")
    content = torch.load(path)
    content["cfg"]["model"] = {"encoder_attention_heads": 2, "layer_norm_first": False, **settings}
    saved(path, content)
    with refused(f"but lighthubert:{token} was asked for: write lighthubert@FILE"):
        load(f"lighthubert:{token}@{path}")


@pytest.mark.parametrize(("token", "width"), [("", 128), (":middle", 64)])
def test_the_middle_of_a_small_lighthubert_is_narrower(token: str, width: int) -> None:
    assert untrained(f"lighthubert{token}").final_width == width


@pytest.mark.parametrize(("token", "classes", "wanted"), [("audioset", 309, "vggsound"), ("speech", 527, "audioset")])
def test_aum_refuses_a_head_of_another_data_set(
    tmp_path: Path, refused: Refused, token: str, classes: int, wanted: str
) -> None:
    path = written("aum", tmp_path / "small.pth", **{"head.weight": torch.ones(classes, 32)})
    with refused(f"write aum:{wanted}@FILE"):
        load(f"aum:{token}@{path}")
    assert load(f"aum:{wanted}@{path}").final_width == 32


def test_aum_takes_a_head_of_its_own_data_set_or_an_unknown_one(tmp_path: Path) -> None:
    for classes in (309, 42):
        path = written("aum", tmp_path / "small.pth", **{"head.weight": torch.ones(classes, 32)})
        assert load(f"aum:vggsound@{path}").found["ignored keys"] == ["head.weight"]


def test_clap_offers_no_broken_weights(refused: Refused) -> None:
    with refused("music"):
        UpstreamSpec.parse("clap:music")


# Seconds of EnCodec at 48 kHz.


def test_each_second_is_as_it_is_alone(noise: Noise) -> None:
    upstream, wave = untrained("encodec:48khz"), noise(2, 48_000 * 2 + 9600)
    whole = upstream.encode(wave)
    alone = torch.cat([upstream.encode(second).hidden[0] for second in wave.split(48_000, dim=1)], dim=1)
    assert whole.final.shape == (2, 330, 32)
    torch.testing.assert_close(whole.hidden[0], alone, rtol=0, atol=1e-5)


def test_a_short_piece_is_divided_by_its_own_root_mean_square_and_filled_to_a_frame(noise: Noise) -> None:
    upstream, wave = untrained("encodec:48khz"), noise(1, 1000)
    filled = functional.pad(wave / wave.square().mean().sqrt(), (0, 280))
    with torch.no_grad():
        latents = upstream.network.encoder(filled[:, None].expand(-1, 2, -1)).transpose(1, 2)
    torch.testing.assert_close(upstream.encode(wave).hidden[0], latents, rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 320, 321, 48_000, 48_001, 57_600, 96_000])
def test_a_clip_in_seconds_has_as_many_frames_as_hops(noise: Noise, samples: int) -> None:
    assert untrained("encodec:48khz").encode(noise(1, samples)).final.shape[1] == -(-samples // 320)


def test_pieces_of_no_whole_frames_are_refused(tmp_path: Path, refused: Refused) -> None:
    from checkpoints import change

    untrained("encodec:48khz").save(tmp_path / "small")
    change(tmp_path / "small", chunk_length_s=0.999)
    with refused("pieces of 47952 samples, which are no whole frames of 320"):
        load(f"encodec@{tmp_path / 'small'}")


# What a batch costs.


@pytest.mark.parametrize(
    ("name", "filled"),
    [
        ("whisper", 5 * 16_000),
        ("ast", 400 + 511 * 160),
        ("clap", 480_000),
        ("ssamba:superb", 160_000),
        ("ssast:superb-t512", 512 * 160),
        ("ssamba:t512", 400 + 511 * 160),
        ("aum:t512", 400 + 511 * 160),
        ("ssamba", 0),
        ("hubert", 0),
        ("encodec", 0),
    ],
)
def test_clips_are_filled_to_what_is_said(name: str, filled: int) -> None:
    assert untrained(name).filled == filled


def test_zeros_after_the_clip_move_what_seconds_are_normed_by() -> None:
    assert not untrained("encodec").padding_changes_output
    assert untrained("encodec:48khz").padding_changes_output


def test_a_small_wave_encoder_has_several_heads() -> None:
    config = untrained("wavlm").network.config
    assert (config.num_attention_heads, config.hidden_size) == (2, 128)
