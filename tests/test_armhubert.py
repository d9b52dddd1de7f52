"""ARMHuBERT against loops in double precision and transformers' HuBERT, and its behaviour on any file and any clip."""

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness import testing
from harness.cards import Hub
from harness.models import Layers
from harness.registry import UpstreamSpec
from harness.upstreams import armhubert
from harness.upstreams._armhubert import SMALL, STRIDES, ArmHubert, Config, published

from checkpoints import Save, Shapes, State, load, saved, untrained
from reference import Noise, Refused, assert_close, assert_layers_close, layers_of

Contents = dict[str, Any]

#: HuBERT's own convolutions, whose width is not the blocks'.
HUBERT = (*[(16, 10)], *[(16, 3)] * 4, *[(16, 2)] * 2)
#: Which blocks reuse attention: as published; none; and others than published.
PATTERNS = [(False, True, False, True), (False, False, False), (False, True, True, False, True)]


def shapes(config: Config) -> Shapes:
    """The keys of a published student and their shapes, by the authors' code."""
    width, inner = config.width, config.inner
    channels = [1, *(channels for channels, _ in config.convolutions)]
    keys: Shapes = {
        f"feature_extractor.conv_layers.{i}.0.weight": (out, channels[i], kernel)
        for i, (out, kernel) in enumerate(config.convolutions)
    }
    keys["mask_emb"] = keys["encoder.pos_conv.0.bias"] = (width,)
    kernel, groups = config.positions
    keys["encoder.pos_conv.0.weight_g"] = (1, 1, kernel)
    keys["encoder.pos_conv.0.weight_v"] = (width, width // groups, kernel)
    norms = {
        "feature_extractor.conv_layers.0.2": channels[1],
        "layer_norm": channels[-1],
        "encoder.layer_norm": width,
    }
    linears = {} if channels[-1] == width else {"post_extract_proj": (width, channels[-1])}
    for i, reuses in enumerate(config.reuses):
        block = f"encoder.layers.{i}"
        norms |= {f"{block}.{name}": width for name in ("self_attn_layer_norm", "final_layer_norm")}
        linears |= {f"{block}.fc1": (inner, width), f"{block}.fc2": (width, inner)}
        linears |= {f"{block}.self_attn.{name}_proj": (width, width) for name in ("v", "out")}
        if not reuses:
            linears |= {f"{block}.self_attn.{name}_proj": (width, width) for name in ("q", "k")}
        if config.target:
            linears[f"proj_head.{i}.lin_proj"] = (config.target, width)
    for name, numbers in norms.items():
        keys |= {f"{name}.weight": (numbers,), f"{name}.bias": (numbers,)}
    for name, shape in linears.items():
        keys |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return keys


def student(config: Config = SMALL, seed: int = 0) -> State:
    """A student's random weights, with attention far from even."""
    random = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in sorted(shapes(config).items()):
        values = torch.randn(shape, generator=random)
        if name.endswith("weight_g") or (len(shape) == 1 and name.endswith("weight")):
            state[name] = 1 + 0.2 * values
        elif len(shape) == 1:
            state[name] = 0.2 * values
        else:
            gain = 3 if "q_proj" in name or "k_proj" in name else 1.5 if "conv_layers" in name else 1
            state[name] = gain * values / math.sqrt(math.prod(shape[1:]))
    return state


def container(state: Mapping[str, Tensor], heads: int | None = SMALL.heads, **settings: object) -> Contents:
    """A checkpoint as the authors' training leaves it; without settings if there are no heads."""
    cfg = {"train": {"gpus": 2}, "distiller": {"encoder_attention_heads": heads, "layer_norm_first": False, **settings}}
    teacher = {"teacher_model.model.mask_emb": torch.ones(3), "teacher_model.model.layer_norm.weight": torch.ones(5)}
    return {
        **{"epoch": 3, "global_step": 7, "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}]},
        "state_dict": {**teacher, **{f"student_model.{name}": tensor for name, tensor in state.items()}},
        **({} if heads is None else {"hyper_parameters": {"cfg": cfg}}),
    }


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a checkpoint and gives its path."""
    return partial(saved, tmp_path / "small.ckpt")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of three blocks, 48 wide, of which the second reuses attention."""
    return saved(tmp_path_factory.mktemp("weights") / "small.ckpt", container(student()))


# The arithmetic, against loops in double precision and another implementation.


def plain_norm(x: Tensor, state: Mapping[str, Tensor], name: str, dim: int = -1) -> Tensor:
    centred = x - x.mean(dim, keepdim=True)
    scaled = centred / ((centred**2).mean(dim, keepdim=True) + 1e-5).sqrt()
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return scaled * weight + bias if dim == -1 else scaled * weight[:, None] + bias[:, None]


def plain_linear(x: Tensor, state: Mapping[str, Tensor], name: str) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def plain_gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def plain_softmax(x: Tensor) -> Tensor:
    return x.exp() / x.exp().sum(-1, keepdim=True)


def plain_input(state: Mapping[str, Tensor], config: Config, wave: Tensor) -> Tensor:
    """The stream (frame, width) before the first block, of one clip."""
    x = wave[None]
    for i, (_, kernel) in enumerate(config.convolutions):
        stride = {10: 5, 1: 1}.get(kernel, 2)
        windows = x.unfold(-1, kernel, stride)
        x = torch.einsum("itk,oik->ot", windows, state[f"feature_extractor.conv_layers.{i}.0.weight"])
        x = plain_gelu(x if i else plain_norm(x, state, "feature_extractor.conv_layers.0.2", dim=1))
    x = plain_norm(x.T, state, "layer_norm")
    if "post_extract_proj.weight" in state:
        x = plain_linear(x, state, "post_extract_proj")
    kernel, groups = config.positions
    direction, length = (state[f"encoder.pos_conv.0.weight_{part}"] for part in "vg")
    told = torch.zeros_like(x) + state["encoder.pos_conv.0.bias"]
    each = config.width // groups
    for tap in range(kernel):
        weight = direction[:, :, tap] / direction[:, :, tap].norm() * length[0, 0, tap]
        for frame in range(len(x)):
            if 0 <= (heard := frame + tap - kernel // 2) < len(x):
                for group in range(groups):
                    part = slice(group * each, (group + 1) * each)
                    told[frame, part] += weight[part] @ x[heard, part]
    return plain_norm(x + plain_gelu(told), state, "encoder.layer_norm")


def plain_student(state: Mapping[str, Tensor], config: Config, wave: Tensor) -> tuple[list[Tensor], Tensor]:
    """The streams (frame, width) of one clip and the projection of the last, head by head and block by block."""
    state = {name: tensor.double() for name, tensor in state.items()}
    x = plain_input(state, config, wave.double())
    streams, each = [x], config.width // config.heads
    maps: list[Tensor] = []
    for i, reuses in enumerate(config.reuses):
        block = f"encoder.layers.{i}"
        project = {
            name: plain_linear(x, state, f"{block}.self_attn.{name}_proj") for name in ("v" if reuses else "qkv")
        }
        mixed = torch.zeros_like(x)
        maps = maps if reuses else []
        for head in range(config.heads):
            part = slice(head * each, (head + 1) * each)
            if reuses:
                weights = plain_softmax(maps[head])  # of what is a softmax already
            else:
                weights = plain_softmax(project["q"][:, part] @ project["k"][:, part].T / math.sqrt(each))
                maps.append(weights)
            mixed[:, part] = weights @ project["v"][:, part]
        mixed = plain_linear(mixed, state, f"{block}.self_attn.out_proj")
        x = plain_norm(x + mixed, state, f"{block}.self_attn_layer_norm")
        inner = plain_gelu(plain_linear(x, state, f"{block}.fc1"))
        x = plain_norm(x + plain_linear(inner, state, f"{block}.fc2"), state, f"{block}.final_layer_norm")
        streams.append(x)
    return streams, plain_linear(x, state, f"proj_head.{len(config.reuses) - 1}.lin_proj") if config.target else x


@pytest.mark.parametrize("reuses", PATTERNS)
@pytest.mark.parametrize(
    "other",
    [{}, {"convolutions": HUBERT}, {"heads": 12}, {"positions": (7, 3)}, {"target": None}, {"target": 48}],
    ids=["the small one", "HuBERT's convolutions", "twelve heads", "an odd kernel", "no target", "a narrow target"],
)
def test_the_layers_are_those_of_plain_loops(
    save: Save, noise: Noise, reuses: tuple[bool, ...], other: dict[str, Any]
) -> None:
    config = SMALL._replace(reuses=reuses, **other)
    state, waves = student(config), noise(2, 5000)
    layers = load(f"armhubert@{save(container(state, config.heads))}").encode(waves)
    for clip, wave in enumerate(waves):
        streams, final = plain_student(state, config, wave)
        assert len(layers.hidden) == len(streams) == len(reuses) + 1
        for layer, stream in zip(layers.hidden, streams, strict=True):
            assert_close(layer[clip].double(), stream, 2e-5)
        assert_close(layers.final[clip].double(), final, 2e-5)


def attentions() -> list[Any]:
    """Of each block of the small student."""
    network = ArmHubert(SMALL).eval().requires_grad_(False)
    network.load_state_dict({name: student()[name] for name in network.state_dict()})
    return [block.self_attn for block in network.encoder.layers]


@pytest.mark.parametrize("clips", [1, 3])
def test_reused_attention_is_the_authors_for_each_clip_alone(clips: int, noise: Noise) -> None:
    # Their map is (head, clip, query, key) when it is handed on, and (clip x head, query, key) when it is taken.
    x, (first, second, _) = noise(clips, 20, 48), attentions()
    _, attention = first(x, None)
    ours, handed_on = second(x, attention)
    assert handed_on is attention
    for clip in range(clips):
        own = x[clip : clip + 1]
        handed = first.weigh(own).transpose(0, 1)
        taken = handed.contiguous().view(4, 20, 20).softmax(-1)
        values = second.v_proj(own.transpose(0, 1)).view(20, 4, 12).transpose(0, 1)
        theirs = second.out_proj(torch.bmm(taken, values).transpose(0, 1).reshape(20, 48))
        assert_close(ours[clip], theirs, 1e-5)


def test_the_sharpest_attention_is_soft_when_it_is_reused(noise: Noise) -> None:
    # Where every frame heard itself alone, it then hears all, and itself e times as much.
    x, (_, second, _) = noise(1, 20, 48), attentions()
    values = second.v_proj(x)
    heard = (values.sum(1, keepdim=True) + (math.e - 1) * values) / (19 + math.e)
    assert_close(second(x, torch.eye(20).expand(1, 4, 20, 20))[0], second.out_proj(heard), 1e-5)


def hubert_key(name: str) -> str:
    """A key of transformers' HuBERT as a student has it."""
    for theirs, ours in {
        "feature_projection.projection": "post_extract_proj",
        "feature_projection.layer_norm": "layer_norm",
        ".conv.weight": ".0.weight",
        "0.layer_norm": "0.2" if name.startswith("feature_extractor") else "0.layer_norm",
        "pos_conv_embed.conv": "pos_conv.0",
        "parametrizations.weight.original0": "weight_g",
        "parametrizations.weight.original1": "weight_v",
        ".attention.": ".self_attn.",
        "feed_forward.intermediate_dense": "fc1",
        "feed_forward.output_dense": "fc2",
    }.items():
        name = name.replace(theirs, ours)
    parts = name.split(".")
    if parts[:2] == ["encoder", "layers"] and parts[3] == "layer_norm":
        parts[3] = "self_attn_layer_norm"
    return ".".join(parts)


@pytest.mark.parametrize("samples", [400, 16_000])
def test_without_reuse_it_is_transformers_hubert(save: Save, noise: Noise, samples: int) -> None:
    from transformers import HubertConfig, HubertModel

    config = SMALL._replace(convolutions=HUBERT, reuses=(False,) * 3, target=None)
    state = student(config)
    sizes: dict[str, Any] = {
        **{"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64},
        **{"conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4},
    }
    hubert = HubertModel(HubertConfig(**sizes, mask_time_prob=0.0)).eval()
    keys = {name: hubert_key(name) for name in hubert.state_dict()}
    assert sorted(keys.values()) == sorted(set(state) - {"mask_emb"})
    hubert.load_state_dict({name: state[key] for name, key in keys.items()})
    wave = noise(2, samples)
    with torch.no_grad():
        wanted = layers_of(hubert(wave, output_hidden_states=True))
    assert_layers_close(load(f"armhubert@{save(container(state))}").encode(wave), wanted, 1e-5)


def test_final_is_the_last_blocks_projection(small: Path, noise: Noise) -> None:
    layers, state = load(f"armhubert@{small}").encode(noise(2, 8000)), student()
    weight, bias = (state[f"proj_head.2.lin_proj.{part}"] for part in ("weight", "bias"))
    assert_close(layers.final, functional.linear(layers.hidden[-1], weight, bias), 1e-6)


# What is published.

PUBLISHED = {
    "960h": ("ARMHuBERT-960h", published(480, 864, reuses=True), 26.45),
    "s": ("ARMHuBERT-S-960h", published(432, 816, reuses=True), 22.39),
    "s100h": ("ARMHuBERT-S-100h", published(432, 816, reuses=True), 22.39),
    "armwavlm": ("ARMwavLM-S-960h", published(432, 816, reuses=True), 22.39),
    "armwavlm100h": ("ARMwavLM-S-100h", published(432, 816, reuses=True), 22.39),
    "maskhubert": ("MaskHuBERT-960h", published(480, 640, reuses=False), 26.64),
}


@pytest.mark.parametrize("variant", PUBLISHED)
def test_the_students_have_the_published_sizes(variant: str) -> None:
    _, config, millions = PUBLISHED[variant]
    assert published(**armhubert.UPSTREAM.variants[variant].config) == config
    assert round(sum(map(math.prod, shapes(config).values())) / 1e6, 2) == millions


@pytest.mark.parametrize("variant", ["960h", "maskhubert"])
def test_the_network_has_the_keys_of_a_student(variant: str) -> None:
    config = PUBLISHED[variant][1]
    with torch.device("meta"):
        ours = {name: tuple(tensor.shape) for name, tensor in ArmHubert(config).state_dict().items()}
    unused = {"mask_emb", *(f"proj_head.{i}.lin_proj.{part}" for i in range(11) for part in ("weight", "bias"))}
    assert ours == {name: shape for name, shape in shapes(config).items() if name not in unused}


def test_every_second_block_of_the_published_ones_reuses_attention() -> None:
    assert published(480, 864, reuses=True).reuses == (False, True) * 6
    assert published(480, 640, reuses=False).reuses == (False,) * 12


def test_the_convolutions_are_hubert_s_with_two_that_mix_channels() -> None:
    convolutions = published(480, 864, reuses=True).convolutions
    assert [(width, kernel, STRIDES[kernel]) for width, kernel in convolutions] == [
        *[(128, 10, 5), (256, 1, 1)],
        *[(256, 3, 2)] * 4,
        *[(480, 1, 1), (480, 2, 2), (480, 2, 2)],
    ]


@pytest.mark.parametrize("variant", PUBLISHED)
def test_the_published_files_are_named(variant: str) -> None:
    source = UpstreamSpec.parse(f"armhubert:{variant}").cls.published(variant=variant)
    assert source == Hub("sungnyun/ARMHuBERT", f"{PUBLISHED[variant][0]}.ckpt")


def test_the_teacher_and_the_data_are_told() -> None:
    notes = {name: str(variant.training) for name, variant in armhubert.UPSTREAM.variants.items()}
    assert "WavLM base on LibriSpeech's 100 h" in notes["armwavlm100h"]
    assert "HuBERT base on LibriSpeech's 960 h" in notes["960h"]


def test_a_file_of_the_published_size_loads_and_is_the_default(save: Save, noise: Noise) -> None:
    config = published(480, 864, reuses=True)
    upstream = load(f"armhubert:960h@{save(container(student(config), None))}")
    assert upstream.network.config == config
    assert (upstream.widths, upstream.final_width) == ((480,) * 13, 768)
    assert upstream.encode(noise(1, 4000)).final.shape == (1, 12, 768)


# Any file.


def test_the_file_tells_the_network(small: Path) -> None:
    upstream = load(f"armhubert@{small}")
    assert upstream.network.config == SMALL
    assert upstream.found == {
        "blocks that reuse attention": [1],
        "attention heads": 4,
        "attention heads from": "the file",
        "ignored keys": [
            *("epoch", "global_step", "optimizer_states"),
            *("student_model.mask_emb", "student_model.proj_head", "teacher_model.model"),
        ],
    }


def test_a_file_without_settings_has_the_published_heads(save: Save) -> None:
    upstream = load(f"armhubert@{save(container(student(), None))}")
    assert upstream.network.config == SMALL._replace(heads=12)
    assert upstream.found["attention heads from"] == "the published models"


def test_settings_of_foreign_classes_are_read(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = container(student())
    settings = contents["hyper_parameters"]["cfg"]["distiller"]
    contents["hyper_parameters"]["cfg"]["distiller"] = SimpleNamespace(**settings)
    contents["callbacks"] = {"a callback": SimpleNamespace(best=Path("/somewhere"))}
    assert load(f"armhubert@{save(contents)}").network.config == SMALL


def test_other_blocks_projections_and_the_mask_have_no_part(save: Save, small: Path, noise: Noise) -> None:
    unused = {"mask_emb", *(f"proj_head.{i}.lin_proj.{part}" for i in range(2) for part in ("weight", "bias"))}
    without = {name: tensor for name, tensor in student().items() if name not in unused}
    got, wanted = (load(f"armhubert@{path}").encode(noise(1, 4000)) for path in (save(container(without)), small))
    assert_layers_close(got, wanted, 0.0)


def test_half_precision_weights_are_read_in_single(save: Save, noise: Noise) -> None:
    upstream = load(f"armhubert@{save(container({name: x.half() for name, x in student().items()}))}")
    assert upstream.encode(noise(1, 4000)).final.dtype == torch.float32


def without(*parts: str) -> Contents:
    """A checkpoint that lacks what has one of these in its name."""
    return container({name: x for name, x in student().items() if not any(part in name for part in parts)})


def altered(**changes: object) -> Contents:
    """A checkpoint in which some of the student's tensors are something else."""
    contents = container(student())
    contents["state_dict"] |= {f"student_model.{name.replace('__', '.')}": value for name, value in changes.items()}
    return contents


WEIGHT = "feature_extractor__conv_layers__{}__0__weight"


@pytest.mark.parametrize(
    ("contents", "pattern"),
    [
        ({"weights": 1}, "no weights by name under the key 'state_dict'"),
        ({"state_dict": [torch.ones(3)]}, "no weights by name under the key 'state_dict'"),
        ({"state_dict": {}}, r"lacks the key 'student_model.feature_extractor.conv_layers.0.0.weight'"),
        (without("layers.1.fc2.bias"), r"lacks the key 'student_model.encoder.layers.1.fc2.bias'"),
        (without("layers.2.self_attn.q_proj.weight"), r"lacks the key 'student_model.*layers.2.self_attn.q_proj.weig"),
        (without("layers.2.self_attn.q_proj"), r"lacks the keys 'student_model.*layers.2.self_attn.q_proj.bias'"),
        (without("layers.0.self_attn.q_proj", "layers.0.self_attn.k_proj"), "no attention in block 0"),
        (without("encoder.layers.0."), r"lacks the key 'student_model.encoder.layers.0.fc1.weight'"),
        (without("proj_head.2.lin_proj.weight"), r"lacks the key 'student_model.proj_head.2.lin_proj.weight'"),
        (without("proj_head.2"), r"lacks the key 'student_model.proj_head.2.lin_proj.weight'"),
        (without("conv_layers.3"), "convolutions of 10, 1, 3 samples, where 10, 3, 3, 3, 3, 2, 2 are expected"),
        (altered(**{WEIGHT.format(2): torch.ones(24, 24, 5)}), "convolutions of 10, 1, 5, 3"),
        (altered(**{WEIGHT.format(1): torch.ones(24, 99, 1)}), r"of shape \(24, 99, 1\), where \(24, 16, 1\)"),
        (altered(**{WEIGHT.format(1): torch.ones(24, 16)}), r"of shape \(24, 16\), where 3 axes"),
        (altered(**{WEIGHT.format(0): 7}), r"of shape \(\), where 3 axes"),
        (altered(encoder__layer_norm__weight=torch.ones(1).expand(10**9)), "at most 4096"),
        (altered(encoder__layer_norm__weight=torch.ones(0)), "at most 4096"),
        (altered(encoder__pos_conv__0__weight_v=torch.ones(48, 7, 16)), "groups of 7"),
        (altered(upsampler__weight=torch.ones(3)), r"has the key 'student_model.upsampler.weight', which this model"),
        (altered(encoder__layers__0__weight=torch.ones(3)), r"has the key 'student_model.encoder.layers.0.weight'"),
        (altered(encoder__layers__9__fc1__bias=torch.ones(3)), r"lacks the key 'student_model.proj_head.3.lin_proj.we"),
        (altered(**{f"encoder__layers__{i}__x": torch.ones(3) for i in range(60)}), "60 blocks, where at most 48"),
        (container(student(), 7), r"width 48, which its attention heads \(7\) do not divide"),
        (container(student(), 0), r"attention heads \(0\)"),
        (container(student(), True), r"attention heads \(True\)"),
        (container(student(), "4"), r"attention heads \('4'\)"),  # type: ignore[arg-type]
        (container(student(), layer_norm_first=True), "layer_norm_first is not False"),
        (container(student(), activation_fn="relu"), "activation_fn is not 'gelu'"),
        (container(student(), crop_seq_to_multiple=2), "crop_seq_to_multiple is not 1"),
    ],
)
def test_a_file_that_is_no_students_is_refused(save: Save, refused: Refused, contents: Contents, pattern: str) -> None:
    with refused(pattern):
        load(f"armhubert@{save(contents)}")


def test_a_key_beside_student_and_teacher_is_refused(save: Save, refused: Refused) -> None:
    contents = container(student())
    contents["state_dict"]["surprise.weight"] = torch.ones(3)
    with refused("has the key 'surprise.weight', which this model does not know"):
        load(f"armhubert@{save(contents)}")


def test_heads_that_nobody_tells_must_fit(save: Save, refused: Refused) -> None:
    config = SMALL._replace(width=40, positions=(16, 4), convolutions=(*SMALL.convolutions[:-1], (40, 2)))
    with refused(r"width 40, which its attention heads \(12\) do not divide"):
        load(f"armhubert@{save(container(student(config), None))}")


def test_a_token_that_contradicts_the_file_is_refused(small: Path, refused: Refused) -> None:
    with refused(r"width 48, 64 inside, but armhubert:s has 432, 816 inside: write armhubert@FILE"):
        load(f"armhubert:s@{small}")


# Any clip.


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(1, 1), (399, 1), (400, 1), (719, 1), (720, 2), (16_000, 49), (80_000, 249), (163_840, 511)],
)
def test_there_is_a_frame_for_every_whole_hop(small: Path, noise: Noise, samples: int, frames: int) -> None:
    layers = load(f"armhubert@{small}").encode(noise(2, samples))
    assert {layer.shape[:2] for _, layer in layers.named()} == {(2, frames)}
    assert all(layer.isfinite().all() for _, layer in layers.named())


def test_a_short_clip_is_padded_with_zeros(small: Path, noise: Noise) -> None:
    upstream, wave = load(f"armhubert@{small}"), noise(1, 250)
    padded = functional.pad(wave, (0, 150))
    assert torch.equal(upstream.encode(wave).final, upstream.encode(padded).final)


def test_the_wave_goes_in_as_it_is(small: Path, noise: Noise) -> None:
    wave = 3 * noise(1, 4000) + 0.5
    assert torch.equal(load(f"armhubert@{small}").normalise(wave), wave)


def test_a_batch_is_what_its_clips_are_alone(small: Path, noise: Noise) -> None:
    upstream, waves = load(f"armhubert@{small}"), noise(3, 12_000)
    alone = Layers.join([upstream.encode(wave[None]) for wave in waves], dim=0)
    assert_layers_close(upstream.encode(waves), alone, 1e-5)


def test_a_batch_above_the_limit_is_encoded_in_turns(
    small: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, waves = load(f"armhubert@{small}"), noise(3, 12_000)
    wanted, seen = upstream.encode(waves), []
    forward = upstream.network.forward

    def watched(wave: Tensor) -> Any:
        seen.append(len(wave))
        return forward(wave)

    monkeypatch.setattr(upstream.network, "forward", watched)
    monkeypatch.setattr(armhubert, "MOST_LOGITS", 2 * 4 * 37**2)
    got = upstream.encode(waves)
    assert seen == [2, 1]
    assert_layers_close(got, wanted, 1e-5)


def test_a_clip_above_the_limit_is_cut_in_equal_windows(small: Path, noise: Noise) -> None:
    upstream = load(f"armhubert@{small}")
    assert upstream.longest == 32 * 16_000
    wave = noise(1, upstream.longest + 2)
    half = len(wave[0]) // 2
    windows = Layers.join([upstream.encode(wave[:, :half]), upstream.encode(wave[:, half:])], dim=1)
    assert_layers_close(upstream.encode_in_windows(wave), windows, 1e-5)


def test_the_time_of_the_first_frame_is_its_centre(small: Path) -> None:
    upstream = load(f"armhubert@{small}")
    assert (upstream.frame_rate, upstream.frame_offset) == (Fraction(50), Fraction(400, 2 * 16_000))


def test_nothing_in_it_is_trained(small: Path) -> None:
    for network in (untrained("armhubert").network, load(f"armhubert@{small}").network):
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_untrained_control_is_the_same_every_time() -> None:
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(untrained("armhubert").network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("check", testing.CHECKS)
def test_it_keeps_the_contract(check: str) -> None:
    finding = testing.examine(testing.Subject.of("armhubert@untrained", quick=True), check)
    assert not finding.change, finding
