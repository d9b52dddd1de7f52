"""BEATs against the original code's values, and its behaviour on any file and any clip."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from harness import testing
from harness.cards import Elsewhere
from harness.fbank import mel_filters
from harness.models import Layers
from harness.registry import UpstreamSpec
from harness.upstreams import beats
from harness.upstreams._beats import SMALL, Beats, Config, bucket, token_padding

from checkpoints import Shapes, State, fill, filled, load, saved, untrained
from reference import (
    Golden,
    Noise,
    Numbers,
    Refused,
    Tones,
    assert_close,
    assert_layers_close,
    assert_within,
    read_json,
)

Save = Callable[..., Path]

#: The network behind the reference numbers.
TINY = SMALL._replace(encoder_layers=3)
#: The published settings that have a part in the network, and are the same in all.
FIXED = {
    "input_patch_size": 16,
    "conv_bias": False,
    "activation_fn": "gelu",
    "layer_norm_first": False,
    "relative_position_embedding": True,
    "gru_rel_pos": True,
}


def shapes(config: Config) -> Shapes:
    """The keys of a published model and their shapes."""
    width, inner, heads = config.encoder_embed_dim, config.encoder_ffn_embed_dim, config.encoder_attention_heads
    keys: Shapes = {
        "patch_embedding.weight": (config.embed_dim, 1, 16, 16),
        "layer_norm.weight": (config.embed_dim,),
        "layer_norm.bias": (config.embed_dim,),
        "post_extract_proj.weight": (width, config.embed_dim),
        "post_extract_proj.bias": (width,),
        "encoder.pos_conv.0.bias": (width,),
        "encoder.pos_conv.0.weight_g": (1, 1, config.conv_pos),
        "encoder.pos_conv.0.weight_v": (width, width // config.conv_pos_groups, config.conv_pos),
        "encoder.layer_norm.weight": (width,),
        "encoder.layer_norm.bias": (width,),
    }
    for i in range(config.encoder_layers):
        layer: Shapes = {
            "self_attn.grep_a": (1, heads, 1, 1),
            "self_attn.grep_linear.weight": (8, width // heads),
            "self_attn.grep_linear.bias": (8,),
            "self_attn.relative_attention_bias.weight": (config.num_buckets, heads),
            "fc1.weight": (inner, width),
            "fc1.bias": (inner,),
            "fc2.weight": (width, inner),
            "fc2.bias": (width,),
        }
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            layer |= {f"self_attn.{name}.weight": (width, width), f"self_attn.{name}.bias": (width,)}
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            layer |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
        keys |= {f"encoder.layers.{i}.{name}": shape for name, shape in layer.items()}
    return keys


def published(config: Config = SMALL) -> State:
    """A state dict of the published form."""
    return filled(shapes(config))


def settings(config: Config = SMALL, **others: object) -> dict[str, Any]:
    """A ``cfg`` of the published form."""
    unused = {"dropout": 0.1, "encoder_layerdrop": 0.05, "predictor_class": 527, "finetuned_model": False}
    return {**FIXED, **config._asdict(), **unused, **others}


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a checkpoint in the published container and gives its path."""

    def write(state: Mapping[Any, Any] | None = None, **cfg: object) -> Path:
        model = published() if state is None else dict(state)
        return saved(tmp_path / "small.pt", {"cfg": settings(**cfg), "model": model})

    return write


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two blocks, 48 wide."""
    return saved(tmp_path_factory.mktemp("weights") / "small.pt", {"cfg": settings(), "model": published()})


def plain_log_mel(wave: Tensor) -> Tensor:
    """The front end step by step, frame for frame, in the wave's own precision."""
    frames = (wave * 32_768).unfold(-1, 400, 160)
    frames = frames - frames.mean(-1, keepdim=True)
    frames = frames - 0.97 * torch.cat([frames[..., :1], frames[..., :-1]], -1)
    window = torch.hann_window(400, periodic=False, dtype=wave.dtype) ** 0.85
    power = torch.fft.rfft(functional.pad(frames * window, (0, 112))).abs() ** 2
    mels: Tensor = power @ mel_filters().to(wave.dtype)
    return (mels.clamp(min=1.1920929e-07).log() - 15.41663) / (2 * 6.55582)


# The original code's numbers, on a file that is filled by the rule.

TOKENS = (1, 144, 48)
NUMBERS = {
    "normfbank": Numbers(
        (1, 298, 128), -0.4464027, 0.5638461, (-0.5625441, -0.7797796, -0.6223316, -0.5460610, -1.0063647)
    ),
    "tokens_after_proj": Numbers(
        TOKENS, 0.1134544, 0.9891978, (1.0872788, -0.4880272, 1.0444282, 1.1490469, 0.4241487)
    ),
    "hidden0": Numbers(TOKENS, -0.0004885, 1.0093457, (0.9972816, -0.8628294, 1.0550321, 1.3163620, 0.0383971)),
    "hidden1": Numbers(TOKENS, 0.0113074, 0.9887490, (-0.1127885, -0.1565046, -0.1253431, 0.0179246, 0.3621173)),
    "hidden3": Numbers(TOKENS, 0.0014572, 1.0280655, (0.0836158, 0.1698303, -0.0228459, 0.1303675, -0.5793675)),
    "out": Numbers(TOKENS, 0.0014572, 1.0280655, (0.0836158, 0.1698303, -0.0228459, 0.1303675, -0.5793675)),
    "masked_row1_valid": Numbers(
        (75, 48), -0.0007388, 1.0274766, (0.1819460, 0.1068808, 0.3215751, 1.0599496, -2.2909143)
    ),
}
#: The tones leave bins nearly empty, whose logarithm is rounding noise: two front ends differ there by 0.02.
FROM_THE_SAME_IMAGE, FROM_THE_WAVE = 2e-5, 4e-3


def outputs(network: Any, wave: Tensor, front_end: Callable[[Tensor], Tensor]) -> State:
    """What the original code's numbers are of: one wave, then the same beside its first half, masked."""
    half = wave.shape[-1] // 2
    pair = torch.cat([wave, functional.pad(wave[:, :half], (0, half))])
    beyond = torch.zeros(2, wave.shape[-1], dtype=torch.bool)
    beyond[1, half:] = True
    seen: list[Tensor] = []
    with torch.no_grad():
        image = front_end(wave)
        hook = network.post_extract_proj.register_forward_hook(lambda *call: seen.append(call[-1]))
        streams = network(image)
        hook.remove()
        padding = token_padding(beyond, image.shape[1])
        masked = network(front_end(pair), padding)[-1][1][~padding[1]]
    found = {"normfbank": image, "tokens_after_proj": seen[0], "out": streams[-1], "masked_row1_valid": masked}
    return found | {f"hidden{i}": stream for i, stream in enumerate(streams)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The network behind the reference numbers, from a file."""
    contents = {"cfg": settings(TINY), "model": published(TINY)}
    path = saved(tmp_path_factory.mktemp("weights") / "tiny.pt", contents)
    return load(f"beats@{path}").network


def test_the_rule_fills_as_it_did() -> None:
    values = fill("patch_embedding.weight", (32, 1, 16, 16)).flatten()[:4]
    assert values.tolist() == pytest.approx([-0.0609, -0.0105, -0.1017, -0.1054], abs=1e-4)


def test_the_original_codes_numbers_come_out_of_a_plain_image(tiny: Any, tones: Tones) -> None:
    found = outputs(tiny, tones(48_000)[None], plain_log_mel)
    assert {name: found[name].shape for name in NUMBERS} == {name: known.shape for name, known in NUMBERS.items()}
    assert all(known.error(found[name]) <= FROM_THE_SAME_IMAGE for name, known in NUMBERS.items())


def test_the_original_codes_numbers_come_out_of_the_wave(tiny: Any, tones: Tones) -> None:
    found = outputs(tiny, tones(48_000)[None], beats.log_mel)
    assert all(known.error(found[name]) <= FROM_THE_WAVE for name, known in NUMBERS.items())


def test_the_original_codes_numbers_come_out_at_the_published_size(shared: Path, tones: Tones) -> None:
    known = read_json(shared, "fingerprints.json")["golden"]
    with torch.device("meta"):
        network = Beats(Config())
    network.load_state_dict(published(Config()), assign=True)
    found = outputs(network, tones(48_000)[None], plain_log_mel)
    names = [name.removeprefix("beats_base.") for name in known if name.startswith("beats_base.")]
    assert len(names) == 7
    assert all(Numbers.of(known[f"beats_base.{name}"]).error(found[name]) <= FROM_THE_SAME_IMAGE for name in names)


# The original code's tensors, where the reference data is.

CASES = ["beats-3s", "beats-10s", "beats-batch-mask", "beats-finetuned-mask"]
WITH_IMAGE = ["beats-3s", "beats-batch-mask"]


class Case(NamedTuple):
    """A reference case, and the upstream of its weights."""

    tensors: dict[str, Tensor]
    upstream: Any
    #: Of a fine-tuned file: weight and bias.
    predictor: tuple[Tensor, Tensor] | None

    @property
    def image(self) -> Tensor:
        image: Tensor = beats.log_mel(self.tensors["input/waveform"])
        return image

    def named(self, image: Tensor) -> State:
        """All that comes out of an image, under the names of the reference data."""
        network, found = self.upstream.network, {"frontend/fbank_norm": image}
        found["frontend/fbank"] = image * 2 * 6.55582 + 15.41663
        watched = {
            "embed/patch_ln": network.layer_norm,
            "embed/proj": network.post_extract_proj,
            "embed/pos_conv": network.encoder.pos_conv,
        }
        hooks = [
            module.register_forward_hook(lambda *call, name=name: found.update({name: call[-1]}))
            for name, module in watched.items()
        ]
        given = self.tensors.get("input/padding_mask")
        padding = None if given is None else token_padding(given.bool(), image.shape[1])
        streams = network(image, padding)
        for hook in hooks:
            hook.remove()
        found |= {f"hidden/{i:02d}": stream for i, stream in enumerate(streams)} | {"final": streams[-1]}
        valid = torch.ones(streams[-1].shape[:2]) if padding is None else (~padding).float()

        def pool(x: Tensor) -> Tensor:
            return (x * valid[..., None]).sum(1) / valid.sum(1, keepdim=True)

        found["pooled"] = pool(streams[-1])
        if padding is not None:
            found["token_padding_mask"] = padding.to(torch.uint8)
        if self.predictor is not None:
            found["token_logits"] = functional.linear(streams[-1], *self.predictor)
            found["probs"] = pool(found["token_logits"]).sigmoid()
        return found


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, golden: Golden, shared: Path) -> Case:
    about, tensors = golden(request.param)
    path = shared / "golden" / f"{about['weights']}.pt"
    tuned = about["weights"].endswith("finetuned")
    model = torch.load(path, weights_only=True)["model"]
    predictor = (model["predictor.weight"], model["predictor.bias"]) if tuned else None
    return Case(tensors, load(f"beats{':ft' if tuned else ''}@{path}"), predictor)


def test_the_reference_tensors_come_out_of_the_wave(case: Case) -> None:
    found = case.named(case.image)
    names = [name for name in case.tensors if not name.startswith(("input/", "frontend/"))]
    assert names
    for name in names:
        if name == "token_padding_mask":
            assert torch.equal(found[name], case.tensors[name])
        elif name in ("pooled", "probs"):
            assert_close(found[name], case.tensors[name], 1e-4)
        else:
            assert_close(found[name], case.tensors[name], 2e-3, 1e-4)


@pytest.mark.parametrize("case", WITH_IMAGE, indirect=True, scope="module")
def test_the_reference_tensors_come_out_of_the_reference_image(case: Case) -> None:
    found = case.named(case.tensors["frontend/fbank_norm"])
    names = [name for name in case.tensors if not name.startswith(("input/", "frontend/"))]
    assert len(names) >= 7
    for name in names:
        assert_close(found[name], case.tensors[name], 5e-5)


@pytest.mark.parametrize("case", WITH_IMAGE, indirect=True, scope="module")
def test_the_reference_image_comes_out(case: Case) -> None:
    found = case.named(case.image)
    for name, worst, mean in (("frontend/fbank", 1e-2, 1e-4), ("frontend/fbank_norm", 1.5e-3, 2e-5)):
        if name in case.tensors:
            assert_within(found[name], case.tensors[name], worst, mean)


@pytest.mark.parametrize("case", ["beats-3s", "beats-10s"], indirect=True, scope="module")
def test_the_upstream_gives_the_reference_tokens_by_time(case: Case) -> None:
    layers = case.upstream.encode(case.tensors["input/waveform"])
    for name, layer in layers.named():
        wanted = case.tensors.get("final" if name == "final" else f"hidden/{int(name):02d}")
        if wanted is not None:
            assert_close(layer, wanted.unflatten(1, (-1, 8)).mean(2), 2e-3, 1e-4)
    assert_close(layers.final.mean(1), case.tensors["pooled"], 1e-4)


@pytest.mark.parametrize(("name", "extra"), [("beats-iter3-base", 0), ("beats-iter3-base-finetuned-as2m", 2)])
def test_the_published_files_have_our_keys_and_settings(shared: Path, name: str, extra: int) -> None:
    about = read_json(shared, f"manifests/{name}.json")
    keys = {key: tuple(shape) for key, shape in about["shapes"].items()}
    with torch.device("meta"):
        ours = {key: tuple(value.shape) for key, value in Beats(Config()).state_dict().items()}
    assert {key: keys[key] for key in keys if not key.startswith("predictor.")} == ours
    assert len(keys) == len(ours) + extra
    config = about["about"]["config"]
    assert {name: config[name] for name in (*FIXED, *Config._fields)} == FIXED | Config()._asdict()


@pytest.mark.parametrize("name", ["beats_base", "beats_base_finetuned"])
def test_the_original_class_has_our_keys(shared: Path, name: str) -> None:
    known = read_json(shared, "fingerprints.json")["state_dict_keys"][name]
    keys = {key: tuple(shape) for key, (shape, _) in known.items() if not key.startswith("predictor.")}
    assert keys == shapes(Config())


# The arithmetic, against loops in double precision.


def plain_bucket(distance: int, buckets: int, furthest: int) -> int:
    half = buckets // 2
    exact = half // 2
    after = half if distance > 0 else 0
    far = abs(distance)
    if far < exact:
        return after + far
    step = math.floor(math.log(far / exact) / math.log(furthest / exact) * (half - exact))
    return after + min(exact + step, half - 1)


def plain_norm(x: np.ndarray, state: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    out: np.ndarray = x * state[f"{name}.weight"] + state[f"{name}.bias"]
    return out


def plain_linear(x: np.ndarray, state: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    out: np.ndarray = x @ state[f"{name}.weight"].T + state[f"{name}.bias"]
    return out


def plain_gelu(x: np.ndarray) -> np.ndarray:
    out: np.ndarray = x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2
    return out


def plain_attention(x: np.ndarray, state: Mapping[str, np.ndarray], name: str, config: Config) -> np.ndarray:
    """(token, width) to the same, one query of one head at a time."""
    q, k, v = (plain_linear(x, state, f"{name}.{part}_proj") for part in "qkv")
    size = config.encoder_embed_dim // config.encoder_attention_heads
    table = state[f"{name}.relative_attention_bias.weight"]
    mixed = np.zeros_like(x)
    for head in range(config.encoder_attention_heads):
        own = slice(head * size, (head + 1) * size)
        for i in range(len(x)):
            eight = plain_linear(q[i, own], state, f"{name}.grep_linear")
            a, b = (1 / (1 + np.exp(-part.sum())) for part in (eight[:4], eight[4:]))
            gate = a * (b * state[f"{name}.grep_a"][0, head, 0, 0] - 1) + 2
            rows = [plain_bucket(j - i, config.num_buckets, config.max_distance) for j in range(len(x))]
            logits = k[:, own] @ q[i, own] / math.sqrt(size) + gate * table[rows, head]
            shares = np.exp(logits - logits.max())
            mixed[i, own] = shares @ v[:, own] / shares.sum()
    return plain_linear(mixed, state, f"{name}.out_proj")


def plain_network(image: np.ndarray, state: Mapping[str, np.ndarray], config: Config) -> list[np.ndarray]:
    """(frame, bin) to the streams, (token, width)."""
    kernels = state["patch_embedding.weight"].reshape(config.embed_dim, -1)
    patches = [
        kernels @ image[16 * t : 16 * t + 16, 16 * f : 16 * f + 16].ravel()
        for t in range(len(image) // 16)
        for f in range(8)
    ]
    x = plain_linear(plain_norm(np.stack(patches), state, "layer_norm"), state, "post_extract_proj")
    taps, direction = config.conv_pos, state["encoder.pos_conv.0.weight_v"]
    lengths = np.sqrt((direction**2).sum((0, 1), keepdims=True))
    kernel = state["encoder.pos_conv.0.weight_g"] * direction / lengths
    padded = np.pad(x, ((taps // 2, taps // 2), (0, 0)))
    places, own = np.zeros_like(x), kernel.shape[1]
    for i in range(len(x)):
        for channel in range(x.shape[1]):
            first = channel // own * own
            places[i, channel] = (kernel[channel] * padded[i : i + taps, first : first + own].T).sum()
    x = plain_norm(x + plain_gelu(places + state["encoder.pos_conv.0.bias"]), state, "encoder.layer_norm")
    alpha = (2 * config.encoder_layers) ** 0.25 if config.deep_norm else 1.0
    streams = [x]
    for i in range(config.encoder_layers):
        name = f"encoder.layers.{i}"
        attended = plain_attention(x, state, f"{name}.self_attn", config)
        x = plain_norm(alpha * x + attended, state, f"{name}.self_attn_layer_norm")
        wide = plain_linear(plain_gelu(plain_linear(x, state, f"{name}.fc1")), state, f"{name}.fc2")
        x = plain_norm(alpha * x + wide, state, f"{name}.final_layer_norm")
        streams.append(x)
    return streams


@pytest.mark.parametrize("deep", [True, False])
def test_every_stream_is_what_plain_loops_make(save: Save, noise: Noise, deep: bool) -> None:
    config = SMALL._replace(deep_norm=deep)
    network = load(f"beats@{save(config=config)}").network
    image = 8 * noise(1, 75, 128)  # four time steps and a rest: tokens beyond the exact distances
    state = {name: value.double().numpy() for name, value in published(config).items()}
    wanted = plain_network(image[0].double().numpy(), state, config)
    for got, stream in zip(network(image), wanted, strict=True):
        assert_close(got[0].double(), torch.from_numpy(stream), 1e-5)


@pytest.mark.parametrize(("buckets", "furthest"), [(320, 800), (32, 64), (320, 1280), (4, 2), (33, 100)])
def test_distances_fall_in_the_buckets_that_a_plain_loop_gives(buckets: int, furthest: int) -> None:
    distances = list(range(-1500, 1501))
    got = bucket(torch.tensor(distances), buckets, furthest).tolist()
    # Where the logarithm is a whole number, single and double precision may round to either side.
    clear = [d for d in distances if not _on_an_edge(d, buckets, furthest)]
    assert len(clear) > 2900
    assert [got[d + 1500] for d in clear] == [plain_bucket(d, buckets, furthest) for d in clear]


def _on_an_edge(distance: int, buckets: int, furthest: int) -> bool:
    half = buckets // 2
    exact = half // 2
    if abs(distance) <= exact:
        return False
    step = math.log(abs(distance) / exact) / math.log(furthest / exact) * (half - exact)
    return step < half - exact + 0.5 and abs(step - round(step)) < 1e-5


def test_keys_before_and_after_a_query_have_buckets_of_their_own() -> None:
    distances = torch.arange(1, 3000)
    before, after = bucket(-distances, 320, 800), bucket(distances, 320, 800)
    assert torch.equal(after, before + 160)
    assert bucket(torch.tensor([0]), 320, 800).tolist() == [0]
    assert int(after.max()) == 319
    assert bool((before.diff() >= 0).all())


def test_the_bias_of_a_query_and_a_key_is_that_of_their_distance(small: Path) -> None:
    encoder = load(f"beats@{small}").network.encoder
    bias, table = encoder.bias(40), published()["encoder.layers.0.self_attn.relative_attention_bias.weight"]
    assert bias.shape == (4, 40, 40)
    for query, key in ((0, 0), (0, 39), (39, 0), (5, 6), (6, 5), (30, 10)):
        assert torch.equal(bias[:, query, key], table[plain_bucket(key - query, 32, 64)])


# Padding, as the authors reduce it.


@pytest.mark.parametrize(("samples", "valid"), [(48_000, 24_000), (48_000, 1), (40_000, 39_999), (32_123, 15_000)])
def test_a_token_is_padding_where_plain_loops_say_so(samples: int, valid: int) -> None:
    frames = 1 + (samples - 400) // 160
    tokens = frames // 16 * 8
    beyond = [i >= valid for i in range(samples)]
    share = samples // frames
    frame = [all(beyond[share * i : share * (i + 1)]) for i in range(frames)]
    share = frames // tokens
    token = [all(frame[share * i : share * (i + 1)]) for i in range(tokens)]
    assert token_padding(torch.tensor([beyond]), frames).tolist() == [token]


def test_a_clip_may_end_within_a_time_step() -> None:
    beyond = (torch.arange(48_000) >= 24_000)[None]
    assert int((~token_padding(beyond, 298)).sum()) == 75  # nine time steps and three tokens


def test_what_lies_in_padding_moves_nothing_else(small: Path, noise: Noise) -> None:
    network, image = load(f"beats@{small}").network, noise(1, 64, 128)
    padding = torch.arange(32)[None] >= 24
    other = torch.cat([image[:, :48], noise(1, 16, 128, seed=1)], dim=1)
    for one, two in zip(network(image, padding), network(other, padding), strict=True):
        assert torch.equal(one, two)
    assert not torch.allclose(network(image)[-1][:, :24], network(other)[-1][:, :24], atol=1e-3)


def test_padding_of_nothing_is_no_padding(small: Path, noise: Noise) -> None:
    network, image = load(f"beats@{small}").network, noise(2, 64, 128)
    assert_close(network(image, torch.zeros(2, 32, dtype=torch.bool))[-1], network(image)[-1], 1e-6)


# Any file.


def test_settings_with_no_part_in_the_network_may_say_anything(save: Save, small: Path, noise: Noise) -> None:
    path = save(dropout="high", encoder_layerdrop=None, something_new=[1, 2], layer_wise_gradient_decay_ratio=0.6)
    upstream, wave = load(f"beats@{path}"), noise(1, 8000)
    assert torch.equal(upstream.encode(wave).final, load(f"beats@{small}").encode(wave).final)
    assert upstream.cfg["something_new"] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "width", "layers"),
    [
        ({"encoder_layers": 1}, 48, 1),
        ({"encoder_embed_dim": 24, "embed_dim": 40, "encoder_attention_heads": 2, "conv_pos": 7}, 24, 2),
        ({"num_buckets": 320, "max_distance": 800, "conv_pos_groups": 48}, 48, 2),
    ],
)
def test_the_files_settings_build_the_network(
    save: Save, noise: Noise, changes: dict[str, int], width: int, layers: int
) -> None:
    config = SMALL._replace(**changes)
    upstream = load(f"beats@{save(published(config), config=config)}")
    assert upstream.network.config == config
    assert upstream.found["cfg"] == config._asdict()
    assert upstream.widths == (width,) * (layers + 1)
    assert upstream.encode(noise(1, 8000)).final.shape == (1, 3, width)


@pytest.mark.parametrize("distance", [64, 65, 800])
def test_the_longest_distance_is_the_files(save: Save, distance: int) -> None:
    network = load(f"beats@{save(config=SMALL._replace(max_distance=distance))}").network
    expected = [plain_bucket(d, 32, distance) for d in (-70, -40, 40, 70)]
    table = published()["encoder.layers.0.self_attn.relative_attention_bias.weight"]
    assert torch.equal(network.encoder.bias(80)[:, 79, [9, 39]].T, table[expected[:2]])


def test_both_names_of_weight_norms_parameters_are_read(save: Save, small: Path, noise: Noise) -> None:
    state = published()
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        state[f"encoder.pos_conv.0.parametrizations.weight.{new}"] = state.pop(f"encoder.pos_conv.0.{old}")
    wave = noise(1, 8000)
    assert torch.equal(load(f"beats@{save(state)}").encode(wave).final, load(f"beats@{small}").encode(wave).final)


def test_a_file_with_both_names_at_once_is_refused(save: Save, refused: Refused) -> None:
    state = published()
    state["encoder.pos_conv.0.parametrizations.weight.original0"] = state["encoder.pos_conv.0.weight_g"]
    with refused("original0', which this model does not know"):
        load(f"beats@{save(state)}")


def test_half_precision_files_are_computed_in_single(save: Save, noise: Noise) -> None:
    upstream = load(f"beats@{save({key: value.half() for key, value in published().items()})}")
    assert {parameter.dtype for parameter in upstream.network.parameters()} == {torch.float32}
    assert upstream.encode(noise(1, 8000)).final.dtype == torch.float32


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the published models be small, so that files without settings are."""
    monkeypatch.setattr("harness.upstreams._beats.Config.__new__.__defaults__", tuple(SMALL))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("prefix", ["model.beats.", "model.model."])
@pytest.mark.parametrize("heads", [(), ("strong_head",), ("strong_head", "weak_head")])
@pytest.mark.usefixtures("base")
def test_a_copy_for_sound_event_detection_is_read_with_the_published_settings(
    tmp_path: Path, small: Path, noise: Noise, prefix: str, suffix: str, heads: tuple[str, ...]
) -> None:
    path = tmp_path / f"copy.{suffix}"
    state = {prefix + key: value.clone() for key, value in published().items()}
    state |= {f"{head}.{part}": torch.ones(3) for head in heads for part in ("weight", "bias")}
    (torch.save if suffix == "pt" else save_file)(state, path)
    upstream, wave = load(f"beats{':ft' if heads else ''}@{path}"), noise(1, 8000)
    assert torch.equal(upstream.encode(wave).final, load(f"beats@{small}").encode(wave).final)
    assert upstream.found["cfg from"] == "the published models"
    assert upstream.found["fine-tuned"] == bool(heads)
    assert upstream.found["ignored keys"] == sorted(f"{head}.{part}" for head in heads for part in ("weight", "bias"))


def tuned() -> State:
    return published() | {"predictor.weight": torch.ones(10, 48), "predictor.bias": torch.ones(10)}


def test_a_fine_tuned_files_predictor_is_left_out_and_named(save: Save, small: Path, noise: Noise) -> None:
    upstream, wave = load(f"beats:ft@{save(tuned(), finetuned_model=True)}"), noise(1, 8000)
    assert upstream.found["ignored keys"] == ["predictor.bias", "predictor.weight"]
    assert torch.equal(upstream.encode(wave).final, load(f"beats@{small}").encode(wave).final)


@pytest.mark.parametrize("told", [True, False])
def test_a_fine_tuned_file_under_a_self_supervised_name_is_refused(save: Save, refused: Refused, told: bool) -> None:
    path = save(published() if told else tuned(), finetuned_model=told)
    with refused("was fine-tuned on labels: write beats:ft@FILE"):
        load(f"beats@{path}")


def test_a_self_supervised_file_under_a_fine_tuned_name_is_refused(small: Path, refused: Refused) -> None:
    with refused("was not fine-tuned on labels: write beats@FILE"):
        load(f"beats:ft@{small}")


@pytest.mark.parametrize("key", ["quantize.embedding.weight", "quantize_layer.0.weight"])
def test_a_tokenizer_is_refused(save: Save, refused: Refused, key: str) -> None:
    with refused("small.pt is a tokenizer of BEATs"):
        load(f"beats@{save(published() | {key: torch.ones(3)}, quant_n=1024, quant_dim=256)}")


@pytest.mark.parametrize(
    "key",
    [
        "patch_embedding.weight",
        "layer_norm.bias",
        "encoder.pos_conv.0.weight_g",
        "encoder.layers.0.self_attn.grep_a",
        "encoder.layers.1.self_attn.relative_attention_bias.weight",
        "encoder.layers.1.fc2.bias",
    ],
)
def test_a_file_that_lacks_a_key_is_refused(save: Save, refused: Refused, key: str) -> None:
    with refused(f"small.pt lacks the key '{key}'"):
        load(f"beats@{save({name: value for name, value in published().items() if name != key})}")


@pytest.mark.parametrize("key", ["encoder.layers.2.fc1.weight", "encoder.layers.0.extra", "patch_embedding.bias"])
def test_a_file_with_a_key_that_nobody_knows_is_refused(save: Save, refused: Refused, key: str) -> None:
    with refused(f"has the key '{key}', which this model does not know"):
        load(f"beats@{save(published() | {key: torch.ones(3)})}")


@pytest.mark.parametrize("key", ["post_extract_proj.weight", "encoder.layers.1.fc1.weight"])
def test_a_file_with_a_tensor_of_another_shape_is_refused(save: Save, refused: Refused, key: str) -> None:
    state = published()
    with refused("of shape .* where .* is expected"):
        load(f"beats@{save(state | {key: state[key][..., :-1]})}")


def test_a_file_whose_layers_have_position_tables_of_their_own_is_refused(save: Save, refused: Refused) -> None:
    state, key = published(), "encoder.layers.0.self_attn.relative_attention_bias.weight"
    with refused("another 'encoder.layers.0.self_attn.relative_attention_bias.weight' than in its last layer"):
        load(f"beats@{save(state | {key: state[key] + 1})}")


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        ({"model": {}}, "lacks the key 'cfg'"),
        ({"cfg": {}}, "lacks the key 'model'"),
        ({"patch_embedding.weight": torch.ones(3)}, "lacks the keys 'cfg', 'model'"),
        ({"cfg": 7, "model": {}}, "no dict with names as keys"),
        ({"cfg": {}, "model": torch.ones(3)}, "no dict with names as keys"),
        ({"cfg": {}, "model": {1: torch.ones(3)}}, "no dict with names as keys"),
        ({"cfg": {1: 2}, "model": {}}, "no dict with names as keys"),
        ({"cfg": {}, "model": {}}, "a cfg without input_patch_size, .* max_distance"),
        ({"cfg": settings(), "model": {"patch_embedding.weight": 7}}, "lacks the keys"),
        ({"cfg": settings(), "model": dict.fromkeys(published(), "text")}, "of shape .* is expected"),
        ({"model.beats.patch_embedding.weight": torch.ones(3)}, "lacks the keys"),
    ],
)
def test_a_file_of_another_form_is_refused(
    tmp_path: Path, refused: Refused, contents: dict[str, Any], sentence: str
) -> None:
    with refused(sentence):
        load(f"beats@{saved(tmp_path / 'other.pt', contents)}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in beats.RANGES for value in (0, 10**9)),
        *(("encoder_layers", value) for value in (-5, 2.0, math.nan, True, "12", None, torch.tensor([12, 12]), [12])),
    ],
)
def test_a_setting_that_is_no_number_in_range_is_refused(
    save: Save, refused: Refused, name: str, value: object
) -> None:
    with refused(f"a cfg whose {name} is no whole number from"):
        load(f"beats@{save(**{name: value})}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_patch_size", 8),
        ("conv_bias", True),
        ("activation_fn", "relu"),
        ("activation_fn", "a\nb. c." * 1000),
        ("layer_norm_first", True),
        ("layer_norm_first", 0),
        ("deep_norm", 1),
        ("deep_norm", torch.tensor([True, False])),
        ("relative_position_embedding", False),
        ("gru_rel_pos", False),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_setting_that_was_never_published_is_refused(save: Save, refused: Refused, name: str, value: object) -> None:
    with refused(f"a cfg whose {name} is not"):
        load(f"beats@{save(**{name: value})}")


@pytest.mark.parametrize("name", [*FIXED, *Config._fields])
def test_a_file_whose_settings_lack_one_is_refused(tmp_path: Path, refused: Refused, name: str) -> None:
    cfg = settings()
    del cfg[name]
    path = saved(tmp_path / "other.pt", {"cfg": cfg, "model": published()})
    with refused(f"other.pt has a cfg without {name}"):
        load(f"beats@{path}")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"encoder_attention_heads": 5}, "encoder_attention_heads does not divide"),
        ({"conv_pos_groups": 7}, "conv_pos_groups does not divide"),
        ({"num_buckets": 256, "max_distance": 64}, "max_distance is not above a quarter"),
        # As large as can be, with a file that is not: refused before such a network is made.
        ({"encoder_layers": 24, "encoder_embed_dim": 1024, "encoder_ffn_embed_dim": 4096}, "lacks the keys"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    save: Save, refused: Refused, changes: dict[str, int], sentence: str
) -> None:
    with refused(sentence):
        load(f"beats@{save(**changes)}")


# The names.


@pytest.mark.parametrize(
    ("name", "file", "training"),
    [
        ("beats", "BEATs_iter3.pt", "self-supervised: AudioSet"),
        ("beats:iter1-concat", "BEATs_iter1.pt", "self-supervised: AudioSet"),
        ("beats:iter2", "BEATs_iter2.pt", "self-supervised: AudioSet"),
        (
            "beats:iter3+",
            "BEATs_iter3_plus_AS2M.pt",
            "self-supervised: AudioSet (its tokenizer was distilled from a supervised teacher)",
        ),
        (
            "beats:ft",
            "BEATs_iter3_finetuned_on_AS2M_cpt1.pt",
            "supervised: AudioSet (after self-supervised pre-training)",
        ),
        (
            "beats:iter3+-ft",
            "BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt1.pt",
            "supervised: AudioSet (after self-supervised pre-training)",
        ),
    ],
)
def test_a_name_means_one_of_the_authors_files(refused: Refused, name: str, file: str, training: str) -> None:
    spec = UpstreamSpec.parse(name)
    source = spec.cls.published(**spec.options)
    assert isinstance(source, Elsewhere)
    assert source.filename == file
    assert str(spec.card.training) == training
    with refused(f"publish {file} at https.*: get it and write"):
        load(name)


def test_every_published_model_is_of_one_size() -> None:
    assert list(beats.BEATs.variants) == [
        *("iter3", "iter3+", "iter2", "iter1"),
        *("iter3-ft", "iter3+-ft", "iter2-ft", "iter1-ft"),
    ]
    with torch.device("meta"):
        network = Beats(Config())
    assert sum(parameter.numel() for parameter in network.parameters()) == 90_311_792
    for variant in beats.BEATs.variants.values():
        assert variant.parameters == pytest.approx(90.3, abs=0.05)
        assert variant.widths == (768,) * 13


# Any clip.


@pytest.mark.parametrize("samples", [2800, 5359, 5360, 16_000, 48_000])
@pytest.mark.parametrize(("freq", "width"), [("mean", 48), ("concat", 384)])
def test_there_is_a_frame_for_every_whole_patch(noise: Noise, freq: str, width: int, samples: int) -> None:
    upstream = untrained(f"beats:{freq}")
    layers = upstream.encode(noise(2, samples))
    images = 1 + (samples - 400) // 160
    assert {layer.shape for _, layer in layers.named()} == {(2, images // 16, width)}
    assert upstream.widths == (width,) * 3
    assert upstream.final_width == width
    assert upstream.frame_rate == Fraction(25, 4)


@pytest.mark.parametrize("samples", [1, 159, 399, 400, 2799])
def test_a_short_clip_is_filled_with_zeros(noise: Noise, samples: int) -> None:
    upstream, wave = untrained("beats"), noise(2, samples)
    filled = upstream.encode(functional.pad(wave, (0, 2800 - samples)))
    for (_, got), (_, wanted) in zip(upstream.encode(wave).named(), filled.named(), strict=True):
        assert got.shape == (2, 1, 48)
        assert got.isfinite().all()
        assert torch.equal(got, wanted)


def test_the_final_layer_is_the_last_as_it_is(noise: Noise) -> None:
    layers = untrained("beats").encode(noise(1, 8000))
    assert torch.equal(layers.final, layers.hidden[-1])


def test_concatenated_frequencies_average_to_the_mean(noise: Noise) -> None:
    wave = noise(2, 12_000)
    flat, tall = (untrained(f"beats:{freq}").encode(wave) for freq in ("mean", "concat"))
    for (_, wide), (_, mean) in zip(tall.named(), flat.named(), strict=True):
        assert_close(wide.unflatten(-1, (8, 48)).mean(2), mean, 1e-6)


def test_concatenated_frequencies_go_from_low_to_high(noise: Noise) -> None:
    network, image = untrained("beats").network, noise(1, 32, 128)
    # Without the positional convolution a token of layer 0 is a matter of its own patch.
    network.encoder.pos_conv[0].weight_g.zero_()
    changed = image.clone()
    changed[:, 16:, 48:64] += 1
    moved = (network(image)[0] - network(changed)[0]).abs().amax(-1)[0]
    assert moved.nonzero().flatten().tolist() == [8 + 3]


def test_a_frames_time_is_its_centre() -> None:
    upstream = untrained("beats")
    assert upstream.frame_offset == Fraction(1400, 16_000)
    assert upstream.sample_rate / upstream.frame_rate == 2560


@pytest.mark.parametrize("clips", [1, 2, 3])
def test_clips_that_do_not_fit_at_once_take_turns(noise: Noise, monkeypatch: pytest.MonkeyPatch, clips: int) -> None:
    upstream, waves = untrained("beats"), noise(5, 8000)
    together, sizes = upstream.encode(waves), []
    upstream.network.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    monkeypatch.setattr(beats, "MOST_LOGITS", clips * 4 * 24**2)
    in_turns = upstream.encode(waves)
    assert max(sizes) == clips
    assert sum(sizes) == 5
    assert_layers_close(in_turns, together, 1e-6)


@pytest.mark.parametrize("clips", [1, 4])
def test_a_clip_above_half_a_minute_is_cut_in_windows(noise: Noise, clips: int) -> None:
    upstream, waves = untrained("beats"), noise(2, 480_001)
    assert upstream.longest == 480_000
    parts = [upstream.encode(part) for part in (waves[:, :240_001], waves[:, -240_001:])]
    assert_layers_close(upstream.encode_in_windows(waves, clips), Layers.join(parts, dim=1), 1e-5)


@pytest.mark.parametrize("clip", [0, 1])
def test_the_front_end_is_what_a_plain_one_gives(noise: Noise, clip: int) -> None:
    waves = noise(2, 16_000)
    wanted = plain_log_mel(waves[clip].double())
    assert_close(beats.log_mel(waves)[clip].double(), wanted, 1.5e-3, 2e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_front_end_stays_in_single_precision(noise: Noise, dtype: torch.dtype) -> None:
    wave = noise(1, 8000)
    with torch.autocast("cpu", dtype):
        image = beats.log_mel(wave)
    assert torch.equal(image, beats.log_mel(wave))


def test_the_untrained_control_is_as_before_the_authors_training() -> None:
    network = untrained("beats").network
    assert not any(float(block.fc1.bias.abs().max()) for block in network.encoder.layers)
    assert float(network.encoder.table.std()) == pytest.approx(0.02, rel=0.2)
    deviation = 16**-0.25 * math.sqrt(2 / (48 + 96))
    assert float(network.encoder.layers[1].fc2.weight.std()) == pytest.approx(deviation, rel=0.1)


@pytest.mark.parametrize("stage", ["ssl", "ft"])
def test_a_saved_network_is_a_published_file(tmp_path: Path, stage: str) -> None:
    untrained(f"beats:{stage}").save(tmp_path / "saved.pt")
    again = torch.load(tmp_path / "saved.pt", weights_only=True)
    assert {key: tuple(value.shape) for key, value in again["model"].items()} == shapes(SMALL)
    assert again["cfg"] == FIXED | SMALL._asdict() | {"finetuned_model": stage == "ft"}


def test_a_saved_fine_tuned_network_is_read_under_its_name() -> None:
    testing.assert_holds("beats:ft-concat@untrained", "round trip")


def test_a_loaded_network_is_saved_with_all_its_settings(save: Save, tmp_path: Path) -> None:
    load(f"beats@{save(something_new=3)}").save(tmp_path / "again.pt")
    again = torch.load(tmp_path / "again.pt", weights_only=True)
    assert again["cfg"] == settings(something_new=3)
    assert all(torch.equal(again["model"][key], value) for key, value in published().items())


@pytest.mark.parametrize("name", ["beats@FILE", "beats:concat@FILE"])
def test_nothing_in_it_is_trained(small: Path, name: str) -> None:
    network = load(name.replace("FILE", str(small))).network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
