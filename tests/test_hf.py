"""Folders and repositories of the Hugging Face hub: whatever is in them, run by the right upstream or refused."""

import json
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from torch import Tensor

import harness
from harness.cards import Hub
from harness.models import Upstream
from harness.registry import UpstreamSpec
from harness.store import file_hash
from harness.testing import CHECKS, Subject, examine
from harness.upstreams import hf

Noise = Callable[..., Tensor]
Refused = Callable[[str], AbstractContextManager[None]]

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
WAVE = {**SIZES, "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
#: Class, its settings, its feature extractor.
MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "hubert": ("HubertModel", WAVE, "Wav2Vec2FeatureExtractor"),
    "unispeech": ("UniSpeechModel", WAVE, "Wav2Vec2FeatureExtractor"),
    "conformer": ("Wav2Vec2ConformerModel", WAVE, "Wav2Vec2FeatureExtractor"),
    "sew": ("SEWModel", WAVE | {"conv_dim": (16,) * 13}, "Wav2Vec2FeatureExtractor"),
    "parakeet": ("ParakeetEncoder", SIZES | {"subsampling_conv_channels": 8}, "ParakeetFeatureExtractor"),
    "bert": ("BertModel", SIZES, "Wav2Vec2FeatureExtractor"),
}
RATES = {"hubert": 50, "unispeech": 50, "conformer": 50, "sew": 25, "parakeet": Fraction(25, 2)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder a model, in the layout of the hub."""
    root = tmp_path_factory.mktemp("models")
    transformers.utils.logging.disable_progress_bar()
    for name, (model, settings, extractor) in MODELS.items():
        torch.manual_seed(1)
        cls = getattr(transformers, model)
        cls(cls.config_class(**settings)).save_pretrained(root / name)
        getattr(transformers, extractor)().save_pretrained(root / name)
    return root


def load(name: str) -> Upstream:
    return harness.upstream(name, device="cpu")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", RATES)
def test_every_encoder_keeps_the_contract(folders: Path, name: str, check: str) -> None:
    with warnings.catch_warnings(action="ignore"):  # transformers' own
        finding = examine(subject(folders / name), check)
    assert not finding.change, finding


@cache
def subject(folder: Path) -> Subject:
    return Subject.of(f"hf:{folder}", quick=True)


@pytest.mark.parametrize("name", [name for name in RATES if name not in ("hubert", "sew")])
def test_the_layers_are_transformers_own(folders: Path, name: str, noise: Noise) -> None:
    model, _, extractor = MODELS[name]
    upstream = load(f"hf:{folders / name}")
    wave = noise(2, 24_000)
    layers = upstream.encode(wave)
    network = getattr(transformers, model).from_pretrained(folders / name).eval()
    front_end = getattr(transformers, extractor).from_pretrained(folders / name)
    front_end.do_normalize = False  # the upstream has done it, over the whole clip
    inputs = front_end(list(upstream.normalise(wave).numpy()), sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        wanted = network(**inputs, output_hidden_states=True)
    assert len(layers.hidden) == len(wanted.hidden_states) == 3
    for got, state in zip(layers.hidden, wanted.hidden_states, strict=True):
        torch.testing.assert_close(got, state, rtol=0, atol=0)
    torch.testing.assert_close(layers.final, wanted.last_hidden_state, rtol=0, atol=0)


@pytest.mark.parametrize("name", RATES)
def test_the_frame_rate_is_measured_or_known(folders: Path, name: str) -> None:
    assert load(f"hf:{folders / name}").frame_rate == RATES[name]


def test_a_type_of_model_with_an_upstream_of_its_own_is_run_by_that(folders: Path, noise: Noise) -> None:
    wave = noise(1, 16_000)
    own, open_ = (load(f"{name}{folders / 'hubert'}").encode(wave) for name in ("hubert@", "hf:"))
    assert torch.equal(own.final, open_.final)
    assert all(torch.equal(a, b) for a, b in zip(own.hidden, open_.hidden, strict=True))


def test_every_type_with_an_upstream_of_its_own_names_one() -> None:
    assert all(UpstreamSpec.parse(name).cls.reads for name in hf.OWN.values())


def test_an_untrained_control_has_the_folders_network_and_not_its_numbers(folders: Path, noise: Noise) -> None:
    wave = noise(1, 16_000)
    real, one, two = (load(f"hf:{folders / 'hubert'}{end}") for end in ("", "@untrained", "@untrained"))
    assert one.parameters == real.parameters
    assert torch.equal(one.encode(wave).final, two.encode(wave).final)
    assert not torch.allclose(one.encode(wave).final, real.encode(wave).final, atol=1e-2)


def test_a_label_shows_a_folders_name_and_a_repository_whole(folders: Path) -> None:
    assert UpstreamSpec.parse(f"hf:{folders / 'sew'}").label == "hf:sew"
    assert UpstreamSpec.parse("hf:facebook/hubert-base-ls960@main").label == "hf:facebook/hubert-base-ls960@main"


def test_two_folders_with_one_name_are_told_apart_by_their_contents(folders: Path, tmp_path: Path) -> None:
    other = tmp_path / "hubert"
    other.mkdir()
    for path in (folders / "hubert").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    same = [UpstreamSpec.parse(f"hf:{each}").weights(file_hash).identity for each in (folders / "hubert", other)]
    assert same[0] == same[1]
    settings = json.loads((other / "preprocessor_config.json").read_text())
    (other / "preprocessor_config.json").write_text(json.dumps(settings | {"do_normalize": False}))
    assert UpstreamSpec.parse(f"hf:{other}").weights(file_hash).identity != same[0]


def test_a_repository_is_fetched_whole(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []

    def fetch(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repo, revision))
        return str(folders / "hubert")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert load("hf:somebody/model@abc").widths == (32,) * 3
    assert asked == [("somebody/model", "abc")]
    assert UpstreamSpec.parse("hf:somebody/model").cls.published(model="somebody/model") == Hub("somebody/model")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("hf:", "ends early|needs the name"),
        ("hf", "needs the name of a model or a folder after a colon: write hf:NAME"),
        ("hf:no/such/folder", "there is no folder 'no/such/folder', and a repository is written hf:ORG/NAME"),
        ("hf:bert", "there is no folder 'bert'"),
    ],
)
def test_a_name_that_is_neither_is_refused(name: str, sentence: str, refused: Refused) -> None:
    with refused(sentence):
        load(name)


def test_a_model_of_text_is_refused(folders: Path, refused: Refused) -> None:
    with refused("bert gives no frames in time that could be placed: hf takes audio encoders"):
        load(f"hf:{folders / 'bert'}")


@pytest.mark.parametrize(
    ("file", "settings", "sentence"),
    [
        ("config.json", {"model_type": "nonsense"}, "of the type 'nonsense', which is no audio encoder"),
        ("config.json", {"model_type": None}, "of the type 'None'"),
        ("preprocessor_config.json", {"feature_extractor_type": "os.system"}, "transformers knows: 'os.system'"),
        (
            "preprocessor_config.json",
            {"feature_extractor_type": "BertTokenizer"},
            "transformers knows: 'BertTokenizer'",
        ),
    ],
)
def test_a_hostile_folder_is_refused(
    folders: Path, tmp_path: Path, file: str, settings: dict[str, Any], sentence: str, refused: Refused
) -> None:
    for path in (folders / "unispeech").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).write_text(json.dumps(json.loads((tmp_path / file).read_text()) | settings))
    with refused(sentence):
        load(f"hf:{tmp_path}")


@pytest.mark.parametrize("name", ["unispeech", "conformer"])
def test_a_long_clip_is_normalised_whole_and_not_window_by_window(folders: Path, name: str, noise: Noise) -> None:
    upstream = load(f"hf:{folders / name}")
    assert upstream.longest is not None
    upstream.longest = 32_000
    wave = noise(1, 64_000)
    wave[:, :32_000] *= 20
    windows = upstream.encode_in_windows(wave).hidden[0]
    quiet = upstream.forward(upstream.normalise(wave)[:, 32_000:]).hidden[0]
    torch.testing.assert_close(windows[:, -quiet.shape[1] :], quiet, rtol=0, atol=1e-5)
    assert float(upstream.normalise(wave).std()) == pytest.approx(1, rel=1e-3)
    assert not upstream.inner.extractor.do_normalize  # type: ignore[attr-defined]


def test_what_a_model_has_learned_from_is_not_known_of_any_folder(folders: Path) -> None:
    assert UpstreamSpec.parse(f"hf:{folders / 'sew'}").card.training.how == "unknown"


def test_the_key_tells_the_revision_of_what_runs_the_folder(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.upstreams.hubert import Hubert

    spec = UpstreamSpec.parse(f"hf:{folders / 'hubert'}")
    weights = spec.weights(file_hash)
    before = spec.cls.revision_of(weights)
    monkeypatch.setattr(Hubert, "revision", "2")
    assert spec.cls.revision_of(weights) != before


def test_a_folder_leaves_no_path_in_a_key(folders: Path) -> None:
    for end in ("", "@untrained"):
        spec = UpstreamSpec.parse(f"hf:{folders / 'hubert'}{end}")
        assert spec.tokens_that_matter(spec.weights(file_hash)) == {}
