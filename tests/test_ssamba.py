"""SSAMBA against the original code's values, and its behaviour on any file and any clip."""

import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from harness.fbank import fbank
from harness.models import Layers
from harness.registry import UpstreamSpec
from harness.upstreams import ssamba
from harness.upstreams._patches import IGNORED, Statistics, grid_of, log_mel
from harness.upstreams._vim import Mixer, Shape, Vim

Golden = Callable[[str], tuple[Mapping[str, Any], dict[str, Tensor]]]
Noise = Callable[..., Tensor]
Refused = Callable[[str], AbstractContextManager[None]]
State = dict[str, Tensor]


def load(name: str) -> Any:
    """The upstream of a name, as the commands find it."""
    spec = UpstreamSpec.parse(name)
    return spec.load(spec.weights(lambda path: f"the hash of {path.name}"), "cpu")


def shapes(width: int, depth: int, columns: int, *, centred: bool = True) -> dict[str, tuple[int, ...]]:
    """The keys of a published file and their shapes; its position table is ``columns`` patches long."""
    inner, rank = 2 * width, math.ceil(width / 16)
    norm = {"weight": (width,)} | ({"bias": (width,)} if centred else {})
    mixer: dict[str, tuple[int, ...]] = {
        "in_proj.weight": (2 * inner, width),
        "out_proj.weight": (width, inner),
    }
    for side in ("", "_b"):
        mixer |= {f"conv1d{side}.weight": (inner, 1, 4), f"conv1d{side}.bias": (inner,)}
        mixer |= {f"x_proj{side}.weight": (rank + 32, inner), f"D{side}": (inner,)}
        mixer |= {f"dt_proj{side}.weight": (inner, rank), f"dt_proj{side}.bias": (inner,)}
        mixer |= {f"A{side}_log": (inner, 16)}
    keys: dict[str, tuple[int, ...]] = {
        "mask_embed": (1, 1, width),
        "v.cls_token": (1, 1, width),
        "v.pos_embed": (1, 1 + 8 * columns, width),
        "v.patch_embed.proj.weight": (width, 1, 16, 16),
        "v.patch_embed.proj.bias": (width,),
        "v.head.weight": (1000, width),
        "v.head.bias": (1000,),
    }
    for i in range(depth):
        keys |= {f"v.layers.{i}.mixer.{key}": shape for key, shape in mixer.items()}
        keys |= {f"v.layers.{i}.norm.{key}": shape for key, shape in norm.items()}
    keys |= {f"v.norm_f.{key}": shape for key, shape in norm.items()}
    for head in ("cpredlayer", "gpredlayer"):
        for i, out in ((0, width), (2, 256)):
            keys |= {f"{head}.{i}.weight": (out, width), f"{head}.{i}.bias": (out,)}
    return {f"module.{key}": shape for key, shape in keys.items()}


def fill(name: str, shape: tuple[int, ...]) -> Tensor:
    """The rule by which the files were filled whose outputs are the reference numbers below."""
    seed = zlib.crc32(name.encode()) % 10007
    r = 43758.5453 * np.sin(12.9898 * np.arange(1, math.prod(shape) + 1) + 0.618 * seed)
    u = (2 * (r - np.floor(r)) - 1).reshape(shape)
    last = name.split(".")[-1]
    if last in ("A_log", "A_b_log"):
        values = np.log(np.arange(1, 17)) + 0.1 * u
    elif last in ("D", "D_b"):
        values = 1 + 0.1 * u
    elif name.endswith(("dt_proj.bias", "dt_proj_b.bias")):
        values = -1 + 0.5 * u
    elif last in ("cls_token", "pos_embed", "mask_embed"):
        values = 0.2 * u
    elif len(shape) == 1:
        values = 1 + 0.1 * u if last == "weight" else 0.05 * u
    else:
        values = u * np.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(values).float()


def published(width: int = 32, depth: int = 4, frames: int = 128, *, centred: bool = True) -> State:
    """A state dict in the published form."""
    keys = shapes(width, depth, frames // 16, centred=centred)
    sizes = {"module.p_input_fdim": torch.tensor(128), "module.p_input_tdim": torch.tensor(frames)}
    return sizes | {name: fill(name, shape) for name, shape in keys.items()}


@pytest.fixture
def state() -> State:
    return published()


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Mapping[str, Any]], Path]:
    """Writes a checkpoint and gives its path."""

    def write(state: Mapping[str, Any]) -> Path:
        path = tmp_path / "small.pth"
        torch.save(dict(state), path)
        return path

    return write


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two pairs, 32 wide, pre-trained on 128 frames."""
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(published(), path)
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint behind the reference numbers: published keys and shapes of the size ``tiny``."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(published(192, 24, 1024), path)
    return path


# The original code's numbers, on a file that the rule above fills.


class Numbers(NamedTuple):
    """What is known of a tensor: shape, mean, deviation, and the values at some flat indices."""

    shape: tuple[int, ...]
    mean: float
    std: float
    values: dict[int, float]

    def fit(self, x: Tensor) -> bool:
        """Whether a tensor has these numbers, up to float32 rounding in another order."""
        bound = 1e-3 * max(1.0, self.std)
        pairs = [(float(x.mean()), self.mean), (float(x.std(correction=0)), self.std)]
        pairs += [(float(x.flatten()[at]), value) for at, value in self.values.items()]
        return tuple(x.shape) == self.shape and all(abs(got - wanted) <= bound for got, wanted in pairs)


IMAGE = Numbers(
    (1, 128, 128),
    -0.4225613,
    0.7472093,
    {0: -0.8591791, 1: -1.2775939, 5461: -1.2775939, 8192: -1.1404175, 16383: 0.4670324},
)
STREAMS = {
    0: Numbers(
        (1, 65, 192),
        -0.0380609,
        0.8814220,
        {0: 0.0127200, 1: -0.0352738, 4160: 0.4819607, 6240: -0.1757122, 12479: 0.5640580},
    ),
    1: Numbers(
        (1, 65, 192),
        -0.0915505,
        1.8252890,
        {0: -0.2479725, 1: -0.3417900, 4160: 1.7112988, 6240: -1.0502834, 12479: 1.1469067},
    ),
    2: Numbers(
        (1, 65, 192),
        -0.1872831,
        3.6822753,
        {0: -0.5233414, 1: -0.7873824, 4160: 4.6741295, 6240: -2.3649065, 12479: 1.9277233},
    ),
    12: Numbers(
        (1, 65, 192),
        -188.8577809,
        3779.1695535,
        {0: -235.2274933, 1: -897.7292480, 4160: 5080.5717774, 6240: -2446.8725586, 12479: 1791.3251953},
    ),
}
NORMED = {
    1: Numbers(
        (1, 65, 192),
        0.0003698,
        1.0136219,
        {0: -0.1531008, 1: -0.9732798, 4160: 1.1183593, 6240: -1.2100205, 12479: 0.8994613},
    ),
    2: Numbers(
        (1, 65, 192),
        0.0003729,
        1.0200162,
        {0: -0.1643377, 1: -1.0573294, 4160: 1.0708513, 6240: -1.2012897, 12479: 0.9776845},
    ),
}
POOLED = {
    "t128": (
        16_000,
        Numbers(
            (1, 192),
            0.0003681,
            0.3734342,
            {0: 0.0008110, 1: -0.3213751, 64: 0.2239006, 96: 0.0563941, 191: -0.7644204},
        ),
    ),
    "s10-t128": (
        16_000,
        Numbers(
            (1, 192),
            0.0003970,
            0.3874637,
            {0: 0.0931510, 1: -0.2492365, 64: 0.3604578, 96: 0.0117875, 191: -0.8359703},
        ),
    ),
    "s10-t512": (
        80_000,
        Numbers(
            (1, 192),
            -0.0002880,
            0.6676592,
            {0: 0.3973245, 1: -0.4017066, 64: 0.3688557, 96: 0.2349408, 191: -1.1897916},
        ),
    ),
    "t1024": (
        163_840,
        Numbers(
            (1, 192),
            0.0000312,
            0.7058556,
            {0: 0.3002563, 1: -0.4749733, 64: 0.3354296, 96: 0.2409955, 191: -1.2922103},
        ),
    ),
}
CLASS = Numbers(
    (1, 192),
    0.000681,
    1.019380,
    {0: -0.1643377, 1: -1.0573294, 64: -0.17849, 96: 1.62865, 191: -0.68226},
)
#: What comes out if the mixers run one after another instead of in pairs.
SEQUENTIAL = Numbers(
    (1, 192),
    0.0001466,
    0.3547049,
    {0: -0.1195074, 1: 0.0689148, 64: 0.4084730, 96: -0.2603705, 191: -0.1072452},
)
MIXER = Numbers(
    (1, 10, 192),
    -0.0009627,
    0.0826827,
    {0: -0.0226319, 1: 0.1313780, 640: -0.2073150, 960: -0.1936768, 1919: 0.0268804},
)
EXPERT = Numbers(
    (1, 12, 2304),
    -0.0002150,
    1.0120114,
    {0: 0.4047771, 1: -0.5744739, 9216: 0.2325601, 13824: 0.3235813, 27647: 0.0469295},
)
EXPERT_LAST = Numbers(
    (1, 145, 192),
    -0.0002080,
    1.0185813,
    {0: -0.1394754, 1: -1.1805779, 9280: -0.2919851, 13920: 0.5772272, 27839: 0.0731998},
)


@pytest.fixture(scope="module")
def one_second(tiny: Path, tones: Callable[[int], Tensor]) -> tuple[Any, Tensor, list[Tensor]]:
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
def test_the_original_codes_clip_vector_comes_out(tiny: Path, tones: Callable[[int], Tensor], tokens: str) -> None:
    samples, numbers = POOLED[tokens]
    pooled = load(f"ssamba:tiny-{tokens}@{tiny}").encode(tones(samples)[None]).final.mean(1)
    assert numbers.fit(pooled)
    assert not SEQUENTIAL.fit(pooled)


def test_the_original_codes_mixer_comes_out(one_second: tuple[Any, Tensor, list[Tensor]]) -> None:
    wave = torch.sin(0.1 * torch.arange(1920.0)).reshape(1, 10, 192)
    assert MIXER.fit(one_second[0].network.layers[0].mixer(wave))


def test_the_original_experts_tokens_come_out(tiny: Path, tones: Callable[[int], Tensor]) -> None:
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


@pytest.fixture(scope="module")
def reference_weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the checkpoint of a reference case, in the published container."""
    folder = shared / "golden"
    shallow = tmp_path_factory.mktemp("weights") / "d4.pth"
    tensors = load_file(folder / "ssamba-tiny-d4.weights.safetensors")
    torch.save(
        {f"module.{k.removeprefix('weights/').removeprefix('module.')}": v for k, v in tensors.items()},
        shallow,
    )
    return lambda name: shallow if name == "ssamba-tiny-d4" else folder / f"{name}.pth"


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, golden: Golden, reference_weights: Callable[[str], Path]) -> Case:
    about, tensors = golden(request.param)
    upstream = load(f"ssamba:{CASES[request.param]}@{reference_weights(about['weights'])}")
    waves, lengths = tensors["input/waveform"], tensors["input/lengths"].tolist()
    clips = [wave[None, :length] for wave, length in zip(waves, lengths, strict=True)]
    return Case(tensors, upstream, clips, about["config"]["fstride"], about["config"]["input_tdim"])


def assert_close(got: Tensor, wanted: Tensor, worst: float, mean: float = math.inf) -> None:
    """Bounds on the differences, in units of the largest reference value where that is above 1."""
    assert got.shape == wanted.shape
    error = (got - wanted).abs() / max(1.0, float(wanted.abs().max()))
    assert float(error.max()) <= worst
    assert float(error.mean()) <= mean


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
    error = (case.images - case.tensors["frontend/fbank_norm"]).abs()
    assert float(error.max()) <= 1.5e-3
    assert float(error.mean()) <= 2e-5


@pytest.mark.parametrize("case", ["ssamba-t208-s16"], indirect=True, scope="module")
def test_a_reference_image_comes_out_before_it_is_normalised(case: Case) -> None:
    image = log_mel(case.upstream.normalise(case.clips[0]), Statistics(0.0, 0.5), case.frames)
    error = (image - case.tensors["frontend/fbank_padded"]).abs()
    assert float(error.max()) <= 1e-2
    assert float(error.mean()) <= 1e-4


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


def test_the_original_superb_expert_comes_out(golden: Golden, reference_weights: Callable[[str], Path]) -> None:
    about, tensors = golden("ssamba-superb-expert")
    upstream = load(f"ssamba:tiny-s10-superb-concat-expert@{reference_weights(about['weights'])}")
    wanted = tensors["superb/hidden_states"]
    assert_close(upstream.encode(tensors["input/waveform"]).final, wanted, 2e-3, 1e-4)


@pytest.mark.parametrize("size", ["base", "small", "tiny"])
def test_the_networks_keys_and_the_ignored_ones_are_the_original_codes(shared: Path, size: str) -> None:
    manifest = shared / "golden" / "manifests" / f"ssamba-{size}.json"
    if not manifest.is_file():
        pytest.skip(f"there is no list of keys: {manifest} is missing")
    shapes = {
        key.removeprefix("module."): tuple(shape) for key, shape in json.loads(manifest.read_text())["shapes"].items()
    }
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
    if suffix == "pth":
        torch.save(renamed, path)
    else:
        save_file(renamed, path)
    wave = noise(1, 8000)
    got, wanted = load(f"ssamba@{path}").encode(wave).final, load(f"ssamba@{small}").encode(wave).final
    torch.testing.assert_close(got, wanted, rtol=0, atol=0)


@pytest.mark.parametrize(("centred", "norm"), [(True, nn.LayerNorm), (False, nn.RMSNorm)])
def test_norm_biases_tell_which_norm_it_is(
    save: Callable[[State], Path], noise: Noise, centred: bool, norm: type[nn.Module]
) -> None:
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
def test_width_depth_and_grid_are_read_from_the_file(save: Callable[[State], Path], size: tuple[int, int, int]) -> None:
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
def test_a_file_that_lacks_a_key_is_refused(
    save: Callable[[State], Path], state: State, refused: Refused, key: str
) -> None:
    del state[f"module.{key}"]
    with refused("small.pth .*lacks the key"):
        load(f"ssamba@{save(state)}")


def test_a_file_that_lacks_a_mixer_in_the_middle_is_refused(
    save: Callable[[State], Path], state: State, refused: Refused
) -> None:
    with refused("has 3 mixers"):
        load(f"ssamba@{save({k: v for k, v in state.items() if '.layers.2.' not in k})}")


def test_a_file_with_an_odd_number_of_mixers_is_refused(
    save: Callable[[State], Path], state: State, refused: Refused
) -> None:
    with refused("has 3 mixers"):
        load(f"ssamba@{save({k: v for k, v in state.items() if '.layers.3.' not in k})}")


def test_a_transformers_file_is_refused(save: Callable[[State], Path], state: State, refused: Refused) -> None:
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
def test_a_file_with_a_key_that_nobody_knows_is_refused(
    save: Callable[[State], Path], state: State, refused: Refused, key: str
) -> None:
    with refused(f"has the key '{key.removeprefix('module.')}', which this model does not know"):
        load(f"ssamba@{save(state | {key: torch.ones(3)})}")


@pytest.mark.parametrize("key", ["v.pos_embed", "v.layers.1.mixer.x_proj.weight", "v.norm_f.weight"])
def test_a_file_with_a_tensor_of_another_shape_is_refused(
    save: Callable[[State], Path], state: State, refused: Refused, key: str
) -> None:
    name = f"module.{key}"
    with refused("of shape .* where .* is expected"):
        load(f"ssamba@{save(state | {name: state[name][..., :-1]})}")


@pytest.mark.parametrize(
    "contents", [{"epoch": 3}, {"note": "best so far"}, {"best": None}], ids=lambda x: next(iter(x))
)
def test_a_file_with_something_beside_the_tensors_is_refused(
    save: Callable[[Mapping[str, Any]], Path], state: State, refused: Refused, contents: dict[str, object]
) -> None:
    with refused("small.pth"):
        load(f"ssamba@{save({**state, **contents})}")


def test_a_state_dict_that_lies_deeper_is_refused(
    save: Callable[[Mapping[str, Any]], Path], state: State, refused: Refused
) -> None:
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
    count = -(-samples // 20_720)
    length = -(-samples // count)
    starts = [round(i * (samples - length) / (count - 1)) for i in range(count)]
    whole = upstream.normalise(waves)
    wanted = Layers.join([upstream.forward(whole[:, s : s + length]) for s in starts], dim=1)
    joined = upstream.encode_in_windows(waves, clips_at_once)
    for (_, got), (_, layer) in zip(joined.named(), wanted.named(), strict=True):
        assert_close(got, layer, 1e-5)


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
def test_a_hostile_file_is_refused(
    save: Callable[[State], Path], state: State, refused: Refused, broken: State
) -> None:
    with refused("."):
        load(f"ssamba@{save({**state, **broken})}")
