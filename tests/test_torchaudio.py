"""The models of torchaudio: against transformers where torchaudio can be imported, and what is said where it cannot."""

import importlib
import re
import sys
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from email.message import Message
from fractions import Fraction
from http.client import IncompleteRead, RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from harness.cards import Weights
from harness.registry import UpstreamSpec, published_models
from harness.testing import CHECKS, Subject, examine
from harness.upstreams.torchaudio import UPSTREAM, _small

Noise = Callable[..., Tensor]
Refused = Callable[[str], AbstractContextManager[None]]

#: One bundle of each form: norm of the convolutions, place of the blocks' norms, kind of attention.
FORMS = ("WAV2VEC2_BASE", "WAV2VEC2_LARGE_LV60K", "HUBERT_BASE", "HUBERT_LARGE", "WAVLM_BASE", "WAVLM_LARGE")

PIPELINES = """
class Wav2Vec2Bundle:
    def __init__(self, path, labels=None):
        self._path, self._params = path, {"aux_num_out": labels}

HUBERT_BASE = Wav2Vec2Bundle("hubert.pth")
ELSEWHERE = Wav2Vec2Bundle("https://example.org/models/elsewhere.pt")
HUBERT_ASR_LARGE = Wav2Vec2Bundle("asr.pth", 29)
SQUIM = "something else"
__all__ = ["Wav2Vec2Bundle", "HUBERT_BASE", "ELSEWHERE", "HUBERT_ASR_LARGE", "SQUIM"]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts a stand-in of torchaudio in place whose package runs some code when it is imported."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
            monkeypatch.delitem(sys.modules, name)

    def put(code: str) -> None:
        folder = tmp_path / "site" / "torchaudio"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(code)
        (folder / "pipelines.py").write_text(PIPELINES)
        monkeypatch.syspath_prepend(str(folder.parent))

    forget()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    yield put
    for name in ("torchaudio", "torchaudio.pipelines"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def pipelines() -> Any:
    """The real ``torchaudio.pipelines``."""
    try:
        return importlib.import_module("torchaudio.pipelines")
    except (ImportError, OSError, RuntimeError) as error:
        pytest.skip(f"torchaudio cannot be imported here: {error}")


def small(bundle: str, path: Path | None = None) -> Any:
    """A small network of a bundle's form, seeded or from a file that one such has saved."""
    kind: Any = "untrained" if path is None else "file"
    label = "untrained" if path is None else path.name
    return UPSTREAM(Weights(kind, label, "identity", path, small=True), torch.device("cpu"), bundle=bundle)


# What is said without it.


def test_where_torchaudio_is_absent_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with refused(r"needs torchaudio.*pip install 'frozen-audio-harness\[torchaudio\]'$"):
        UPSTREAM(Weights("untrained"), torch.device("cpu"), bundle="HUBERT_BASE")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise OSError('libc10_cuda.so: cannot open shared object file')", "libc10_cuda.so: cannot open"),
        ("raise ImportError('Failed to load libtorchaudio')", "Failed to load libtorchaudio"),
        ("raise RuntimeError('Other CUDA versions. Install\\nanother.')", "(Other CUDA versions)"),
        ("import not_there", "No module named 'not_there'"),
    ],
)
def test_where_torchaudio_is_broken_one_sentence_says_how(
    install: Callable[[str], None], refused: Refused, code: str, said: str
) -> None:
    install(code)
    spec = UpstreamSpec.parse("torchaudio:HUBERT_BASE")
    with refused(f"{re.escape(said)}.*pip install"):
        spec.weights(lambda path: path.name)


def test_the_models_are_listed_without_torchaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    row = published_models("torchaudio")["torchaudio:WAVLM_BASE_PLUS"]
    assert row["parameters"] == "94.4 M"
    assert row["training data"] == "self-supervised: Libri-Light, GigaSpeech, VoxPopuli"


def test_the_card_is_that_of_the_model_in_the_name() -> None:
    assert UpstreamSpec.parse("torchaudio:HUBERT_LARGE").card.training.sets == ("Libri-Light",)
    assert UpstreamSpec.parse("torchaudio:WAVLM_LARGE@file.pt").card.paper == "arXiv 2110.13900"


def test_a_name_without_a_model_is_refused(refused: Refused) -> None:
    with refused("write torchaudio:NAME"):
        UpstreamSpec.parse("torchaudio@file.pt")


# Its own downloads.


@pytest.mark.parametrize("name", ["HUBERT_BAS", "SQUIM", "HUBERT_ASR_LARGE", "Wav2Vec2Bundle", "__all__"])
def test_only_self_supervised_models_are_taken(install: Callable[[str], None], refused: Refused, name: str) -> None:
    install("")
    with refused(f"no self-supervised model '{name}'.*there is ELSEWHERE, HUBERT_BASE$"):
        UPSTREAM.published(bundle=name)


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("Name or service not known"),
        urllib.error.HTTPError("https://example.org", 403, "Forbidden. Go away", Message(), None),
        RemoteDisconnected("closed"),
        IncompleteRead(b""),
        PermissionError(13, "denied"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_weights_that_cannot_be_downloaded_are_named_with_their_address(
    install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, refused: Refused, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    install("")
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with refused(
        r"https://download.pytorch.org/torchaudio/models/hubert.pth, cannot be had "
        rf"\({type(error).__name__}\).*torchaudio:HUBERT_BASE@FILE"
    ):
        UpstreamSpec.parse("torchaudio:HUBERT_BASE").weights(lambda path: path.name)


def test_weights_are_downloaded_once_into_torchs_cache(
    install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def download(url: str, path: str, *, progress: bool) -> None:
        asked.append((url, progress))
        Path(path).write_text(url)

    install("")
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    spec = UpstreamSpec.parse("torchaudio:ELSEWHERE")
    for _ in range(2):
        weights = spec.weights(lambda path: f"the hash of {path.read_text()}")
    assert asked == [("https://example.org/models/elsewhere.pt", False)]
    assert weights.path == tmp_path / "torch" / "hub" / "checkpoints" / "elsewhere.pt"
    assert weights.identity == "the hash of https://example.org/models/elsewhere.pt"


# The models, where torchaudio can be imported.


def twin(network: Any, bundle: str, params: Mapping[str, Any]) -> Any:
    """The same network as a model of transformers, its keys mapped one by one."""
    kind = {"WAV2VEC2": "Wav2Vec2", "HUBERT": "Hubert", "WAVLM": "WavLM"}[bundle.partition("_")[0]]
    channels, taps, strides = zip(*params["extractor_conv_layer_config"], strict=True)
    buckets = {"num_buckets": 320, "max_bucket_distance": 800} if kind == "WavLM" else {}
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=params["encoder_embed_dim"],
        num_hidden_layers=params["encoder_num_layers"],
        num_attention_heads=params["encoder_num_heads"],
        intermediate_size=params["encoder_ff_interm_features"],
        conv_dim=channels,
        conv_kernel=taps,
        conv_stride=strides,
        conv_bias=params["extractor_conv_bias"],
        feat_extract_norm=params["extractor_mode"].removesuffix("_norm"),
        do_stable_layer_norm=params["encoder_layer_norm_first"],
        num_conv_pos_embeddings=params["encoder_pos_conv_kernel"],
        num_conv_pos_embedding_groups=params["encoder_pos_conv_groups"],
        **buckets,
    )
    model = getattr(transformers, f"{kind}Model")(config).eval()
    state = {"masked_spec_embed": model.masked_spec_embed.data}
    for key, value in network.state_dict().items():
        key = key.replace("encoder.feature_projection.", "feature_projection.").replace(
            "encoder.transformer.", "encoder."
        )
        key = key.replace("attention.attention.", "attention.")
        if "in_proj_" in key:
            state |= {
                key.replace("in_proj_", f"{q}_proj."): part for q, part in zip("qkv", value.chunk(3), strict=True)
            }
        else:
            state[key] = value
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("bundle", FORMS)
def test_transformers_gives_the_same_layers(pipelines: Any, noise: Noise, bundle: str) -> None:
    upstream, wave = small(bundle), noise(1, 9000)
    layers = upstream.encode(wave)
    with torch.no_grad():
        model = twin(upstream.network, bundle, _small(getattr(pipelines, bundle)._params))
        expected = model(upstream.normalise(wave), output_hidden_states=True)
    bound = 1e-5 if bundle.startswith("WAVLM") else 0.0  # WavLM's attention is another function there
    pairs = [*zip(layers.hidden, expected.hidden_states, strict=True), (layers.final, expected.last_hidden_state)]
    assert max(float((a - b).abs().max()) for a, b in pairs) <= bound


@pytest.mark.parametrize("bundle", FORMS)
def test_torchaudio_itself_gives_the_same_layers(pipelines: Any, noise: Noise, bundle: str) -> None:
    upstream, wave = small(bundle), noise(1, 9000)
    utils = importlib.import_module("torchaudio.pipelines._wav2vec2.utils")
    model = utils._extend_model(upstream.network, normalize_waveform=getattr(pipelines, bundle)._normalize_waveform)
    layers = upstream.encode(wave)
    for layer, expected in zip(layers.hidden[1:], model.extract_features(wave)[0], strict=True):
        assert torch.equal(layer, expected)
    assert torch.equal(layers.final, model(wave)[0])


def test_each_clip_is_normalised_by_itself(pipelines: Any, noise: Noise) -> None:
    upstream = small("HUBERT_LARGE")
    waves = upstream.normalise(torch.cat([noise(1, 5000), 3 + 10 * noise(1, 5000, seed=1)]))
    torch.testing.assert_close(waves.mean(-1), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(waves.var(-1, correction=0), torch.ones(2), rtol=1e-2, atol=0)


def test_a_base_model_takes_the_wave_as_it_is(pipelines: Any, noise: Noise) -> None:
    wave = noise(1, 100)
    assert small("HUBERT_BASE").normalise(wave) is wave


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(1, 1), (399, 1), (400, 1), (719, 1), (720, 2), (16_000, 49), (80_000, 249), (163_840, 511)],
)
def test_frames_are_25_ms_long_and_20_ms_apart(pipelines: Any, noise: Noise, samples: int, frames: int) -> None:
    upstream = small("WAV2VEC2_BASE")
    assert (upstream.shortest, upstream.frame_rate, upstream.frame_offset) == (400, 50, Fraction(1, 80))
    assert upstream.encode(noise(1, samples)).final.shape == (1, frames, 32)


@pytest.mark.parametrize("bundle", FORMS)
def test_a_saved_network_gives_the_same_bits(pipelines: Any, noise: Noise, tmp_path: Path, bundle: str) -> None:
    upstream, path, wave = small(bundle), tmp_path / "file.pt", noise(1, 3000)
    with torch.no_grad():
        for value in upstream.network.state_dict().values():
            value.add_(0.01 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1)))
    upstream.save(path)
    again = small(bundle, path)
    for (_, a), (_, b) in zip(upstream.encode(wave).named(), again.encode(wave).named(), strict=True):
        assert torch.equal(a, b)


def test_a_file_may_name_normed_weights_as_torch_did_of_old(pipelines: Any, noise: Noise, tmp_path: Path) -> None:
    upstream, wave = small("HUBERT_BASE"), noise(1, 3000)
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    state = upstream.network.state_dict()
    for key in [key for key in state if "parametrizations" in key]:
        head, _, tail = key.partition("parametrizations")
        state[head + old[f"parametrizations{tail}"]] = state.pop(key)
    assert sum(key.endswith(("weight_g", "weight_v")) for key in state) == 2
    torch.save(state, tmp_path / "old.pth")
    assert torch.equal(small("HUBERT_BASE", tmp_path / "old.pth").encode(wave).final, upstream.encode(wave).final)


def test_a_file_of_another_model_is_refused(pipelines: Any, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "other.pt"
    small("WAVLM_BASE").save(path)
    with refused("other.pt lacks the keys 'encoder.transformer.layers.0.attention.k_proj.bias'"):
        small("HUBERT_BASE", path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("surprise", torch.ones(3), "has the key 'surprise'"),
        ("encoder.transformer.layer_norm.bias", None, "lacks the key 'encoder.transformer.layer_norm.bias'"),
        (
            "encoder.transformer.layer_norm.bias",
            torch.ones(33),
            r"'encoder.transformer.layer_norm.bias' of shape \(33,\)",
        ),
        ("encoder.transformer.layer_norm.bias", "text", "'encoder.transformer.layer_norm.bias' of shape"),
    ],
    ids=["one too many", "one too few", "another shape", "no tensor"],
)
def test_a_damaged_file_is_refused(
    pipelines: Any, tmp_path: Path, refused: Refused, key: str, value: Any, said: str
) -> None:
    state = {**small("HUBERT_BASE").network.state_dict(), key: value}
    torch.save({name: each for name, each in state.items() if each is not None}, tmp_path / "damaged.pt")
    with refused(said):
        small("HUBERT_BASE", tmp_path / "damaged.pt")


@pytest.mark.parametrize("check", sorted({*CHECKS} - {"round trip", "damaged"}))
@pytest.mark.parametrize("bundle", FORMS)
def test_the_contract_is_kept(pipelines: Any, bundle: str, check: str) -> None:
    weights = Weights("untrained", "untrained", "untrained-0", small=True)
    finding = examine(Subject(UpstreamSpec.parse(f"torchaudio:{bundle}@untrained"), weights, quick=True), check)
    assert not finding.change, finding


def test_an_untrained_network_is_the_same_every_time(pipelines: Any, noise: Noise) -> None:
    wave, finals = noise(1, 3000), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        finals.append(small("WAVLM_BASE").encode(wave).final)
    assert torch.equal(*finals)


def test_the_list_is_what_torchaudio_has(pipelines: Any) -> None:
    models = importlib.import_module("torchaudio.models")
    bundles = {name: getattr(pipelines, name) for name in pipelines.__all__}
    found = {
        name: bundle
        for name, bundle in bundles.items()
        if isinstance(bundle, pipelines.Wav2Vec2Bundle) and not isinstance(bundle, pipelines.Wav2Vec2ASRBundle)
    }
    assert set(found) == set(UPSTREAM.variants)
    for name, bundle in found.items():
        kind = models.wavlm_model if name.startswith("WAVLM") else models.wav2vec2_model
        with torch.device("meta"):
            network = kind(**bundle._params)
        listed = UPSTREAM.variants[name]
        assert listed.parameters == round(sum(p.numel() for p in network.parameters()) / 1e6, 2)
        assert listed.widths == (bundle._params["encoder_embed_dim"],) * (1 + bundle._params["encoder_num_layers"])
