"""AuM against the original code's values, and its behaviour on any file and any clip."""

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from harness.cards import Elsewhere
from harness.models import Layers
from harness.registry import UpstreamSpec
from harness.upstreams import _scan, aum
from harness.upstreams._patches import Statistics, log_mel
from harness.upstreams._scan import Scan, selective_scan
from harness.upstreams._vim import Directions, Mixer, SequentialVim, Shape

from checkpoints import Save, Shapes, State, fill, filled, load, mixer_shapes, reference_weights, saved, untrained
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

DIRECTIONS: tuple[Directions, ...] = ("fofo", "fobi", "bibi")


def shapes(width: int, depth: int, columns: int, directions: Directions, classes: int = 527) -> Shapes:
    """The keys of a published file and their shapes; its position table is ``columns`` patches long."""
    keys: Shapes = {
        "cls_token": (1, 1, width),
        "pos_embed.pos_embed": (1, 1 + 8 * columns, width),
        "patch_embed.proj.weight": (width, 1, 16, 16),
        "patch_embed.proj.bias": (width,),
        "norm_f.weight": (width,),
        "head.weight": (classes, width),
        "head.bias": (classes,),
    }
    for i in range(depth):
        mixer = mixer_shapes(width, directions)
        keys |= {f"layers.{i}.mixer.{key}": shape for key, shape in mixer.items()}
        keys |= {f"layers.{i}.norm.weight": (width,)}
    return keys


def published(
    width: int = 32, depth: int = 2, frames: int = 128, directions: Directions = "fobi", classes: int = 527
) -> State:
    """A state dict in the published form."""
    return filled(shapes(width, depth, frames // 16, directions, classes))


@pytest.fixture
def state() -> State:
    return published()


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a checkpoint and gives its path."""
    return partial(saved, tmp_path / "small.pth")


@pytest.fixture(scope="module")
def smalls(tmp_path_factory: pytest.TempPathFactory) -> dict[Directions, Path]:
    """Checkpoints of two blocks, 32 wide, trained on 128 frames, by directions."""
    folder = tmp_path_factory.mktemp("weights")
    return {each: saved(folder / f"{each}.pth", published(directions=each)) for each in DIRECTIONS}


@pytest.fixture(scope="module")
def small(smalls: dict[Directions, Path]) -> Path:
    return smalls["fobi"]


# The original code's numbers, on files that are filled by the rule: width 192, 24 blocks, 128 frames.

TOKENS, CLIP = (1, 65, 192), (1, 192)
EMBEDDED = Numbers(TOKENS, 0.0061131, 0.8942662, (-1.8909336, -0.0654215, -1.2022086, -0.1170625, 1.5924225))
#: After blocks 1, 2 and 24.
STREAMS: dict[Directions, dict[int, Numbers]] = {
    "fofo": {
        1: Numbers(TOKENS, 0.0006207, 0.9913197, (-2.0538096, 0.2273762, -1.0171900, 0.5499680, 1.3382697)),
        2: Numbers(TOKENS, -0.0024614, 1.0951498, (-1.7931271, 0.2932196, -0.8716489, -0.0733659, 1.2103839)),
        24: Numbers(TOKENS, -0.0393446, 2.2428552, (-2.1634908, 0.7882959, -1.1735203, 2.4198871, 2.4948411)),
    },
    "fobi": {
        1: Numbers(TOKENS, -0.0053030, 1.2465490, (-2.2584863, 0.5916955, -0.8537003, 1.2565439, 1.0278957)),
        2: Numbers(TOKENS, -0.0236258, 1.5291260, (-1.7361728, 0.6797410, -0.5941058, 0.4833806, 0.2168480)),
        24: Numbers(TOKENS, -0.1424102, 4.0800526, (-2.1516380, 2.7849774, -5.2148972, 0.4096730, 3.9906955)),
    },
    "bibi": {
        1: Numbers(TOKENS, 0.0008190, 0.9478143, (-1.9833783, 0.1297110, -1.2160697, 0.1842420, 1.4443554)),
        2: Numbers(TOKENS, -0.0029711, 1.0419817, (-1.8131729, 0.0729449, -1.2027550, 0.3385007, 1.4271220)),
        24: Numbers(TOKENS, -0.0648344, 1.8397976, (-1.0568402, 0.5587398, -0.4196456, 1.8316590, 1.0808012)),
    },
}
NORMED: dict[Directions, Numbers] = {
    "fofo": Numbers(TOKENS, -0.0204934, 1.0019494, (-1.7006434, 0.5460374, -0.6534483, 1.0367360, 1.1720986)),
    "fobi": Numbers(TOKENS, -0.0369323, 1.0000835, (-1.1522309, 1.3142164, -1.3278534, 0.1062703, 1.2481242)),
    "bibi": Numbers(TOKENS, -0.0360284, 0.9988270, (-0.6925910, 0.3226651, -0.2477477, 1.0027524, 0.9114244)),
}
#: The class token of the same.
CLASS: dict[Directions, Numbers] = {
    "fofo": Numbers(CLIP, 0.0455787, 0.9939188, (0.2785256, -0.2330393, -0.3290636, 1.0367360, 0.8456905)),
    "fobi": Numbers(CLIP, 0.1492897, 0.9878921, (1.5182172, -1.2732370, 0.4796835, 0.1062703, 1.5393542)),
    "bibi": Numbers(CLIP, -0.0157568, 0.9939467, (0.2977478, -0.8463275, -0.7737080, 1.0027524, 0.0005719)),
}
#: What the first mixer makes of sin(0.1 n).
MIXER: dict[Directions, Numbers] = {
    "fofo": Numbers((1, 10, 192), -0.0024739, 0.1522293, (-0.0174724, -0.0643452, 0.0933984, -0.3659135, 0.1437633)),
    "fobi": Numbers((1, 10, 192), -0.0052202, 0.3086515, (-0.0384365, -0.1331225, 0.1895263, -0.7163903, 0.2799560)),
    "bibi": Numbers((1, 10, 192), -0.0030145, 0.0959345, (-0.0610872, 0.0088385, -0.0359793, -0.1707294, 0.0777237)),
}
#: The file of Bi-Bi on 1024 frames.
STRETCHED = Numbers((1, 513, 192), 0.0017856, 0.0974803, (0.0048263, 0.1900045, -0.0296289, -0.1811008, 0.1485729))
CLASS_OF_1024 = Numbers(CLIP, -0.0843177, 1.0029805, (-0.1652610, -1.6438457, 1.0963237, -2.4500000, 0.5023715))


@pytest.fixture(scope="module", params=DIRECTIONS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Directions, Path]:
    """The checkpoints behind the reference numbers, by directions."""
    state = published(192, 24, 128, request.param, classes=50)  # that no data set has, so any statistics may be named
    return request.param, saved(tmp_path_factory.mktemp("weights") / "tiny.pth", state)


def image_of(upstream: Any, wave: Tensor) -> Tensor:
    """What the network of an upstream with a fixed number of frames reads of (clip, sample)."""
    image: Tensor = log_mel(upstream.normalise(wave), upstream.statistics, upstream.frames)
    return image


def class_token(stream: Tensor) -> Tensor:
    """The token before which half of all patches stand."""
    return stream[:, (stream.shape[1] - 1) // 2]


def test_the_rule_fills_as_it_did() -> None:
    values = fill("module.v.layers.0.mixer.A_log", (384, 16)).flatten()[:4]
    assert values.tolist() == pytest.approx([-0.0683, 0.7703, 1.1774, 1.3018], abs=1e-4)


def test_the_original_codes_streams_come_out(tiny: tuple[Directions, Path], tones: Tones) -> None:
    directions, path = tiny
    upstream = load(f"aum:tiny-audioset-t128@{path}")
    streams = upstream.network(image_of(upstream, tones(16_000)[None]))
    assert len(streams) == 25
    assert EMBEDDED.fit(streams[0])
    assert all(numbers.fit(streams[i]) for i, numbers in STREAMS[directions].items())
    normed = upstream.network.norm_f(streams[-1])
    assert NORMED[directions].fit(normed)
    assert CLASS[directions].fit(class_token(normed))


def test_the_original_codes_mixer_comes_out(tiny: tuple[Directions, Path]) -> None:
    directions, path = tiny
    wave = torch.sin(0.1 * torch.arange(1920.0)).reshape(1, 10, 192)
    mixer = load(f"aum:audioset@{path}").network.layers[0].mixer
    assert MIXER[directions].fit(mixer(wave))
    assert not any(MIXER[other].fit(mixer(wave)) for other in DIRECTIONS if other != directions)


@pytest.mark.parametrize("tiny", ["bibi"], indirect=True, scope="module")
def test_the_original_codes_longer_image_comes_out(tiny: tuple[Directions, Path], tones: Tones) -> None:
    upstream = load(f"aum:audioset-t1024@{tiny[1]}")
    assert STRETCHED.fit(upstream.network.pos_embed((8, 64)))
    stream = upstream.network(image_of(upstream, tones(163_840)[None]))[-1]
    assert CLASS_OF_1024.fit(class_token(upstream.network.norm_f(stream)))


@pytest.mark.parametrize(("directions", "count"), [("fofo", 247), ("fobi", 271), ("bibi", 415)])
def test_the_original_classes_keys_are_known(shared: Path, directions: Directions, count: int) -> None:
    original = {"fofo": "none", "fobi": "v1", "bibi": "v2"}[directions]
    keys = read_json(shared, "fingerprints.json")["state_dict_keys"][f"aum_tiny_{original}_1024"]
    assert len(keys) == count
    assert shapes(192, 24, 64, directions) == {name: tuple(shape) for name, (shape, _) in keys.items()}


@pytest.mark.parametrize(("name", "width", "directions"), [("base-fobi", 768, "fobi"), ("small-bibi", 384, "bibi")])
def test_a_published_files_keys_are_the_networks_and_the_classifiers(
    shared: Path, name: str, width: int, directions: Directions
) -> None:
    about = read_json(shared, f"manifests/aum-{name}-audioset.json")
    keys = {key: tuple(shape) for key, shape in about["shapes"].items()}
    with torch.device("meta"):
        network = SequentialVim(Shape(width, 24, nn.RMSNorm, (8, 64), directions))
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert keys == own | {"head.weight": (527, width), "head.bias": (527,)} == shapes(width, 24, 64, directions)


# The original code's tensors, where the reference data is.

CASES = {
    "aum-fobi-t128": "t128-speech",
    "aum-fobi-t1024": "t1024",
    "aum-fobi-t1200": "t1200",
    "aum-bibi-t128": "t128-speech",
}
WITH_IMAGE = ["aum-fobi-t128", "aum-bibi-t128"]
WITH_POSITIONS = ["aum-fobi-t128", "aum-fobi-t1200"]


class Case(NamedTuple):
    """A reference case, its checkpoint, and the upstream that its name means."""

    tensors: dict[str, Tensor]
    path: Path
    upstream: Any
    clips: list[Tensor]

    def named(self, image: Tensor) -> State:
        """What the network makes of an image, by the names of the reference data."""
        network, streams = self.upstream.network, self.upstream.network(image)
        final = network.norm_f(streams[-1])
        names = {f"hidden/{i:02d}": stream for i, stream in enumerate(streams)}
        names |= {f"layer/{i:02d}/mixer_out": block(streams[i]) for i, block in enumerate(network.layers)}
        names |= {"patch_tokens": network.patch_embed(image, 16), "final": final, "pooled": class_token(final)}
        head = torch.load(self.path, map_location="cpu", weights_only=True)
        return names | {"logits": functional.linear(names["pooled"], head["head.weight"], head["head.bias"])}


def headless(path: Path, folder: Path) -> Path:
    """The same file without a classifier, so that any statistics may be named."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return saved(folder / f"headless-{path.name}", {key: state[key] for key in state if "head." not in key})


@pytest.fixture(scope="module", params=CASES)
def case(
    request: pytest.FixtureRequest, golden: Golden, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Case:
    about, tensors = golden(request.param)
    path = reference_weights(shared, about["weights"], tmp_path_factory.mktemp("weights"))
    bare = headless(path, tmp_path_factory.mktemp("headless"))
    upstream = load(f"aum:tiny-{CASES[request.param]}@{bare}")
    assert upstream.found["directions"] == {"fobi": "Fo-Bi", "bibi": "Bi-Bi"}[request.param.split("-")[1]]
    assert upstream.statistics == (about["config"]["norm_mean"], about["config"]["norm_std"])
    return Case(tensors, path, upstream, clips_of(tensors))


def test_reference_tensors_come_out_of_the_waves(case: Case) -> None:
    seen = case.named(torch.cat([image_of(case.upstream, clip) for clip in case.clips]))
    compared = seen.keys() & case.tensors.keys()
    assert {"pooled", "logits"} <= compared
    for name in compared:
        of_clips = name in ("pooled", "logits")
        assert_close(seen[name], case.tensors[name], *((1e-4,) if of_clips else (2e-3, 1e-4)))


@pytest.mark.parametrize("case", WITH_IMAGE, indirect=True, scope="module")
def test_reference_tensors_come_out_of_the_reference_image(case: Case) -> None:
    seen = case.named(case.tensors["frontend/fbank_norm"])
    compared = seen.keys() & case.tensors.keys()
    assert len(compared) >= 8
    for name in compared:
        assert_close(seen[name], case.tensors[name], 5e-5)


@pytest.mark.parametrize("case", WITH_IMAGE, indirect=True, scope="module")
def test_a_reference_image_comes_out(case: Case) -> None:
    for clip, wanted in zip(case.clips, case.tensors["frontend/fbank_norm"], strict=True):
        assert_within(image_of(case.upstream, clip)[0], wanted, 1.5e-3, 2e-5)


@pytest.mark.parametrize("case", WITH_POSITIONS, indirect=True, scope="module")
def test_a_reference_position_table_comes_out(case: Case) -> None:
    got = case.upstream.network.pos_embed((8, case.upstream.frames // 16))
    assert_close(got, case.tensors["adapted/pos_embed"], 1e-6)


@pytest.mark.parametrize("case", WITH_IMAGE, indirect=True, scope="module")
def test_layers_are_the_reference_streams_regrouped_in_time(case: Case) -> None:
    for row, clip in enumerate(case.clips):
        for name, layer in case.upstream.encode(clip).named():
            tokens = case.tensors["final" if name == "final" else f"hidden/{int(name):02d}"][row]
            patches = [token for i, token in enumerate(tokens) if i != 32]
            wanted = torch.stack([torch.stack(patches[time::8]).mean(0) for time in range(8)])
            assert_close(layer[0], wanted, 2e-3, 1e-4)


@pytest.mark.parametrize("case", ["aum-fobi-t128"], indirect=True, scope="module")
def test_a_clip_a_little_shorter_than_whole_patches_is_filled_as_the_authors_fill_it(
    case: Case, tmp_path: Path
) -> None:
    # 20,000 samples are 123 frames.
    free = load(f"aum:speech@{headless(case.path, tmp_path)}")
    clip = next(clip for clip in case.clips if clip.shape[-1] == 20_000)
    assert_layers_close(free.encode(clip), case.upstream.encode(clip), 0.0)


# Any file.


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_with_or_without_the_prefix_of_data_parallel_gives_the_same(
    tmp_path: Path, small: Path, state: State, noise: Noise, prefix: str, suffix: str
) -> None:
    path = tmp_path / f"other.{suffix}"
    (torch.save if suffix == "pth" else save_file)({prefix + key: value for key, value in state.items()}, path)
    wave = noise(1, 8000)
    assert_layers_close(load(f"aum@{path}").encode(wave), load(f"aum@{small}").encode(wave), 0.0)


@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("size", [(32, 2, 128), (48, 1, 1024), (20, 3, 16)])
def test_width_depth_grid_and_directions_are_read_from_the_file(
    save: Save, size: tuple[int, int, int], directions: Directions
) -> None:
    width, depth, frames = size
    upstream = load(f"aum@{save(published(width, depth, frames, directions))}")
    words = {"fofo": "Fo-Fo", "fobi": "Fo-Bi", "bibi": "Bi-Bi"}[directions]
    assert upstream.found == {
        "directions": words,
        "width": width,
        "depth": depth,
        "ignored keys": ["head.bias", "head.weight"],
    }
    assert upstream.widths == (width,) * (depth + 1)
    assert upstream.longest == 400 + 160 * (frames - 1)


@pytest.mark.parametrize("directions", DIRECTIONS)
def test_a_saved_file_gives_the_same_bits(
    tmp_path: Path, smalls: dict[Directions, Path], noise: Noise, directions: Directions
) -> None:
    upstream, wave = load(f"aum@{smalls[directions]}"), noise(2, 9000)
    upstream.save(tmp_path / "again.pth")
    assert_layers_close(load(f"aum@{tmp_path / 'again.pth'}").encode(wave), upstream.encode(wave), 0.0)


def test_a_saved_file_has_the_published_keys_without_the_classifier(tmp_path: Path, small: Path, state: State) -> None:
    load(f"aum@{small}").save(tmp_path / "again.pth")
    again = torch.load(tmp_path / "again.pth", weights_only=True)
    assert again.keys() == {key for key in state if not key.startswith("head.")}
    assert all(torch.equal(value, state[key]) for key, value in again.items())


@pytest.mark.parametrize(
    "key",
    [
        "cls_token",
        "pos_embed.pos_embed",
        "patch_embed.proj.bias",
        "layers.0.mixer.A_log",
        "layers.0.norm.weight",
        "layers.1.mixer.D",
        "layers.1.mixer.A_b_log",
        "layers.1.mixer.conv1d.weight",
        "norm_f.weight",
    ],
)
def test_a_file_that_lacks_a_key_is_refused(save: Save, state: State, refused: Refused, key: str) -> None:
    del state[key]
    with refused(f"small.pth .*lacks the key '{key}'"):
        load(f"aum@{save(state)}")


@pytest.mark.parametrize("key", ["conv1d_b.weight", "x_proj_b.weight", "dt_proj_b.bias", "D_b", "A_b_log"])
def test_a_bi_bi_file_that_lacks_one_of_the_weights_from_the_end_is_refused(
    save: Save, refused: Refused, key: str
) -> None:
    state = published(directions="bibi")
    del state[f"layers.0.mixer.{key}"]
    with refused(f"lacks the key 'layers.0.mixer.{key}'"):
        load(f"aum@{save(state)}")


def test_a_file_that_lacks_a_block_in_the_middle_is_refused(save: Save, refused: Refused) -> None:
    state = published(depth=3)
    with refused("lacks the keys 'layers.1"):
        load(f"aum@{save({k: v for k, v in state.items() if not k.startswith('layers.1.')})}")


@pytest.mark.parametrize(
    "key", ["dist_token", "layers.1.mixer.extra", "layers.0.norm.bias", "mlp_head.0.weight", "epoch", "layers.9"]
)
def test_a_file_with_a_key_that_nobody_knows_is_refused(save: Save, state: State, refused: Refused, key: str) -> None:
    with refused(f"has the key '{key}', which this model does not know"):
        load(f"aum@{save(state | {key: torch.ones(32)})}")


@pytest.mark.parametrize("key", ["patch_embed.proj.weight", "layers.1.mixer.x_proj.weight", "norm_f.weight"])
def test_a_file_with_a_tensor_of_another_shape_is_refused(save: Save, state: State, refused: Refused, key: str) -> None:
    with refused(f"'{key}' of shape .* where .* is expected"):
        load(f"aum@{save(state | {key: state[key][..., :-1]})}")


@pytest.mark.parametrize("rows", [0, 1, 64, 66])
def test_a_position_table_that_is_no_grid_is_refused(save: Save, state: State, refused: Refused, rows: int) -> None:
    with refused(f"'pos_embed.pos_embed' of shape \\(1, {rows}, 32\\)"):
        load(f"aum@{save(state | {'pos_embed.pos_embed': torch.ones(1, rows, 32)})}")


@pytest.mark.parametrize(
    "broken",
    [
        {"cls_token": torch.tensor(1.0)},
        {"cls_token": 7},
        {"cls_token": torch.ones(1, 1, 0)},
        {"pos_embed.pos_embed": torch.ones(65)},
        {"pos_embed.pos_embed": "text"},
        {"head.extra": 3, "norm_f.weight": None},
        {"layers.999999.norm.weight": torch.ones(3)},
        {"layers.0.mixer.": torch.ones(3)},
    ],
    ids=["a number", "no tensor", "no width", "a vector", "text", "None", "a far block", "no name"],
)
def test_a_hostile_file_is_refused(save: Save, state: State, refused: Refused, broken: Mapping[str, Any]) -> None:
    with refused("small.pth"):
        load(f"aum@{save({**state, **broken})}")


def test_a_state_dict_that_lies_deeper_is_refused(save: Save, state: State, refused: Refused) -> None:
    with refused("lacks the key 'cls_token'"):
        load(f"aum@{save({'model': state})}")


@pytest.mark.parametrize("size", ["base", "small", "tiny"])
def test_a_size_that_contradicts_the_file_is_refused(small: Path, refused: Refused, size: str) -> None:
    with refused(f"is 32 wide, but aum:{size} is .*write aum@FILE"):
        load(f"aum:{size}@{small}")


@pytest.mark.parametrize(
    ("classes", "token"), [(309, "vggsound"), (1251, "voxceleb"), (35, "speech")], ids=lambda value: str(value)
)
def test_a_classifier_of_another_data_set_must_be_named(save: Save, refused: Refused, classes: int, token: str) -> None:
    path = save(published(classes=classes))
    with refused(f"tells {classes} classes apart.*write aum:{token}@FILE"):
        load(f"aum@{path}")
    assert load(f"aum:{token}@{path}").statistics == aum.DATA[token].statistics


@pytest.mark.parametrize("classes", [527, 50])
def test_any_other_classifier_takes_the_statistics_of_audioset(save: Save, classes: int) -> None:
    assert load(f"aum@{save(published(classes=classes))}").statistics == (-4.2677393, 4.5689974)


@pytest.mark.parametrize("frames", [0, 15, 17, 1000, 120_016])
def test_frames_that_are_no_whole_patches_are_refused(small: Path, refused: Refused, frames: int) -> None:
    with refused(f"aum takes a multiple of 16 frames, from 16 to 120000, not {frames}"):
        load(f"aum:t{frames}@{small}")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("aum", "aum-base_scratch-audioset.pth"),
        ("aum:base-vggsound", "aum-base_audioset-vggsound.pth"),
        ("aum:small-concat", "aum-small_imgnet-audioset.pth"),
        ("aum:small-speech", "aum-small_imgnet-spc_v2.pth"),
    ],
)
def test_without_a_file_one_sentence_says_where_it_is_published(refused: Refused, name: str, file: str) -> None:
    with refused(f"publish {file} at https://github.com/mhamzaerol/Audio-Mamba-AuM.*write {name}@FILE"):
        load(name)


@pytest.mark.parametrize("name", ["aum:tiny", "aum:tiny-speech"])
def test_of_the_tiny_size_there_is_no_public_file(refused: Refused, name: str) -> None:
    with refused(f"{name} has no public checkpoint: write {name}@FILE, or use {name}@untrained"):
        load(name)


# The published models.


@pytest.mark.parametrize("name", aum.UPSTREAM.variants)
def test_a_variants_record_is_its_networks(name: str) -> None:
    variant = UpstreamSpec.parse(f"aum:{name}").variant
    assert variant is not None
    assert variant == aum.UPSTREAM.variants[name]
    size, _, data = name.partition("-")
    columns = 8 if data == "speech" else 64
    with torch.device("meta"):
        network = SequentialVim(Shape(variant.widths[0], 24, nn.RMSNorm, (8, columns), aum.DIRECTIONS[size]))
    assert f"{variant.parameters:.1f}" == f"{sum(x.numel() for x in network.parameters()) / 1e6:.1f}"
    assert variant.widths == ({"base": 768, "small": 384, "tiny": 192}[size],) * 25
    assert isinstance(variant.source, Elsewhere)


@pytest.mark.parametrize(
    ("name", "training"),
    [
        ("aum", "supervised: AudioSet"),
        ("aum:speech", "supervised: AudioSet, Speech Commands"),
        ("aum:small-t512", "supervised: ImageNet, AudioSet"),
        ("aum:small-voxceleb", "supervised: ImageNet, VoxCeleb"),
    ],
)
def test_the_card_says_what_a_model_has_learned_from(name: str, training: str) -> None:
    assert str(UpstreamSpec.parse(name).card.training) == training


@pytest.mark.parametrize(("size", "words"), [("base", "Fo-Bi"), ("small", "Bi-Bi"), ("tiny", "Fo-Bi")])
def test_an_untrained_control_reads_in_the_directions_of_its_published_size(size: str, words: str) -> None:
    assert untrained(f"aum:{size}").found["directions"] == words


def test_an_untrained_control_has_the_published_size() -> None:
    upstream = load("aum:tiny@untrained")
    assert (upstream.parameters, upstream.widths, upstream.final_width) == (6_336_768, (192,) * 25, 192)
    assert upstream.frame_rate == Fraction(25, 4)


@pytest.mark.parametrize(("data", "frames"), [("audioset", 1024), ("speech", 128)])
def test_a_control_takes_clips_as_long_as_its_data_sets(data: str, frames: int) -> None:
    assert untrained(f"aum:tiny-{data}").longest == 400 + 160 * (frames - 1)


def test_the_untrained_control_is_the_same_every_time(noise: Noise) -> None:
    wave = noise(1, 4000)
    finals = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        finals.append(untrained("aum:tiny").encode(wave).final)
    assert torch.equal(*finals)


def test_the_untrained_control_leaves_other_random_numbers_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(4)
    torch.manual_seed(5)
    untrained("aum:tiny")
    assert torch.equal(torch.rand(4), wanted)


def test_untrained_weights_are_drawn_as_before_training() -> None:
    network = load("aum:tiny@untrained").network
    mixer = network.layers[0].mixer
    steps = functional.softplus(mixer.dt_proj.bias)
    assert float(steps.min()) == pytest.approx(1e-3, rel=0.1)
    assert float(steps.max()) == pytest.approx(0.1, rel=0.1)
    assert_close(mixer.A_log.exp(), torch.arange(1.0, 17).expand(384, 16), 1e-6)
    assert torch.equal(mixer.A_log, mixer.A_b_log)
    assert float(network.pos_embed.pos_embed.std()) == pytest.approx(0.02, rel=0.02)
    assert float(network.patch_embed.proj.weight.std()) == pytest.approx(0.071, rel=0.02)
    assert float(network.patch_embed.proj.bias.abs().max()) == 0
    assert float(mixer.out_proj.weight.abs().max()) == pytest.approx(384**-0.5 / 24**0.5, rel=0.01)


@pytest.mark.parametrize("name", ["aum:tiny@untrained", "aum@FILE"])
def test_nothing_in_it_is_trained(small: Path, name: str) -> None:
    network = load(name.replace("FILE", str(small))).network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


# Any clip.


@pytest.mark.parametrize("tokens", ["mean", "concat", "t64", "speech"])
@pytest.mark.parametrize("samples", [1, 399, 400, 2799, 2800, 2960, 2961])
def test_a_short_clip_gives_finite_layers(small: Path, tmp_path: Path, noise: Noise, tokens: str, samples: int) -> None:
    upstream = load(f"aum:{tokens}@{headless(small, tmp_path)}")
    for name, layer in upstream.encode(noise(2, samples)).named():
        width = upstream.final_width if name == "final" else upstream.widths[int(name)]
        frames = 4 if tokens == "t64" else 2 if samples >= 2960 else 1
        assert layer.shape == (2, frames, width)
        assert layer.isfinite().all()


def test_silence_gives_finite_layers(small: Path) -> None:
    layers = load(f"aum@{small}").encode(torch.full((1, 8000), 0.1))
    assert all(layer.isfinite().all() for _, layer in layers.named())


@pytest.mark.parametrize("samples", [400, 2800, 2959, 2960, 5360, 16_000, 20_720])
def test_a_frame_is_sixteen_log_mel_frames_of_which_the_last_may_lack_some(
    small: Path, noise: Noise, samples: int
) -> None:
    images = 1 + (samples - 400) // 160
    layers = load(f"aum@{small}").encode(noise(2, samples))
    assert {layer.shape for _, layer in layers.named()} == {(2, math.ceil(images / 16), 32)}


@pytest.mark.parametrize(("samples", "frames"), [(8240, 64), (20_000, 128), (1, 16)])
def test_an_image_is_filled_with_zeros_before_it_is_normalised(
    small: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch, samples: int, frames: int
) -> None:
    upstream = load(f"aum@{small}")
    seen: list[Tensor] = []
    forward = upstream.network.forward

    def watched(image: Tensor) -> Any:
        seen.append(image)
        return forward(image)

    monkeypatch.setattr(upstream.network, "forward", watched)
    wave = noise(1, samples)
    upstream.encode(wave)
    wave = functional.pad(upstream.normalise(wave), (0, max(0, 400 - samples)))
    bare = log_mel(wave, Statistics(0.0, 0.5), 1 + (wave.shape[-1] - 400) // 160)
    assert seen[0].shape == (1, frames, 128)
    assert_close(seen[0][:, : bare.shape[1]], (bare + 4.2677393) / (2 * 4.5689974), 1e-6)
    filling = torch.full((1, frames - bare.shape[1], 128), 4.2677393 / (2 * 4.5689974))
    assert_close(seen[0][:, bare.shape[1] :], filling, 1e-6)


def test_with_a_number_of_frames_a_longer_clip_loses_its_end(small: Path, noise: Noise) -> None:
    upstream, wave = load(f"aum:t64@{small}"), noise(1, 30_000)
    kept = wave[:, : 400 + 63 * 160]
    # The mean is the whole clip's.
    other = upstream.forward(upstream.normalise(wave)[:, : kept.shape[-1]])
    assert upstream.longest is None
    assert_layers_close(upstream.encode(wave), other, 1e-6)


@pytest.mark.parametrize("directions", DIRECTIONS)
def test_a_batch_is_what_its_clips_are_alone(
    smalls: dict[Directions, Path], noise: Noise, directions: Directions
) -> None:
    upstream, waves = load(f"aum:concat@{smalls[directions]}"), noise(3, 12_000)
    alone = Layers.join([upstream.encode(wave[None]) for wave in waves], dim=0)
    assert_layers_close(upstream.encode(waves), alone, 1e-5)


def test_concatenated_frequencies_average_to_the_mean(small: Path, noise: Noise) -> None:
    wave, upstream = noise(2, 12_000), load(f"aum:concat@{small}")
    tall = upstream.encode(wave)
    assert tall.final.shape[-1] == upstream.final_width == 256
    averaged = Layers(
        tuple(layer.unflatten(-1, (8, 32)).mean(2) for layer in tall.hidden), tall.final.unflatten(-1, (8, 32)).mean(2)
    )
    assert_layers_close(averaged, load(f"aum@{small}").encode(wave), 1e-6)


def test_frames_follow_each_other_in_time(small: Path, noise: Noise) -> None:
    upstream, wave = load(f"aum@{small}"), noise(1, 20_720)
    changed = torch.cat([wave[:, :15_000], noise(1, 5720, seed=1)], dim=1)
    before, after = (upstream.forward(x).hidden[0] for x in (wave, changed))
    moved = (before - after)[0].abs().amax(dim=1)
    # Frame i begins at sample 2560 i; the sixth (12,800 to 15,600) is the first to hear the change.
    assert (moved > 1e-3).tolist() == [False] * 5 + [True] * 3


def test_the_time_of_the_first_frame_is_its_centre(small: Path) -> None:
    assert load(f"aum@{small}").frame_offset == Fraction(2800, 2 * 16_000)


def test_each_clips_mean_is_removed_first(small: Path, noise: Noise) -> None:
    waves = noise(2, 8000) + torch.tensor([[0.5], [-0.2]])
    normalised = load(f"aum@{small}").normalise(waves)
    assert_close(normalised.mean(-1), torch.zeros(2), 1e-6)
    assert_close(normalised.diff(), waves.diff(), 1e-6)


@pytest.mark.parametrize("samples", [20_721, 45_000])
@pytest.mark.parametrize("clips_at_once", [1, 16])
def test_a_long_clip_is_normalised_whole_and_its_windows_join(
    small: Path, noise: Noise, samples: int, clips_at_once: int
) -> None:
    upstream, waves = load(f"aum@{small}"), noise(2, samples)
    assert upstream.longest == 20_720
    assert_layers_close(upstream.encode_in_windows(waves, clips_at_once), in_windows(upstream, waves), 1e-5)


# The network.


def test_the_class_token_stands_in_the_middle_with_the_first_position(small: Path, noise: Noise) -> None:
    network, image = load(f"aum@{small}").network, noise(2, 48, 128)
    stream = network(image)[0]
    table = network.pos_embed((8, 3))[0]
    patches = functional.conv2d(
        image.transpose(1, 2)[:, None], network.patch_embed.proj.weight, network.patch_embed.proj.bias, stride=16
    )
    assert stream.shape == (2, 25, 32)
    assert_close(stream[:, 12], (network.cls_token[0] + table[0]).expand(2, 32), 1e-6)
    for row in range(8):
        for column in range(3):
            k = 3 * row + column
            assert_close(stream[:, k + (k >= 12)], patches[:, :, row, column] + table[1 + k], 1e-5)


def test_blocks_follow_one_another(small: Path, noise: Noise) -> None:
    network = load(f"aum@{small}").network
    streams = network(noise(2, 64, 128))
    for i, block in enumerate(network.layers):
        root_mean_square = (streams[i].square().mean(-1, keepdim=True) + 1e-5).sqrt()
        normed = streams[i] / root_mean_square * block.norm.weight
        assert_close(streams[i + 1], streams[i] + block.mixer(normed), 1e-6)


def test_the_final_layer_is_the_last_stream_normed(small: Path, noise: Noise) -> None:
    upstream = load(f"aum:concat@{small}")
    layers = upstream.encode(noise(2, 12_000))
    last, final = (layer.unflatten(-1, (8, 32)) for layer in (layers.hidden[-1], layers.final))
    root_mean_square = (last.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    assert_close(final, last / root_mean_square * upstream.network.norm_f.weight, 1e-6)


@pytest.mark.parametrize("columns", [8, 4, 13])
def test_positions_are_stretched_in_time_alone(small: Path, columns: int) -> None:
    positions = load(f"aum@{small}").network.pos_embed
    table = positions((8, columns))
    assert table.shape == (1, 1 + 8 * columns, 32)
    assert torch.equal(table[:, :1], positions.pos_embed[:, :1])
    # A bilinear resampling of one axis is a matrix: its rows are weights that sum to 1.
    trained, fitted = (x[0, 1:].unflatten(0, (8, -1)) for x in (positions.pos_embed, table))
    step = 8 / columns
    for column in range(columns):
        centre, reach = (column + 0.5) * step, max(1.0, step)
        weights = (1 - (torch.arange(8) + 0.5 - centre).abs() / reach).clamp(min=0)
        wanted = torch.einsum("rcw,c->rw", trained, weights / weights.sum())
        assert_close(fitted[:, column], wanted, 1e-5)


@pytest.mark.parametrize("directions", DIRECTIONS)
def test_of_one_token_a_mixer_has_a_closed_form(noise: Noise, directions: Directions) -> None:
    mixer = mixer_of(directions)
    x = noise(3, 1, 32)
    u, gate = mixer.in_proj(x).chunk(2, dim=-1)

    def scan(side: str) -> Tensor:
        conv, project, step = (getattr(mixer, f"{part}{side}") for part in ("conv1d", "x_proj", "dt_proj"))
        v = functional.silu(u * conv.weight[:, 0, -1] + conv.bias)
        dt, b, c = project(v).split([2, 16, 16], dim=-1)
        delta = functional.softplus(step(dt))
        y: Tensor = delta * v * (b * c).sum(-1, keepdim=True) + getattr(mixer, f"D{side}") * v
        return y

    there = scan("")
    total = {"fofo": lambda: there, "fobi": lambda: 2 * there, "bibi": lambda: (there + scan("_b")) / 2}[directions]()
    assert_close(mixer(x), mixer.out_proj(total * functional.silu(gate)), 1e-6)


def mixer_of(directions: Directions) -> Mixer:
    """A mixer 32 wide, filled by the rule."""
    mixer = Mixer(32, directions)
    mixer.load_state_dict(filled(mixer_shapes(32, directions)))
    return mixer.requires_grad_(False)


def test_a_bi_bi_mixer_with_equal_directions_commutes_with_reversal(noise: Noise) -> None:
    mixer = mixer_of("bibi")
    values = mixer.state_dict()
    for key in values:
        values[key] = values[key.replace("A_b_", "A_").replace("_b.", ".").removesuffix("_b")]
    mixer.load_state_dict(values)
    x = noise(2, 20, 32)
    assert_close(mixer(x.flip(1)), mixer(x).flip(1), 1e-6)


def test_a_fo_bi_mixer_whose_states_vanish_at_once_is_twice_a_fo_fo_mixer(noise: Noise) -> None:
    # Where no state lasts, both scans see the present alone, and the convolution looks back in both.
    one, two = mixer_of("fofo"), mixer_of("fobi")
    for mixer in (one, two):
        for name, states in mixer.named_parameters():
            if name.startswith("A_"):
                states.fill_(20.0)
    x = noise(2, 20, 32)
    assert_close(two(x), 2 * one(x), 1e-6)


@pytest.mark.parametrize("cut", [1, 7, 19])
@pytest.mark.parametrize("directions", DIRECTIONS)
def test_only_a_fo_fo_mixer_is_blind_for_the_future(noise: Noise, directions: Directions, cut: int) -> None:
    mixer, x = mixer_of(directions), noise(2, 20, 32)
    changed = torch.cat([x[:, :cut], noise(2, 20 - cut, 32, seed=1)], dim=1)
    before, after = mixer(x), mixer(changed)
    assert torch.equal(before[:, :cut], after[:, :cut]) == (directions == "fofo")
    assert not torch.allclose(before[:, cut:], after[:, cut:], atol=1e-4)


# Lower precisions.


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_lower_precision_stays_within_what_is_stated(tiny: tuple[Directions, Path], noise: Noise, dtype: str) -> None:
    upstream, wave = load(f"aum:audioset@{tiny[1]}"), noise(1, 8000)
    exact = upstream.encode(wave)
    upstream.dtype = dtype
    for (_, low), (_, layer) in zip(upstream.encode(wave).named(), exact.named(), strict=True):
        moved = float((low - layer).norm() / layer.norm())
        assert moved <= upstream.dtypes[dtype]
        assert moved > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("directions", DIRECTIONS)
def test_what_a_scan_reads_is_float32_in_a_lower_precision(
    noise: Noise, monkeypatch: pytest.MonkeyPatch, directions: Directions, dtype: torch.dtype
) -> None:
    seen: list[Tensor] = []

    def watched(*scans: Scan, gate: Tensor) -> Tensor:
        seen.extend(x for scan in scans for x in scan if isinstance(x, Tensor))
        seen.append(selective_scan(*scans, gate=gate))
        return seen[-1]

    monkeypatch.setattr(_scan, "selective_scan", watched)
    with torch.autocast("cpu", dtype):
        out = mixer_of(directions)(noise(1, 9, 32))
    assert len(seen) == (8 if directions == "fofo" else 15)
    assert {x.dtype for x in seen} == {torch.float32}
    assert out.dtype == dtype


def test_the_plugin_is_found_under_its_name() -> None:
    assert UpstreamSpec.parse("aum:small-t512-voxceleb-concat").cls is aum.UPSTREAM
