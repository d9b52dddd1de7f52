"""Names, and how they become objects."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import harness
from harness.cards import Weights
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


def test_listing_imports_neither_torch_nor_any_plugin() -> None:
    code = (
        "import sys; from harness.cli import app; app(['list'], standalone_mode=False);"
        "assert not {'torch', 'sklearn', 'pandas', 'harness.upstreams.mel', 'harness.tasks.esc50'} & set(sys.modules)"
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
