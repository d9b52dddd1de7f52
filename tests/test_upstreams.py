"""The upstream contract, over every built-in with small seeded networks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

import harness
from harness.cards import Weights
from harness.models import Upstream
from harness.registry import UpstreamSpec, plugins, published_models
from harness.testing import CHECKS, Subject, examine

Noise = Callable[..., Tensor]

#: Families whose name goes on with a model's: they have their own tests.
OPEN = {"hf", "torchaudio"}
FAMILIES = sorted(set(plugins("upstreams")) - OPEN)
#: Besides every family's default: tokens that take another path through the code.
OTHERS = (
    *("ssamba:s10-concat", "ssamba:superb-expert", "ssast:frame", "ssast:s10-concat", "ssast:superb", "beats:concat"),
    *("aum:concat", "hubert:large", "wavlm:large", "mert:330m", "encodec:48khz", "dac:16khz", "clap:fused"),
    *("ast:speechcommands-concat", "lighthubert:small-middle", "wav2vec2:xlsr"),
)
#: What a small network makes of a fixed wave: its revision, the first number and the last of ``final``.
#: Another value needs another revision, or stored features of two kinds are mixed.
FINGERPRINTS = {
    "armhubert": ("1", 0.149991, 0.326942),
    "ast": ("1", -0.571698, -0.184148),
    "aum": ("2", 0.164742, 0.160528),
    "aves": ("1", 0.366341, 0.427225),
    "beats": ("1", -0.520158, 1.08697),
    "clap": ("1", 0.122866, -0.561134),
    "contentvec": ("1", 0.366341, 0.427225),
    "crepe": ("1", 0.00123805, 0),
    "dac": ("1", 0.00253374, -0.00436284),
    "data2vec_audio": ("1", 0.620191, -1.2608),
    "dinosr": ("1", 0.620191, -1.2608),
    "encodec": ("1", 0.0200071, -0.0274905),
    "hubert": ("1", 0.366617, 0.427376),
    "lighthubert": ("1", 0.139401, -0.384716),
    "mel": ("1", -13.2638, 4.76603),
    "mert": ("1", 0.366617, 0.427376),
    "mfcc": ("1", -56.2034, 1.63592),
    "music2vec": ("1", 0.620191, -1.2608),
    "ssamba": ("2", 1.00697, -0.390771),
    "ssast": ("1", 1.07355, -0.431761),
    "unispeech_sat": ("1", 0.859632, 0.782585),
    "wav2vec2": ("1", 0.859566, 0.782526),
    "wav2vec2_bert": ("1", 0.447487, -0.686437),
    "wavlm": ("1", 0.136922, -0.0875403),
    "whisper": ("1", -0.959658, 1.1644),
}


@cache
def subject(name: str) -> Subject:
    spec = UpstreamSpec.parse(name)
    weights = Weights("untrained", "untrained", "untrained-0", small=True) if spec.cls.reads else Weights("none")
    return Subject(replace(spec, weights_text=weights.label or None), weights, quick=True)


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Networks are kept for all checks of a name, and not beyond this file."""
    yield
    subject.cache_clear()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", [*FAMILIES, *OTHERS])
def test_every_built_in_keeps_the_contract(name: str, check: str) -> None:
    finding = examine(subject(name), check)
    assert not finding.change, finding


@pytest.mark.parametrize("name", FAMILIES)
def test_the_output_is_what_this_revision_has_always_given(name: str, tones: Callable[[int], Tensor]) -> None:
    upstream = subject(name).upstream
    final = upstream.encode(tones(24_000)[None]).final
    revision, first, last = FINGERPRINTS[name]
    assert upstream.revision == revision
    assert (float(final[0, 0, 0]), float(final[0, -1, -1])) == pytest.approx((first, last), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_published_model_has_a_name_that_runs_it_and_a_record(family: str) -> None:
    for name in published_models(family):
        spec = UpstreamSpec.parse(name)
        assert spec.variant is not None
        assert spec.card.paper
        assert spec.card.licence
        assert spec.card.training.sets or spec.card.training.note or spec.card.training.how == "none"
        assert len(spec.variant.widths) >= 1


@pytest.mark.parametrize(
    "wave", [torch.ones(100), torch.ones(1, 0), torch.ones(0, 5), torch.ones(1, 9, dtype=torch.int)]
)
def test_a_wave_of_another_shape_is_refused(wave: Tensor, refused: Callable[[str], object]) -> None:
    with refused("floats of shape"):  # type: ignore[attr-defined]
        subject("mel").upstream.encode(wave)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_samples_that_are_not_finite_are_refused(value: float, noise: Noise, refused: Callable[[str], object]) -> None:
    wave = noise(1, 1000)
    wave[0, 500] = value
    with refused("not finite"):  # type: ignore[attr-defined]
        subject("mel").upstream.encode(wave)


@pytest.fixture(scope="module")
def limited() -> Upstream:
    """An upstream that takes clips of ten seconds at most."""
    return harness.upstream("ssamba:tiny@untrained", device="cpu")


def test_a_long_clip_is_cut_in_equal_windows_whose_frames_follow_each_other(limited: Upstream, noise: Noise) -> None:
    assert limited.longest is not None
    wave = noise(2, 2 * limited.longest + 1000)
    window = -(-wave.shape[-1] // 3)
    windows = limited.encode_in_windows(wave, clips_at_once=2)
    first = limited.encode(wave[:, :window])
    assert windows.final.shape[1] == 3 * first.final.shape[1]
    # The mean over the clip is taken away before the clip is cut, which moves nothing but the last bits.
    torch.testing.assert_close(windows.final[:, : first.final.shape[1]], first.final, rtol=1e-2, atol=1e-2)


def test_a_clip_within_the_limit_is_not_cut(limited: Upstream, noise: Noise) -> None:
    wave = noise(1, 32_000)
    assert torch.equal(limited.encode_in_windows(wave).final, limited.encode(wave).final)
