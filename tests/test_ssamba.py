"""SSAMBA against the original code's values, and its behaviour on any file and any clip."""

import math
import re
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from harness.fbank import fbank
from harness.registry import UpstreamSpec
from harness.upstreams import ssamba
from harness.upstreams._patches import IGNORED, Statistics, grid_of, log_mel
from harness.upstreams._vim import Mixer, Shape, Vim

from checkpoints import (
    Save,
    Shapes,
    State,
    fill,
    filled,
    load,
    masked_prediction,
    mixer_shapes,
    reference_weights,
    saved,
)
from reference import (
    Golden,
    Noise,
    Numbers,
    Refused,
    Tones,
    assert_close,
    assert_layers_close,
    assert_within,
    clips_of,
    in_windows,
    read_json,
)


def shapes(width: int, depth: int, columns: int, *, centred: bool = True) -> Shapes:
    """The keys of a published file's network and their shapes; its position table is ``columns`` patches long."""
    norm = {"weight": (width,)} | ({"bias": (width,)} if centred else {})
    mixer = mixer_shapes(width, "bibi")
    keys: Shapes = {
        "module.v.cls_token": (1, 1, width),
        "module.v.pos_embed": (1, 1 + 8 * columns, width),
        "module.v.patch_embed.proj.weight": (width, 1, 16, 16),
        "module.v.patch_embed.proj.bias": (width,),
        "module.v.head.weight": (1000, width),
        "module.v.head.bias": (1000,),
    }
    for i in range(depth):
        keys |= {f"module.v.layers.{i}.mixer.{key}": shape for key, shape in mixer.items()}
        keys |= {f"module.v.layers.{i}.norm.{key}": shape for key, shape in norm.items()}
    return keys | {f"module.v.norm_f.{key}": shape for key, shape in norm.items()}


def published(width: int = 32, depth: int = 4, frames: int = 128, *, centred: bool = True) -> State:
    """A state dict in the published form."""
    return masked_prediction(width, frames) | filled(shapes(width, depth, frames // 16, centred=centred))


@pytest.fixture
def state() -> State:
    return published()


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a checkpoint and gives its path."""
    return partial(saved, tmp_path / "small.pth")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two pairs, 32 wide, pre-trained on 128 frames."""
    return saved(tmp_path_factory.mktemp("weights") / "small.pth", published())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint behind the reference numbers: published keys and shapes of the size ``tiny``."""
    return saved(tmp_path_factory.mktemp("weights") / "tiny.pth", published(192, 24, 1024))


# The original code's numbers, on a file that is filled by the rule.

TOKENS, CLIP = (1, 65, 192), (1, 192)
IMAGE = Numbers((1, 128, 128), -0.4225613, 0.7472093, (-0.8591791, -1.2775939, -1.2775939, -1.1404175, 0.4670324))
STREAMS = {
    0: Numbers(TOKENS, -0.0380609, 0.8814220, (0.0127200, -0.0352738, 0.4819607, -0.1757122, 0.5640580)),
    1: Numbers(TOKENS, -0.0915505, 1.8252890, (-0.2479725, -0.3417900, 1.7112988, -1.0502834, 1.1469067)),
    2: Numbers(TOKENS, -0.1872831, 3.6822753, (-0.5233414, -0.7873824, 4.6741295, -2.3649065, 1.9277233)),
    12: Numbers(
        TOKENS, -188.8577809, 3779.1695535, (-235.2274933, -897.7292480, 5080.5717774, -2446.8725586, 1791.3251953)
    ),
}
NORMED = {
    1: Numbers(TOKENS, 0.0003698, 1.0136219, (-0.1531008, -0.9732798, 1.1183593, -1.2100205, 0.8994613)),
    2: Numbers(TOKENS, 0.0003729, 1.0200162, (-0.1643377, -1.0573294, 1.0708513, -1.2012897, 0.9776845)),
}
POOLED = {
    "t128": (16_000, Numbers(CLIP, 0.0003681, 0.3734342, (0.0008110, -0.3213751, 0.2239006, 0.0563941, -0.7644204))),
    "s10-t128": (
        16_000,
        Numbers(CLIP, 0.0003970, 0.3874637, (0.0931510, -0.2492365, 0.3604578, 0.0117875, -0.8359703)),
    ),
    "s10-t512": (
        80_000,
        Numbers(CLIP, -0.0002880, 0.6676592, (0.3973245, -0.4017066, 0.3688557, 0.2349408, -1.1897916)),
    ),
    "t1024": (163_840, Numbers(CLIP, 0.0000312, 0.7058556, (0.3002563, -0.4749733, 0.3354296, 0.2409955, -1.2922103))),
}
CLASS = Numbers(CLIP, 0.000681, 1.019380, (-0.1643377, -1.0573294, -0.17849, 1.62865, -0.68226))
#: What comes out if the mixers run one after another instead of in pairs.
SEQUENTIAL = Numbers(CLIP, 0.0001466, 0.3547049, (-0.1195074, 0.0689148, 0.4084730, -0.2603705, -0.1072452))
MIXER = Numbers((1, 10, 192), -0.0009627, 0.0826827, (-0.0226319, 0.1313780, -0.2073150, -0.1936768, 0.0268804))
EXPERT = Numbers((1, 12, 2304), -0.0002150, 1.0120114, (0.4047771, -0.5744739, 0.2325601, 0.3235813, 0.0469295))
EXPERT_LAST = Numbers((1, 145, 192), -0.0002080, 1.0185813, (-0.1394754, -1.1805779, -0.2919851, 0.5772272, 0.0731998))


@pytest.fixture(scope="module")
def one_second(tiny: Path, tones: Tones) -> tuple[Any, Tensor, list[Tensor]]:
    """The reference upstream, its image of one second, and its streams, class token included."""
    upstream = load(f"ssamba:tiny-t128@{tiny}")
    image = log_mel(upstream.normalise(tones(16_000)[None]), upstream.statistics, 128)
    return upstream, image, upstream.network(image, 16)


def test_the_rule_fills_as_it_did() -> None:
    values = fill("module.v.layers.0.mixer.A_log", (384, 16)).flatten()[:4]
    assert values.tolist() == pytest.approx([-0.0683, 0.7703, 1.1774, 1.3018], abs=1e-4)


def test_the_original_codes_image_comes_out(one_second: tuple[Any, Tensor, list[Tensor]]) -> None:
    assert IMAGE.fit(one_second[1])


@pytest.mark.parametrize("pair", STREAMS)
def test_the_original_codes_stream_comes_out(one_second: tuple[Any, Tensor, list[Tensor]], pair: int) -> None:
    assert STREAMS[pair].fit(one_second[2][pair])


@pytest.mark.parametrize("times", NORMED)
def test_the_original_codes_final_norm_comes_out(one_second: tuple[Any, Tensor, list[Tensor]], times: int) -> None:
    upstream, _, streams = one_second
    stream = streams[-1]
    for _ in range(times):
        stream = upstream.network.norm_f(stream)
    assert NORMED[times].fit(stream)
    assert times == 1 or torch.equal(stream, upstream.final(streams[-1]))


def test_the_original_codes_class_token_comes_out(one_second: tuple[Any, Tensor, list[Tensor]]) -> None:
    upstream, _, streams = one_second
    assert CLASS.fit(upstream.final(streams[-1])[:, 0])


@pytest.mark.parametrize("tokens", POOLED)
def test_the_original_codes_clip_vector_comes_out(tiny: Path, tones: Tones, tokens: str) -> None:
    samples, numbers = POOLED[tokens]
    pooled = load(f"ssamba:tiny-{tokens}@{tiny}").encode(tones(samples)[None]).final.mean(1)
    assert numbers.fit(pooled)
    assert not SEQUENTIAL.fit(pooled)


def test_the_original_codes_mixer_comes_out(one_second: tuple[Any, Tensor, list[Tensor]]) -> None:
    wave = torch.sin(0.1 * torch.arange(1920.0)).reshape(1, 10, 192)
    assert MIXER.fit(one_second[0].network.layers[0].mixer(wave))


def test_the_original_experts_tokens_come_out(tiny: Path, tones: Tones) -> None:
    upstream = load(f"ssamba:s10-concat@{tiny}")
    image = upstream.statistics.normalise(fbank(tones(16_000)[None], window="hanning"))
    stream = upstream.network(functional.pad(image, (0, 0, 0, 128 - image.shape[1])), 10)[-1]
    once = upstream.network.norm_f(stream)
    by_time = once[:, 1:].unflatten(1, (12, 12)).transpose(1, 2).flatten(2)
    assert EXPERT.fit(by_time)
    assert EXPERT_LAST.fit(upstream.network.norm_f(once))


# The original code's tensors, where the reference data is.

CASES = {
    "ssamba-t208-s16": "tiny-t208",
    "ssamba-t512-s16": "tiny-t512-esc50",
    "ssamba-t1024-s16": "tiny-t1024",
    "ssamba-t1200-s16": "tiny-t1200",
    "ssamba-t512-s10": "tiny-s10-t512-esc50",
    "ssamba-full-t208-s16": "t208",
}
WITH_IMAGE = ["ssamba-t208-s16", "ssamba-t1024-s16"]
WITH_POSITIONS = ["ssamba-t208-s16", "ssamba-t512-s16", "ssamba-t1200-s16", "ssamba-t512-s10"]


class Case(NamedTuple):
    """A reference case, and the upstream that its name means."""

    tensors: dict[str, Tensor]
    upstream: Any
    clips: list[Tensor]
    stride: int
    frames: int

    @property
    def images(self) -> Tensor:
        made = [log_mel(self.upstream.normalise(clip), self.upstream.statistics, self.frames) for clip in self.clips]
        return torch.cat(made)

    def named(self, streams: list[Tensor]) -> State:
        """What a network's streams are called in the reference data."""
        final = self.upstream.final(streams[-1])
        names = {f"hidden/{i:02d}": stream for i, stream in enumerate(streams)}
        names |= {"norm_once": self.upstream.network.norm_f(streams[-1]), "final": final}
        return names | {"pooled": final[:, 1:].mean(1), "pooled_cls": final[:, 0]}


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, golden: Golden, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Case:
    about, tensors = golden(request.param)
    path = reference_weights(shared, about["weights"], tmp_path_factory.mktemp("weights"))
    upstream = load(f"ssamba:{CASES[request.param]}@{path}")
    return Case(tensors, upstream, clips_of(tensors), about["config"]["fstride"], about["config"]["input_tdim"])


def test_a_reference_clip_vector_comes_out(case: Case) -> None:
    pooled = torch.cat([case.upstream.encode(clip).final.mean(1) for clip in case.clips])
    assert_close(pooled, case.tensors["pooled"], 1e-4)


def test_reference_tokens_come_out(case: Case) -> None:
    for name, got in case.named(case.upstream.network(case.images, case.stride)).items():
        if name in case.tensors:
            pooled = name.startswith("pooled")
            assert_close(got, case.tensors[name], 1e-4 if pooled else 2e-3, math.inf if pooled else 1e-4)


@pytest.mark.parametrize("case", WITH_POSITIONS, indirect=True, scope="module")
def test_a_reference_position_table_comes_out(case: Case) -> None:
    got = case.upstream.network.positions(grid_of(case.frames, case.stride))
    assert_close(got, case.tensors["adapted/pos_embed"], 1e-6)


@pytest.mark.parametrize("case", WITH_IMAGE, indirect=True, scope="module")
def test_reference_tokens_come_out_of_the_reference_image(case: Case) -> None:
    streams = case.upstream.network(case.tensors["frontend/fbank_norm"], case.stride)
    for name, got in case.named(streams).items():
        if name in case.tensors:
            assert_close(got, case.tensors[name], 5e-5)


@pytest.mark.parametrize("case", WITH_IMAGE, indirect=True, scope="module")
def test_a_reference_image_comes_out(case: Case) -> None:
    assert_within(case.images, case.tensors["frontend/fbank_norm"], 1.5e-3, 2e-5)


@pytest.mark.parametrize("case", ["ssamba-t208-s16"], indirect=True, scope="module")
def test_a_reference_image_comes_out_before_it_is_normalised(case: Case) -> None:
    image = log_mel(case.upstream.normalise(case.clips[0]), Statistics(0.0, 0.5), case.frames)
    assert_within(image, case.tensors["frontend/fbank_padded"], 1e-2, 1e-4)


@pytest.mark.parametrize("case", ["ssamba-t208-s16"], indirect=True, scope="module")
def test_the_first_reference_pairs_come_out_block_by_block(case: Case) -> None:
    tensors, layers = case.tensors, case.upstream.network.layers
    streams = case.upstream.network(tensors["frontend/fbank_norm"], case.stride)
    assert_close(layers[0](streams[0]), tensors["layer/00/mixer_out"], 5e-5)
    assert_close(layers[1](streams[0].flip(1)), tensors["layer/01/mixer_out"], 5e-5)
    for pair in (1, 2):
        before, there, back = streams[pair - 1], layers[2 * pair - 2], layers[2 * pair - 1]
        assert_close(there(before) + back(before.flip(1)).flip(1), tensors[f"pair/0{pair}/mixer_out"], 5e-5)
        assert_close(2 * before, tensors[f"pair/0{pair}/residual"], 5e-5)


def test_the_original_superb_expert_comes_out(golden: Golden, shared: Path, tmp_path: Path) -> None:
    about, tensors = golden("ssamba-superb-expert")
    path = reference_weights(shared, about["weights"], tmp_path)
    upstream = load(f"ssamba:tiny-s10-superb-concat-expert@{path}")
    wanted = tensors["superb/hidden_states"]
    assert_close(upstream.encode(tensors["input/waveform"]).final, wanted, 2e-3, 1e-4)


@pytest.mark.parametrize("size", ["base", "small", "tiny"])
def test_the_networks_keys_and_the_ignored_ones_are_the_original_codes(shared: Path, size: str) -> None:
    about = read_json(shared, f"manifests/ssamba-{size}.json")
    shapes = {key.removeprefix("module."): tuple(shape) for key, shape in about["shapes"].items()}
    wanted = {key: shape for key, shape in shapes.items() if not re.match(IGNORED, key)}
    with torch.device("meta"):
        network = Vim(Shape(ssamba.WIDTHS[size], 24, nn.LayerNorm, (8, 64)))
    assert {f"v.{key}": tuple(tensor.shape) for key, tensor in network.state_dict().items()} == wanted
    millions = sum(tensor.numel() for tensor in network.parameters()) / 1e6
    assert millions == pytest.approx(ssamba.Ssamba.variants[size].parameters, abs=0.01)


# Any file.


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_with_or_without_the_prefix_of_data_parallel_gives_the_same(
    tmp_path: Path, small: Path, state: State, noise: Noise, prefix: str, suffix: str
) -> None:
    path = tmp_path / f"other.{suffix}"
    renamed = {prefix + key.removeprefix("module."): value for key, value in state.items()}
    (torch.save if suffix == "pth" else save_file)(renamed, path)
    wave = noise(1, 8000)
    got, wanted = load(f"ssamba@{path}").encode(wave).final, load(f"ssamba@{small}").encode(wave).final
    torch.testing.assert_close(got, wanted, rtol=0, atol=0)


@pytest.mark.parametrize(("centred", "norm"), [(True, nn.LayerNorm), (False, nn.RMSNorm)])
def test_norm_biases_tell_which_norm_it_is(save: Save, noise: Noise, centred: bool, norm: type[nn.Module]) -> None:
    upstream = load(f"ssamba@{save(published(centred=centred))}")
    norms = [upstream.network.norm_f, *(block.norm for block in upstream.network.layers)]
    assert {type(module) for module in norms} == {norm}
    assert upstream.found["norm"] == norm.__name__
    assert upstream.encode(noise(1, 8000)).final.isfinite().all()


def test_the_experts_network_drops_norm_biases_and_norms_once(small: Path, noise: Noise) -> None:
    upstream = load(f"ssamba:expert@{small}")
    stream = noise(1, 9, 32)
    assert upstream.found["norm"] == "RMSNorm"
    torch.testing.assert_close(upstream.final(stream), upstream.network.norm_f(stream), rtol=0, atol=0)
    assert sum(key.endswith(("norm.bias", "norm_f.bias")) for key in upstream.found["ignored keys"]) == 5


@pytest.mark.parametrize("size", [(32, 4, 128), (48, 2, 256), (20, 6, 64)])
def test_width_depth_and_grid_are_read_from_the_file(save: Save, size: tuple[int, int, int]) -> None:
    width, depth, frames = size
    upstream = load(f"ssamba@{save(published(width, depth, frames))}")
    assert (upstream.found["width"], upstream.found["depth"]) == (width, depth)
    assert upstream.widths == (width,) * (depth // 2 + 1)
    assert upstream.network.shape.grid == (8, frames // 16)


@pytest.mark.parametrize(
    "key",
    [
        "p_input_tdim",  # as in the authors' fine-tuned files
        "v.cls_token",
        "v.pos_embed",
        "v.patch_embed.proj.bias",
        "v.layers.0.mixer.A_b_log",
        "v.layers.0.norm.weight",
        "v.layers.1.mixer.D_b",
        "v.layers.2.norm.bias",
        "v.layers.3.mixer.conv1d_b.weight",
        "v.norm_f.bias",
    ],
)
def test_a_file_that_lacks_a_key_is_refused(save: Save, state: State, refused: Refused, key: str) -> None:
    del state[f"module.{key}"]
    with refused("small.pth .*lacks the key"):
        load(f"ssamba@{save(state)}")


def test_a_file_that_lacks_a_mixer_in_the_middle_is_refused(save: Save, state: State, refused: Refused) -> None:
    with refused("has 3 mixers"):
        load(f"ssamba@{save({k: v for k, v in state.items() if '.layers.2.' not in k})}")


def test_a_file_with_an_odd_number_of_mixers_is_refused(save: Save, state: State, refused: Refused) -> None:
    with refused("has 3 mixers"):
        load(f"ssamba@{save({k: v for k, v in state.items() if '.layers.3.' not in k})}")


def test_a_transformers_file_is_refused(save: Save, state: State, refused: Refused) -> None:
    theirs = {key.replace("layers", "blocks"): value for key, value in state.items() if "mixer" not in key}
    with refused("is no pre-trained SSAMBA checkpoint: it lacks the key 'v.layers.0.mixer.A_b_log'"):
        load(f"ssamba@{save(theirs)}")


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, small: Path, refused: Refused) -> None:
    path = tmp_path / "short.pth"
    path.write_bytes(small.read_bytes()[:-1000])
    with refused("short.pth cannot be read as a checkpoint"):
        load(f"ssamba@{path}")


@pytest.mark.parametrize("size", ["base", "small", "tiny"])
def test_a_size_that_contradicts_the_file_is_refused(small: Path, refused: Refused, size: str) -> None:
    with refused(f"is 32 wide, but ssamba:{size} is"):
        load(f"ssamba:{size}@{small}")


@pytest.mark.parametrize("key", ["module.v.dist_token", "v.layers.1.mixer.extra", "mlp_head.0.weight", "epoch"])
def test_a_file_with_a_key_that_nobody_knows_is_refused(save: Save, state: State, refused: Refused, key: str) -> None:
    with refused(f"has the key '{key.removeprefix('module.')}', which this model does not know"):
        load(f"ssamba@{save(state | {key: torch.ones(3)})}")


@pytest.mark.parametrize("key", ["v.pos_embed", "v.layers.1.mixer.x_proj.weight", "v.norm_f.weight"])
def test_a_file_with_a_tensor_of_another_shape_is_refused(save: Save, state: State, refused: Refused, key: str) -> None:
    name = f"module.{key}"
    with refused("of shape .* where .* is expected"):
        load(f"ssamba@{save(state | {name: state[name][..., :-1]})}")


@pytest.mark.parametrize(
    "contents", [{"epoch": 3}, {"note": "best so far"}, {"best": None}], ids=lambda x: next(iter(x))
)
def test_a_file_with_something_beside_the_tensors_is_refused(
    save: Save, state: State, refused: Refused, contents: dict[str, object]
) -> None:
    with refused("small.pth"):
        load(f"ssamba@{save({**state, **contents})}")


def test_a_state_dict_that_lies_deeper_is_refused(save: Save, state: State, refused: Refused) -> None:
    with refused("lacks the key 'v.cls_token'"):
        load(f"ssamba@{save({'model': state})}")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ssamba", "ssamba_base_400.pth"),
        ("ssamba:tiny-250", "ssamba_tiny_250.pth"),
        ("ssamba:small-s10", "ssamba_small_400.pth"),
    ],
)
def test_without_the_hub_one_sentence_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, refused: Refused, name: str, file: str
) -> None:
    asked: list[str] = []

    def unreachable(repo: str, filename: str, **_: object) -> str:
        asked.append(filename)
        raise LocalEntryNotFoundError("no network\nand no cache")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with refused(f"{file} of the hub repository .* cannot be had .*write {name}@FILE"):
        load(name)
    assert asked == [file]


# Any clip.


@pytest.mark.parametrize(("tokens", "stride"), [("tiny", 16), ("tiny-s10", 10), ("tiny-t208", 16)])
def test_thirteen_states_and_a_final_one_have_the_declared_widths(noise: Noise, tokens: str, stride: int) -> None:
    upstream = load(f"ssamba:{tokens}@untrained")
    layers = upstream.encode(noise(1, 16_000))
    assert [layer.shape[-1] for layer in layers.hidden] == [192] * 13 == list(upstream.widths)
    assert layers.final.shape[-1] == upstream.final_width == 192
    assert upstream.frame_rate == Fraction(100, stride)


@pytest.mark.parametrize("samples", [20_721, 45_000])
@pytest.mark.parametrize("clips_at_once", [1, 16])
def test_a_long_clip_is_normalised_whole_and_its_windows_join(
    small: Path, noise: Noise, samples: int, clips_at_once: int
) -> None:
    upstream, waves = load(f"ssamba@{small}"), noise(2, samples)
    assert upstream.longest == 20_720
    assert_layers_close(upstream.encode_in_windows(waves, clips_at_once), in_windows(upstream, waves), 1e-5)


def test_the_pairs_are_two_streams_that_are_added(small: Path, noise: Noise) -> None:
    # As the authors write it: both mixers of a pair take along the residual, and both are added.
    network = load(f"ssamba@{small}").network
    streams = network(noise(2, 128, 128), 16)
    hidden, residual = streams[0], torch.zeros_like(streams[0])
    for i in range(0, 4, 2):
        sums = hidden + residual, hidden.flip(1) + residual.flip(1)
        outs = [layer.mixer(layer.norm(total)) for layer, total in zip(network.layers[i : i + 2], sums, strict=True)]
        hidden, residual = outs[0] + outs[1].flip(1), sums[0] + sums[1].flip(1)
        assert_close(streams[i // 2 + 1], hidden + residual, 1e-6)


def test_a_mixer_with_equal_directions_commutes_with_reversal(small: Path, noise: Noise) -> None:
    mixer: Mixer = load(f"ssamba@{small}").network.layers[0].mixer
    values = mixer.state_dict()
    for key in values:
        if (twin := key.replace("A_b_", "A_").replace("_b.", ".").removesuffix("_b")) != key:
            values[key] = values[twin]
    mixer.load_state_dict(values)
    x = noise(2, 20, 32)
    assert_close(mixer(x.flip(1)), mixer(x).flip(1), 1e-6)


def test_the_plugin_is_found_under_its_name() -> None:
    assert UpstreamSpec.parse("ssamba:tiny-s10").cls is ssamba.UPSTREAM


@pytest.mark.parametrize(
    "broken",
    [
        {"module.p_input_tdim": torch.tensor([1024, 1024])},
        {"module.p_input_tdim": torch.tensor(-5)},
        {"module.p_input_tdim": torch.tensor(float("nan"))},
        {"module.p_input_tdim": "text"},
        {"module.v.cls_token": torch.tensor(1.0)},
        {"module.v.cls_token": 7},
        {"module.v.layers.999999.norm.weight": torch.ones(3)},
    ],
    ids=["a vector", "negative", "NaN", "text", "a number", "no tensor", "a far layer"],
)
def test_a_hostile_file_is_refused(save: Save, state: State, refused: Refused, broken: State) -> None:
    with refused("."):
        load(f"ssamba@{save({**state, **broken})}")
