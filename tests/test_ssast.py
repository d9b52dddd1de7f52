"""SSAST against the original code's values, and its behaviour on any file."""

import math
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from harness.cards import Elsewhere
from harness.fbank import fbank
from harness.registry import UpstreamSpec
from harness.upstreams import ssast
from harness.upstreams._patches import IGNORED, Statistics, Tokens, grid_of, log_mel, superb_windows
from harness.upstreams._vit import Vit

from checkpoints import Save, Shapes, State, filled, load, masked_prediction, reference_weights, saved
from reference import Golden, Noise, Numbers, Refused, Tones, assert_close, assert_within, clips_of, read_json

KINDS = {"patch": (16, 16), "frame": (128, 2)}


def network_of(width: int, depth: int, kind: str, positions: int, *, distilled: bool = True) -> State:
    """The tensors of a network, under their published names."""
    keys: Shapes = {
        "cls_token": (1, 1, width),
        **({"dist_token": (1, 1, width)} if distilled else {}),
        "pos_embed": (1, 1 + distilled + positions, width),
        "patch_embed.proj.weight": (width, 1, *KINDS[kind]),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "head.weight": (1000, width),
        "head.bias": (1000,),
        **({"head_dist.weight": (1000, width), "head_dist.bias": (1000,)} if distilled else {}),
    }
    for i in range(depth):
        for name, (out, into) in {
            "attn.qkv": (3, 1),
            "attn.proj": (1, 1),
            "mlp.fc1": (4, 1),
            "mlp.fc2": (1, 4),
        }.items():
            keys |= {
                f"blocks.{i}.{name}.weight": (out * width, into * width),
                f"blocks.{i}.{name}.bias": (out * width,),
            }
        keys |= {f"blocks.{i}.{norm}.{key}": (width,) for norm in ("norm1", "norm2") for key in ("weight", "bias")}
    return filled({f"module.v.{key}": shape for key, shape in keys.items()})


def published(
    width: int = 64, depth: int = 2, kind: str = "patch", frames: int = 128, *, distilled: bool = True
) -> State:
    """A pre-trained file."""
    fdim, tdim = KINDS[kind]
    positions = (128 // fdim) * (frames // tdim)
    return masked_prediction(width, frames) | network_of(width, depth, kind, positions, distilled=distilled)


def fine_tuned(kind: str, positions: int, *, width: int = 64, depth: int = 2) -> State:
    """A file from the authors' fine-tuning: a head, and no word on the grid."""
    head: Shapes = {"0.weight": (width,), "0.bias": (width,), "1.weight": (7, width), "1.bias": (7,)}
    return network_of(width, depth, kind, positions) | filled({f"module.mlp_head.{k}": x for k, x in head.items()})


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a checkpoint and gives its path."""
    return partial(saved, tmp_path / "small.pth")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two blocks, 64 wide, pre-trained on patches of 128 frames."""
    return saved(tmp_path_factory.mktemp("weights") / "small.pth", published())


# The original code's numbers, on files that are filled by the rule.

#: By kind, front end (``s3prl`` is SUPERB's), frames and what it is.
NUMBERS = {
    "patch.s3prl.T100.pos_embed": Numbers((1, 110, 192), -0.00054, 0.09680, (0.0513, -0.1602, 0.0391, 0.0244, -0.1324)),
    "patch.s3prl.T100.reps0": Numbers((1, 9, 2304), -0.02361, 1.36983, (1.204, -1.8178, 1.095, 1.5067, -0.4615)),
    "patch.s3prl.T100.reps11": Numbers((1, 9, 2304), 0.47396, 3.98473, (2.1901, 0.99, 2.0274, 1.882, 2.4068)),
    "patch.s3prl.T100.normed_seq": Numbers((1, 110, 192), -0.00168, 1.00546, (-0.1526, 1.1086, 0.2312, 0.201, 0.5035)),
    "patch.loader.T512.fbank": Numbers((1, 512, 128), -0.66267, 0.66135, (-0.8592, -1.2776, -1.2776, -0.9918, 0.467)),
    "patch.loader.T512.ft_avgtok": Numbers((1, 192), -0.00171, 0.96224, (0.4522, 0.495, -0.1722, -1.4137, 0.5009)),
    "patch.loader.T512.ft_cls": Numbers((1, 192), -0.00108, 0.99474, (-0.0963, 0.995, 0.0441, -1.3053, 0.3028)),
    "patch.loader.T1024.stride16.ft_avgtok": Numbers(
        (1, 192), -0.00285, 0.96406, (0.0496, -0.2834, 0.079, -0.8719, 0.5066)
    ),
    "frame.s3prl.T100.pos_embed": Numbers((1, 101, 192), -0.00044, 0.11531, (0.0513, -0.1602, 0.1821, -0.0886, 0.0664)),
    "frame.s3prl.T100.reps0": Numbers((1, 99, 192), -0.04290, 1.48700, (1.8765, -1.8492, 1.3145, 0.4632, 0.6041)),
    "frame.s3prl.T100.reps11": Numbers((1, 99, 192), 0.29507, 4.17421, (4.1065, 0.1061, 2.7402, -3.5495, 1.0433)),
    "frame.s3prl.T100.normed_seq": Numbers((1, 101, 192), -0.00099, 1.00737, (0.4097, 0.0054, 0.1296, -0.9306, 0.1498)),
    "frame.loader.T512.ft_avgtok": Numbers((1, 192), -0.00144, 0.99123, (0.8426, -0.1933, 0.4362, -0.9318, 0.2692)),
}
#: Those that only the reference data holds.
MORE = [
    *(f"patch.s3prl.T1024.{what}" for what in ("pos_embed", "reps0", "reps11", "normed_seq")),
    *(f"frame.s3prl.T1024.{what}" for what in ("pos_embed", "reps0", "reps11", "normed_seq")),
    *("frame.loader.T512.fbank", "frame.loader.T512.ft_cls"),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, tones: Tones) -> Callable[[str], Tensor]:
    """Gives what our code makes of the reference signal, by the name of the reference number."""
    folder = tmp_path_factory.mktemp("weights")

    @cache
    def weights(kind: str) -> Path:
        return saved(folder / f"{kind}.pth", published(192, 12, kind, 1024))

    @cache
    def run(kind: str, front: str, frames: int, stride: int) -> dict[str, Tensor]:
        pad = "superb" if front == "s3prl" else "dataset"
        upstream = load(f"ssast:{kind}-s{stride}-t{frames}-{pad}-concat@{weights(kind)}")
        wave = tones({100: 16_000, 512: 80_000, 1024: 163_840}[frames])[None]
        image = log_mel(upstream.normalise(wave), upstream.statistics, frames)
        if front == "s3prl":
            image = superb_windows(wave, upstream.statistics, frames)[:, 0]
        normed = upstream.final(upstream.network(image, stride)[-1])
        layers = upstream.encode(wave)
        return {
            "pos_embed": upstream.network.positions(grid_of(frames, stride, KINDS[kind])),
            "fbank": image,
            "reps0": layers.hidden[1],
            "reps11": layers.hidden[12],
            "normed_seq": normed,
            "ft_avgtok": layers.final.unflatten(-1, (-1, 192)).mean((1, 2)),
            "ft_cls": normed[:, :2].mean(1),
        }

    def answer(name: str) -> Tensor:
        kind, front, frames, *stride, what = name.split(".")
        usual = 10 if kind == "patch" else 1
        return run(kind, front, int(frames[1:]), int(stride[0].removeprefix("stride")) if stride else usual)[what]

    return answer


@pytest.mark.parametrize("name", NUMBERS)
def test_the_original_codes_numbers_come_out(answers: Callable[[str], Tensor], name: str) -> None:
    assert NUMBERS[name].fit(answers(name))


@pytest.mark.parametrize("name", MORE)
def test_more_of_the_original_codes_numbers_come_out(shared: Path, answers: Callable[[str], Tensor], name: str) -> None:
    known = read_json(shared, "fingerprints.json")["golden"][f"ssast_{name}"]
    assert Numbers.of(known).fit(answers(name))


# The original code's tensors, where the reference data is.

CASES = {
    "ssast-patch-t1024-s16": "tiny-t1024",
    "ssast-patch-t512-s10": "tiny-s10-t512-esc50",
    "ssast-patch-t100-s10": "tiny-patch-s10-t100",
    "ssast-patch-t1024-s10": "s10-t1024",
    "ssast-frame-t1024-s2": "tiny-frame-t1024",
    "ssast-frame-t512-s1": "frame-s1-t512-esc50",
    "ssast-frame-t100-s1": "s1-t100",
    "ssast-frame-t1200-s2": "s2-t1200",
}


class Case(NamedTuple):
    """A reference case, and the upstream that its name means."""

    about: Mapping[str, Any]
    tensors: State
    upstream: Any

    @property
    def stride(self) -> int:
        return int(self.about["config"]["tstride"])

    @property
    def frames(self) -> int:
        return int(self.about["config"]["input_tdim"])

    @property
    def clips(self) -> list[Tensor]:
        return clips_of(self.tensors)

    @property
    def images(self) -> Tensor:
        made = [log_mel(self.upstream.normalise(clip), self.upstream.statistics, self.frames) for clip in self.clips]
        return torch.cat(made)

    @property
    def superb_images(self) -> Tensor:
        """Each clip normalised, then filled with zero frames."""
        made = [self.upstream.statistics.normalise(fbank(clip, window="hanning")) for clip in self.clips]
        return torch.cat([functional.pad(image, (0, 0, 0, self.frames - image.shape[1])) for image in made])

    def tokens(self, image: Tensor) -> State:
        """What the network makes of an image, as it is called in the reference data."""
        streams = self.upstream.network(image, self.stride)
        final = self.upstream.final(streams[-1])
        names = {f"hidden/{i:02d}": stream for i, stream in enumerate(streams)} | {"final": final}
        names |= {"pooled": final[:, 2:].mean(1), "pooled_cls": final[:, :2].mean(1)}
        return {name: tensor for name, tensor in names.items() if name in self.tensors}

    def superb_tokens(self, image: Tensor) -> State:
        streams = self.upstream.network(image, self.stride)
        last = {"superb/last_hidden_state": self.upstream.final(streams[-1])}
        return {"superb/hidden_first": streams[1], "superb/hidden_last": streams[-1]} | last


@pytest.fixture(scope="module")
def case(
    request: pytest.FixtureRequest, golden: Golden, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Case:
    about, tensors = golden(request.param)
    path = reference_weights(shared, about["weights"], tmp_path_factory.mktemp("weights"))
    return Case(about, tensors, load(f"ssast:{CASES[request.param]}@{path}"))


def of_cases(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", names, indirect=True, scope="module")


WITH_IMAGE = of_cases(
    *(
        name
        for name in CASES
        if name not in ("ssast-patch-t1024-s10", "ssast-frame-t1024-s2", "ssast-frame-t512-s1", "ssast-frame-t1200-s2")
    )
)
WITH_SUPERB = of_cases("ssast-patch-t100-s10", "ssast-frame-t100-s1")


@of_cases(*CASES)
def test_a_reference_clip_vector_comes_out(case: Case) -> None:
    pooled = torch.cat([case.upstream.encode(clip).final.mean(1) for clip in case.clips])
    assert_close(pooled, case.tensors["pooled"], 1e-4)


@of_cases(*CASES)
def test_reference_tokens_come_out(case: Case) -> None:
    for name, got in case.tokens(case.images).items():
        pooled = name.startswith("pooled")
        assert_close(got, case.tensors[name], 1e-4 if pooled else 2e-3, math.inf if pooled else 1e-4)


@of_cases(*(name for name in CASES if name not in ("ssast-patch-t1024-s16", "ssast-frame-t1024-s2")))
def test_a_reference_position_table_comes_out(case: Case) -> None:
    got = case.upstream.network.positions(grid_of(case.frames, case.stride, case.upstream.tokens.patch))
    assert_close(got, case.tensors["adapted/pos_embed"], 1e-6)


@WITH_IMAGE
def test_reference_tokens_come_out_of_the_reference_image(case: Case) -> None:
    for name, got in case.tokens(case.tensors["frontend/fbank_norm"]).items():
        assert_close(got, case.tensors[name], 5e-5)


@WITH_IMAGE
def test_a_reference_image_comes_out(case: Case) -> None:
    assert_within(case.images, case.tensors["frontend/fbank_norm"], 1.5e-3, 2e-5)


@WITH_SUPERB
def test_a_reference_image_comes_out_before_it_is_normalised(case: Case) -> None:
    raw = [log_mel(case.upstream.normalise(clip), Statistics(0.0, 0.5), case.frames) for clip in case.clips]
    assert_within(torch.cat(raw), case.tensors["frontend/fbank_padded"], 1e-2, 1e-4)


@WITH_SUPERB
def test_the_reference_image_of_superb_comes_out(case: Case) -> None:
    wanted = case.tensors["superb/features"]
    whole = superb_windows(case.clips[0], case.upstream.statistics, case.frames)[:, 0]
    assert_within(case.superb_images, wanted, 1.5e-3, 2e-5)
    assert_within(whole, wanted[:1], 1.5e-3, 2e-5)


@WITH_SUPERB
def test_the_reference_tokens_of_superb_come_out(case: Case) -> None:
    for name, got in case.superb_tokens(case.superb_images).items():
        assert_close(got, case.tensors[name], 2e-3, 1e-4)
    for name, got in case.superb_tokens(case.tensors["superb/features"]).items():
        assert_close(got, case.tensors[name], 5e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", ["base", "small", "tiny"])
def test_the_networks_keys_and_the_ignored_ones_are_the_original_codes(shared: Path, size: str, kind: str) -> None:
    about = read_json(shared, f"manifests/ssast-{size}-{kind}.json")
    shapes = {key.removeprefix("module."): tuple(shape) for key, shape in about["shapes"].items()}
    wanted = {key: shape for key, shape in shapes.items() if not re.match(IGNORED, key)}
    with torch.device("meta"):
        network = Vit(Tokens(ssast.WIDTHS[size], 13, KINDS[kind], KINDS[kind][1], 1024))
    assert {f"v.{key}": tuple(tensor.shape) for key, tensor in network.state_dict().items()} == wanted
    millions = sum(tensor.numel() for tensor in network.parameters()) / 1e6
    assert millions == pytest.approx(ssast.MILLIONS[size], abs=0.01)


# The network.


@pytest.mark.parametrize("distilled", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_network_is_torchs_transformer(save: Save, noise: Noise, kind: str, distilled: bool) -> None:
    state, (fdim, tdim) = published(128, 2, kind, distilled=distilled), KINDS[kind]
    upstream, image = load(f"ssast@{save(state)}"), noise(2, 128, 128)
    given = {key.removeprefix("module.v."): value for key, value in state.items()}
    patches = image.transpose(1, 2).unfold(1, fdim, fdim).unfold(2, tdim, tdim).flatten(3).flatten(1, 2)
    tokens = functional.linear(patches, given["patch_embed.proj.weight"].flatten(1), given["patch_embed.proj.bias"])
    specials = [given[name].expand(2, -1, -1) for name in ("cls_token", "dist_token") if name in given]
    stream = torch.cat([*specials, tokens], dim=1) + given["pos_embed"]
    streams = upstream.network(image, tdim)
    assert_close(streams[0], stream, 1e-5)
    for i in range(2):
        layer = nn.TransformerEncoderLayer(
            128, 2, 512, 0.0, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
        ).requires_grad_(False)
        names = {"attn.qkv.": "self_attn.in_proj_", "attn.proj": "self_attn.out_proj", "mlp.fc": "linear"}
        weights = {}
        for key, value in given.items():
            if key.startswith(f"blocks.{i}."):
                key = key.removeprefix(f"blocks.{i}.")
                for ours, theirs in names.items():
                    key = key.replace(ours, theirs)
                weights[key] = value
        layer.load_state_dict(weights)
        stream = layer(stream)
        assert_close(streams[i + 1], stream, 1e-5)
    for last in (stream, 1e-3 * stream):  # in the small one, the norm's epsilon shows
        normed = functional.layer_norm(last, (128,), given["norm.weight"], given["norm.bias"], 1e-6)
        assert_close(upstream.final(last), normed, 1e-5)


def test_layers_leave_the_special_tokens_out(save: Save, noise: Noise) -> None:
    wave = noise(1, 20_720)
    for distilled in (True, False):
        upstream = load(f"ssast:concat@{save(published(distilled=distilled))}")
        image = log_mel(upstream.normalise(wave), upstream.statistics, 128)
        stream = upstream.network(image, 16)[1][:, 1 + distilled :]
        by_time = stream.unflatten(1, (8, 8)).transpose(1, 2).flatten(2)
        torch.testing.assert_close(upstream.encode(wave).hidden[1], by_time, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "bound"), ssast.UPSTREAM.dtypes.items())
def test_lower_precisions_stay_within_what_is_stated(
    save: Save, noise: Noise, kind: str, dtype: str, bound: float
) -> None:
    upstream, wave = load(f"ssast@{save(published(kind=kind))}"), noise(1, 20_720)
    wanted = upstream.encode(wave)
    upstream.dtype = dtype
    for (_, got), (_, layer) in zip(upstream.encode(wave).named(), wanted.named(), strict=True):
        assert float((got - layer).norm() / layer.norm()) <= bound


# Any file.


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_with_or_without_the_prefix_of_data_parallel_gives_the_same(
    tmp_path: Path, small: Path, noise: Noise, prefix: str, suffix: str
) -> None:
    path, wave = tmp_path / f"other.{suffix}", noise(1, 8000)
    renamed = {prefix + key.removeprefix("module."): value for key, value in published().items()}
    (torch.save if suffix == "pth" else save_file)(renamed, path)
    got, wanted = load(f"ssast@{path}").encode(wave).final, load(f"ssast@{small}").encode(wave).final
    torch.testing.assert_close(got, wanted, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(64, 2, "patch", 128), (128, 1, "patch", 256), (64, 3, "frame", 64)])
def test_width_depth_patch_and_grid_are_read_from_the_file(save: Save, size: tuple[int, int, str, int]) -> None:
    width, depth, kind, frames = size
    upstream = load(f"ssast@{save(published(*size))}")
    found, patch = upstream.found, KINDS[kind]
    assert (found["width"], found["depth"], found["patch"]) == (width, depth, patch)
    assert found["grid"] == (128 // patch[0], frames // patch[1])
    assert (upstream.stride, upstream.widths) == (patch[1], (width,) * (depth + 1))
    assert upstream.longest == 400 + 160 * (frames - 1)
    assert "mask_embed" in found["ignored keys"]


@pytest.mark.parametrize(("kind", "other"), [("patch", "frame"), ("frame", "patch")])
def test_a_kind_that_contradicts_the_file_is_refused(save: Save, refused: Refused, kind: str, other: str) -> None:
    path = save(published(kind=kind))
    assert load(f"ssast:{kind}@{path}").found["patch"] == KINDS[kind]
    with refused(rf"small.pth has patches of {_by(kind)}, but ssast:{other} of {_by(other)}: write ssast@FILE"):
        load(f"ssast:{other}@{path}")


@pytest.mark.parametrize("token", ["s2", "s1"])
def test_a_stride_of_frames_is_refused_for_patches(small: Path, refused: Refused, token: str) -> None:
    for name in (f"ssast:{token}@{small}", f"ssast:tiny-{token}@untrained"):
        with refused(f"patches of 16 x 16 are cut at the stride s16 or s10, not {token}"):
            load(name)


@pytest.mark.parametrize("token", ["s16", "s10"])
def test_a_stride_of_patches_is_refused_for_frames(save: Save, refused: Refused, token: str) -> None:
    for name in (f"ssast:{token}@{save(published(kind='frame'))}", f"ssast:tiny-frame-{token}@untrained"):
        with refused(f"patches of 128 x 2 are cut at the stride s2 or s1, not {token}"):
            load(name)


@pytest.mark.parametrize("size", ["base", "small", "tiny"])
def test_a_size_that_contradicts_the_file_is_refused(small: Path, refused: Refused, size: str) -> None:
    with refused(f"is 64 wide, but ssast:{size} is {ssast.WIDTHS[size]} wide: write ssast@FILE"):
        load(f"ssast:{size}@{small}")


@pytest.mark.parametrize(
    "key",
    [
        "p_input_tdim",
        "v.cls_token",
        "v.pos_embed",
        "v.patch_embed.proj.bias",
        "v.patch_embed.proj.weight",
        "v.blocks.0.attn.qkv.weight",
        "v.blocks.1.attn.qkv.bias",
        "v.blocks.1.mlp.fc2.weight",
        "v.norm.bias",
    ],
)
def test_a_file_that_lacks_a_key_is_refused(save: Save, refused: Refused, key: str) -> None:
    state = published()
    del state[f"module.{key}"]
    with refused(f"small.pth .*lacks the key '{key}'"):
        load(f"ssast@{save(state)}")


def test_a_file_that_lacks_a_block_in_the_middle_is_refused(save: Save, refused: Refused) -> None:
    with refused("lacks the keys 'v.blocks.1.attn.proj.bias', .* and 9 more"):
        load(f"ssast@{save({k: v for k, v in published(depth=3).items() if '.blocks.1.' not in k})}")


@pytest.mark.parametrize("key", ["v.blocks.1.attn.extra", "quantize.0.weight", "epoch"])
def test_a_file_with_a_key_that_nobody_knows_is_refused(save: Save, refused: Refused, key: str) -> None:
    with refused(f"has the key '{key}', which this model does not know"):
        load(f"ssast@{save(published() | {f'module.{key}': torch.ones(3)})}")


@pytest.mark.parametrize("key", ["v.pos_embed", "v.dist_token", "v.blocks.1.mlp.fc1.weight", "v.norm.weight"])
def test_a_file_with_a_tensor_of_another_shape_is_refused(save: Save, refused: Refused, key: str) -> None:
    state = published()
    with refused(f"has '{key}' of shape .* where .* is expected"):
        load(f"ssast@{save(state | {f'module.{key}': state[f'module.{key}'][..., :-1]})}")


def test_another_number_of_positions_than_the_images_have_is_refused(save: Save, refused: Refused) -> None:
    state = published() | {"module.p_input_tdim": torch.tensor(1024)}
    with refused(r"has 'v.pos_embed' of shape \(1, 66, 64\), where \(1, 514, 64\) is expected"):
        load(f"ssast@{save(state)}")


def test_a_mamba_file_is_refused(save: Save, refused: Refused) -> None:
    theirs = {key.replace("blocks", "layers"): value for key, value in published().items()}
    with refused("is no SSAST checkpoint: it lacks the key 'v.blocks.0.attn.qkv.weight'"):
        load(f"ssast@{save(theirs)}")


def test_a_state_dict_that_lies_deeper_is_refused(save: Save, refused: Refused) -> None:
    with refused("lacks the key 'v.cls_token'"):
        load(f"ssast@{save({'model': published()})}")


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, small: Path, refused: Refused) -> None:
    path = tmp_path / "short.pth"
    path.write_bytes(small.read_bytes()[:-1000])
    with refused("short.pth cannot be read as a checkpoint"):
        load(f"ssast@{path}")


@pytest.mark.parametrize(
    "broken",
    [
        {"p_input_tdim": torch.tensor([1024, 1024])},
        {"p_input_tdim": torch.tensor(-5)},
        {"p_input_tdim": torch.tensor(10**9)},
        {"p_input_tdim": torch.tensor(float("nan"))},
        {"p_input_tdim": torch.tensor(1024j)},
        {"p_input_tdim": torch.tensor([1024]).to_sparse()},
        {"p_input_tdim": torch.tensor(1024, device="meta")},
        {"p_input_tdim": "text"},
        {"v.cls_token": torch.tensor(1.0)},
        {"v.cls_token": torch.ones(1, 1, 0)},
        {"v.cls_token": torch.ones(1, 1, 65)},
        {"v.cls_token": 7},
        {"v.pos_embed": torch.ones(5)},
        {"v.patch_embed.proj.weight": torch.ones(64, 1, 16, 8)},
        {"v.patch_embed.proj.weight": torch.ones(64)},
        {"v.blocks.999999.norm1.weight": torch.ones(3)},
        {"v.norm.weight": "text"},
        {"note": "best so far"},
    ],
    ids=lambda broken: "-".join(f"{key}={str(value)[:20]}" for key, value in broken.items()),
)
def test_a_hostile_file_is_refused(save: Save, refused: Refused, broken: Mapping[str, Any]) -> None:
    with refused("small.pth "):
        load(f"ssast@{save(published() | {f'module.{key}': value for key, value in broken.items()})}")


# Fine-tuned files.


@pytest.mark.parametrize(
    ("tokens", "positions", "stride", "grid"),
    [
        ("patch", 12 * 101, 10, (12, 101)),
        ("patch", 12 * 50, 10, (12, 50)),
        ("patch-s16", 12 * 50, 16, (8, 75)),
        ("patch", 8 * 64, 16, (8, 64)),
        ("frame", 127, 1, (1, 127)),
        ("frame-s2", 64, 2, (1, 64)),
    ],
)
def test_a_fine_tuned_files_grid_is_inferred(
    save: Save, noise: Noise, tokens: str, positions: int, stride: int, grid: tuple[int, int]
) -> None:
    upstream = load(f"ssast:{tokens}@{save(fine_tuned(tokens.partition('-')[0], positions))}")
    assert (upstream.stride, upstream.found["grid"]) == (stride, grid)
    assert torch.equal(upstream.network.positions(grid), upstream.network.pos_embed)
    for samples in (upstream.longest, upstream.longest - 160 * (stride - 1)):
        assert upstream.encode(noise(1, samples)).final.shape[1] == grid[1]


@pytest.mark.parametrize(("tokens", "positions"), [("patch", 515), ("s10", 515), ("s16", 1212), ("patch", 0)])
def test_a_fine_tuned_file_whose_grid_cannot_be_inferred_is_refused(
    save: Save, refused: Refused, tokens: str, positions: int
) -> None:
    rows = {"s10": "12 rows of the stride s10", "s16": "8 rows of the stride s16"}
    tried = rows.get(tokens, " or the ".join(rows.values()))
    path = save(fine_tuned("patch", positions))
    with refused(f"is fine-tuned and does not tell the grid of its positions, and {positions} .* the {tried}"):
        load(f"ssast:{tokens}@{path}")


def test_a_fine_tuned_file_has_other_features_at_another_stride(save: Save) -> None:
    path = save(fine_tuned("patch", 600))
    specs = [UpstreamSpec.parse(f"ssast:{tokens}@{path}") for tokens in ("patch", "s16", "s10")]
    keys = [spec.tokens_that_matter(spec.weights(str)) for spec in specs]
    assert keys == [{}, {"stride": "s16"}, {"stride": "s10"}]


@pytest.mark.parametrize(("kind", "positions"), [("patch", 1212), ("patch", 512), ("frame", 127)])
def test_a_fine_tuned_file_can_be_saved_and_loaded(
    tmp_path: Path, save: Save, noise: Noise, kind: str, positions: int
) -> None:
    upstream, wave = load(f"ssast@{save(fine_tuned(kind, positions))}"), noise(1, 8000)
    upstream.save(tmp_path / "again.pth")
    again = load(f"ssast@{tmp_path / 'again.pth'}")
    assert (again.stride, again.found["grid"]) == (upstream.stride, upstream.found["grid"])
    torch.testing.assert_close(again.encode(wave).final, upstream.encode(wave).final, rtol=0, atol=0)


# Where files are published.


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ssast", "SSAST-Base-Patch-400.pth"),
        ("ssast:small-s10", "SSAST-Small-Patch-400.pth"),
        ("ssast:tiny-frame", "SSAST-Tiny-Frame-400.pth"),
        ("ssast:frame-250", "SSAST-Base-Frame-250.pth"),
    ],
)
def test_without_a_file_one_sentence_says_where_it_is(refused: Refused, name: str, file: str) -> None:
    with refused(f"publish {file} at https://github.com/YuanGongND/ssast, .*write {name}@FILE"):
        load(name)


@pytest.mark.parametrize("name", ["ssast:small-frame", "ssast:tiny-250"])
def test_a_model_that_nobody_published_has_no_file(refused: Refused, name: str) -> None:
    with refused(f"{name} has no public checkpoint: write {name}@FILE"):
        load(name)


def test_the_published_models_are_listed() -> None:
    files = {name: variant.source for name, variant in ssast.Ssast.variants.items()}
    assert files == {
        name: Elsewhere(f"SSAST-{word}-400.pth", ssast.HOMEPAGE)
        for name, word in {
            "base": "Base-Patch",
            "small": "Small-Patch",
            "tiny": "Tiny-Patch",
            "base-frame": "Base-Frame",
            "tiny-frame": "Tiny-Frame",
        }.items()
    }


@pytest.mark.parametrize(("kind", "rate"), [("patch", 6.25), ("frame", 50.0)])
def test_thirteen_states_have_the_declared_widths_and_rate(noise: Noise, kind: str, rate: float) -> None:
    upstream = load(f"ssast:tiny-{kind}@untrained")
    layers = upstream.encode(noise(1, 16_000))
    assert [layer.shape[-1] for layer in layers.hidden] == [192] * 13 == list(upstream.widths)
    assert layers.final.shape[-1] == upstream.final_width == 192
    assert float(upstream.frame_rate) == rate
    assert upstream.parameters == pytest.approx(5.49e6, abs=5e3)


def _by(kind: str) -> str:
    return " x ".join(map(str, KINDS[kind]))
