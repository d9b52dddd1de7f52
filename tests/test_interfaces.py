"""Interfaces: what must be stored, what a head is given, and what is refused."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from harness.errors import NotApplicable, UserError
from harness.features import Frames, Pooled
from harness.interfaces import INTERFACES, POOLINGS, Interface
from harness.joins import build
from harness.models import Layers
from harness.store import FeatureStore
from harness.views import View

Refused = Callable[[str], AbstractContextManager[None]]
Noise = Callable[..., Tensor]
Stored = Mapping[str, Sequence[Tensor]]

SINGLE = ("last", "layer:1")
#: Every interface there is, written out.
POOLED = (
    *("best-layer", *SINGLE, "mean", "concat", "weighted-sum", "conv-mean"),
    *("best-layer/mean-std", "last/mean-std", "layer:1/mean-std", "concat/mean-std"),
)
JOINED = (*SINGLE, "mean", "concat", "weighted-sum", "conv")
FRAMES = ("conv", *(f"{layers}/{pooling}" for layers, pooling in product(JOINED, ("attention", "frames"))))
#: Frames of each clip, number of numbered layers, width of a layer.
LENGTHS, COUNT, WIDTH = (5, 1, 9, 4), 4, 6
LABELS = tuple(map(str, range(COUNT)))


@pytest.fixture
def clips(noise: Noise) -> list[Layers]:
    """One batch per clip, far from mean 0 and variance 1; ``final`` is wider."""

    def layers(clip: int, frames: int) -> Layers:
        hidden = tuple(3 * noise(1, frames, WIDTH, seed=10 * clip + i) + i - 1 for i in range(COUNT))
        return Layers(hidden, noise(1, frames, WIDTH + 2, seed=10 * clip + 9) + 2)

    return [layers(clip, frames) for clip, frames in enumerate(LENGTHS)]


def stored(view: View, clips: Sequence[Layers], folder: Path) -> Stored:
    """What the store gives back of some clips."""
    names = view.layers or (*LABELS, "final")
    kept = [view.reduce(clip, names) for clip in clips]
    keys = [f"clip{i}" for i in range(len(clips))]
    with closing(FeatureStore(folder)) as store:
        shelf = store.shelf({"view": str(view)})
        shelf.put(keys, {name: [layers[name][0] for layers in kept] for name in names})
        return shelf.get(keys)


# What the names mean.


@pytest.mark.parametrize("text", [*POOLED, *FRAMES])
def test_an_interface_is_written_as_it_is_read(text: str) -> None:
    assert str(Interface.parse(text)) == text


def test_there_are_no_other_interfaces_than_these() -> None:
    found = set()
    for layers, pooling in product(INTERFACES, ("", *POOLINGS)):
        text = f"{layers.replace('K', '1')}/{pooling}" if pooling else layers.replace("K", "1")
        try:
            found.add(str(Interface.parse(text)))
        except UserError:
            continue
    assert found == {*POOLED, *FRAMES}


def test_a_number_of_a_layer_is_written_without_noughts() -> None:
    assert Interface.parse("layer:007/attention") == Interface("layer:7", "attention")


@pytest.mark.parametrize("text", ["", "Last", "last ", "last\n", "sum", "0..L", "final", "/mean-std", "weighted sum"])
def test_what_is_no_interface_is_refused(text: str, refused: Refused) -> None:
    with refused("there is no interface .*there is best-layer, concat, conv, conv-mean, last, layer:K, mean, weighted"):
        Interface.parse(text)


def test_a_name_that_is_nearly_right_is_understood_and_refused(refused: Refused) -> None:
    with refused("did you mean 'weighted-sum'"):
        Interface.parse("weightedsum")


@pytest.mark.parametrize("number", ["K", "", "-1", "1.5", "1,2", "\u0663", "1\n", "9" * 5000])
def test_what_is_no_number_of_a_layer_is_refused(number: str, refused: Refused) -> None:
    with refused("in layer:K, K is the number of a layer"):
        Interface.parse(f"layer:{number}")


@pytest.mark.parametrize("pooling", ["", "max", "mean", "frames\n", "attention/frames", "Frames"])
def test_what_is_no_pooling_is_refused(pooling: str, refused: Refused) -> None:
    with refused("of poolings, .*there is attention, frames, mean-std"):
        Interface.parse(f"last/{pooling}")


@pytest.mark.parametrize(
    ("text", "there_is"),
    [
        ("weighted-sum/mean-std", "with mean-std there is best-layer/mean-std, last/mean-std, layer:K/mean-std"),
        ("conv/mean-std", "with mean-std there is best-layer/mean-std"),
        ("best-layer/attention", "with attention there is last/attention, layer:K/attention, mean/attention"),
        ("best-layer/frames", "with frames there is last/frames"),
        ("conv-mean/frames", "with frames there is last/frames"),
    ],
)
def test_layers_that_cannot_be_pooled_so_are_refused_with_what_can(text: str, there_is: str, refused: Refused) -> None:
    with refused(there_is):
        Interface.parse(text)


@pytest.mark.parametrize("names", [INTERFACES, POOLINGS])
def test_every_name_is_explained_in_a_line(names: Mapping[str, str]) -> None:
    assert all(len(f"{name}: {text}") < 120 and "\n" not in text for name, text in names.items())


# What it asks of a head.


@pytest.mark.parametrize(
    ("text", "join", "pool", "learns"),
    [
        ("best-layer", "one", "mean", False),
        ("last", "one", "mean", False),
        ("layer:1", "one", "mean", False),
        ("mean", "one", "mean", False),
        ("concat", "one", "mean", False),
        ("weighted-sum", "weighted-sum", "mean", True),
        ("conv", "conv", "mean", True),
        ("conv-mean", "conv", "mean", True),
        ("concat/mean-std", "one", "mean", False),
        ("last/attention", "one", "attention", True),
        ("concat/attention", "one", "attention", True),
        ("mean/attention", "mean", "attention", True),
        ("weighted-sum/attention", "weighted-sum", "attention", True),
        ("conv/attention", "conv", "attention", True),
        ("layer:1/frames", "one", "none", False),
        ("mean/frames", "mean", "none", False),
        ("weighted-sum/frames", "weighted-sum", "none", True),
        ("conv/frames", "conv", "none", True),
    ],
)
def test_join_and_pool_are_left_to_the_head(text: str, join: str, pool: str, learns: bool) -> None:
    interface = Interface.parse(text)
    assert (interface.join, interface.pool, interface.learns) == (join, pool, learns)


@pytest.mark.parametrize("text", [*POOLED, *FRAMES])
def test_only_what_has_weights_is_said_to_learn(text: str) -> None:
    interface = Interface.parse(text)
    readout = build(interface.join, interface.pool, COUNT, WIDTH)
    assert interface.learns == (sum(p.numel() for p in readout.parameters()) > 0)


# What must be stored.


@pytest.mark.parametrize("own", ["mean", "mean-ln"])
@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("best-layer", "mean{}"),
        ("last", "mean{}"),
        ("layer:1", "mean{}"),
        ("mean", "mean{}"),
        ("weighted-sum", "mean{}"),
        ("conv-mean", "mean{}"),
        ("best-layer/mean-std", "mean-std{}"),
        ("concat/mean-std", "mean-std{}"),
        ("last/attention", "frames{}[final]:float16"),
        ("layer:1/frames", "frames{}[1]:float16"),
        ("conv", "frames{}[0,1,2,3]:float16"),
        ("mean/attention", "frames{}[0,1,2,3]:float16"),
        ("concat/frames", "frames{}[0,1,2,3]:float16"),
        ("weighted-sum/frames", "frames{}[0,1,2,3]:float16"),
    ],
)
def test_what_is_stored_follows_the_upstreams_own_view(text: str, own: str, view: str) -> None:
    found = Interface.parse(text).view(View.parse(own), COUNT)
    assert str(found) == view.format(own.removeprefix("mean"))


@pytest.mark.parametrize("text", [*POOLED, *FRAMES])
def test_frames_are_stored_only_where_they_are_needed(text: str) -> None:
    interface = Interface.parse(text)
    assert interface.needs_frames == (text in FRAMES) == (interface.view(View("mean"), COUNT).pool == "frames")


# What a head is given.


def given(text: str, clips: Sequence[Layers], folder: Path, own: str = "mean") -> dict[str, Pooled | Frames]:
    interface = Interface.parse(text)
    found = interface.present(stored(interface.view(View.parse(own), COUNT), clips, folder))
    out: dict[str, Pooled | Frames] = {}
    for label, features in found.items():
        assert isinstance(features, Pooled | Frames)
        out[label] = features
    return out


def by_hand(clip: Layers, name: str) -> npt.NDArray[np.float64]:
    """(frame, width) of one layer, in float64."""
    out: npt.NDArray[np.float64] = dict(clip.named())[name][0].double().numpy()
    return out


@pytest.mark.parametrize("text", [*POOLED, *FRAMES])
@pytest.mark.parametrize("own", ["mean", "mean-ln"])
def test_a_head_is_given_every_clip_in_labelled_layers(
    clips: list[Layers], tmp_path: Path, text: str, own: str
) -> None:
    labels = {"best-layer": (*LABELS, "final"), "last": ("final",), "layer:1": ("1",)}
    found = given(text, clips, tmp_path, own)
    assert tuple(found) == labels.get(text.partition("/")[0], ("0..3",))
    for features in found.values():
        assert len(features) == len(clips)
        assert isinstance(features, Frames if text in FRAMES else Pooled)


@pytest.mark.parametrize("text", ["best-layer", "last", "layer:1"])
def test_a_layer_by_itself_is_its_mean_over_time(clips: list[Layers], tmp_path: Path, text: str) -> None:
    for label, features in given(text, clips, tmp_path).items():
        assert isinstance(features, Pooled)
        expected = [by_hand(clip, label).mean(0) for clip in clips]
        np.testing.assert_allclose(features.vectors, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", ["best-layer/mean-std", "last/mean-std", "layer:1/mean-std"])
def test_a_layer_by_itself_may_be_its_statistics(clips: list[Layers], tmp_path: Path, text: str) -> None:
    for label, features in given(text, clips, tmp_path).items():
        assert isinstance(features, Pooled)
        frames = [by_hand(clip, label) for clip in clips]
        expected = [np.concatenate([x.mean(0), x.std(0)]) for x in frames]
        np.testing.assert_allclose(features.vectors, expected, rtol=1e-4, atol=1e-6)


def test_the_mean_of_layers_is_taken_at_once(clips: list[Layers], tmp_path: Path) -> None:
    features = given("mean", clips, tmp_path)["0..3"]
    assert isinstance(features, Pooled)
    expected = [np.mean([by_hand(clip, name).mean(0) for name in LABELS], axis=0) for clip in clips]
    np.testing.assert_allclose(features.vectors, expected, rtol=1e-5, atol=1e-6)


def test_layers_side_by_side_follow_their_numbers(clips: list[Layers], tmp_path: Path) -> None:
    features = given("concat", clips, tmp_path)["0..3"]
    assert isinstance(features, Pooled)
    expected = [np.concatenate([by_hand(clip, name).mean(0) for name in LABELS]) for clip in clips]
    np.testing.assert_allclose(features.vectors, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", ["weighted-sum", "conv-mean"])
def test_layers_that_a_head_joins_are_given_in_the_order_of_their_numbers(
    clips: list[Layers], tmp_path: Path, text: str
) -> None:
    features = given(text, clips, tmp_path)["0..3"]
    assert isinstance(features, Pooled)
    expected = [[by_hand(clip, name).mean(0) for name in LABELS] for clip in clips]
    np.testing.assert_allclose(features.array, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", [text for text in FRAMES if not text.startswith("concat")])
def test_frames_are_those_of_the_layers_in_float16(clips: list[Layers], tmp_path: Path, text: str) -> None:
    ((label, features),) = given(text, clips, tmp_path).items()
    names = LABELS if label == "0..3" else (label,)
    batch = features.batch(np.arange(len(clips)))
    for row, clip in enumerate(clips):
        expected = np.stack([by_hand(clip, name) for name in names], axis=1)
        assert np.array_equal(batch.x[row, : LENGTHS[row]].numpy(), expected.astype(np.float16))


def test_frames_side_by_side_follow_their_numbers(clips: list[Layers], tmp_path: Path) -> None:
    features = given("concat/frames", clips, tmp_path)["0..3"]
    assert (features.layers, features.width) == (1, COUNT * WIDTH)
    expected = np.concatenate([by_hand(clips[2], name) for name in LABELS], axis=1)
    assert np.array_equal(features.batch(np.array([2])).x[0, :, 0].numpy(), expected.astype(np.float16))


@pytest.mark.parametrize(
    "text",
    ["concat", "concat/frames", "concat/mean-std", "best-layer", "best-layer/mean-std", "layer:1/attention"],
)
def test_layers_may_differ_in_width_where_they_are_not_added(
    clips: list[Layers], tmp_path: Path, noise: Noise, text: str
) -> None:
    wider = [Layers((noise(1, len(c.final[0]), 11), *c.hidden[1:]), c.final) for c in clips]
    times = 2 if "std" in text else 1
    widths = {"0": 11, "1": 6, "2": 6, "3": 6, "final": 8, "0..3": 29}
    for label, features in given(text, wider, tmp_path).items():
        assert (features.layers, features.width) == (1, times * widths[label])


@pytest.mark.parametrize("text", ["best-layer", "best-layer/mean-std"])
def test_a_final_that_is_the_last_layer_again_is_no_candidate(clips: list[Layers], tmp_path: Path, text: str) -> None:
    same = [Layers(clip.hidden, clip.hidden[-1]) for clip in clips]
    assert tuple(given(text, same, tmp_path)) == LABELS


def test_a_final_that_differs_in_one_clip_is_a_candidate(clips: list[Layers], tmp_path: Path) -> None:
    nearly = [Layers(clip.hidden, clip.hidden[-1] + (i == 2)) for i, clip in enumerate(clips)]
    assert tuple(given("best-layer", nearly, tmp_path)) == (*LABELS, "final")


@pytest.mark.parametrize("text", ["mean", "weighted-sum"])
def test_frames_pooled_by_the_head_are_what_is_stored_pooled(clips: list[Layers], tmp_path: Path, text: str) -> None:
    """Where nothing between frames and head is curved, the order of the two averages does not matter."""
    frames = Interface(text, "frames").present(stored(View.parse("frames[all]:float32"), clips, tmp_path / "frames"))
    pooled = given(text, clips, tmp_path / "pooled")
    rows = np.arange(len(clips))
    late = build(text, "mean", COUNT, WIDTH)(*frames["0..3"].batch(rows))
    early = build(Interface(text).join, "mean", pooled["0..3"].layers, WIDTH)(*pooled["0..3"].batch(rows))
    torch.testing.assert_close(late, early)


# What an upstream cannot give.


@pytest.mark.parametrize("text", [*POOLED, *FRAMES])
def test_layers_of_one_width_suit_every_interface(text: str) -> None:
    Interface.parse(text).check([WIDTH] * 3)


@pytest.mark.parametrize("pooling", ["", *POOLINGS])
def test_a_layer_that_is_not_there_is_refused(pooling: str, refused: Refused) -> None:
    with refused("there is no layer 3: this upstream has layers 0 to 2"):
        Interface("layer:3", pooling).check([5, 5, 5])


@pytest.mark.parametrize("text", ["mean", "weighted-sum", "conv", "conv-mean", "mean/frames", "weighted-sum/attention"])
def test_layers_that_differ_in_width_are_not_added(text: str, refused: Refused) -> None:
    with refused(f"{text} needs layers of one width, and this upstream's differ: use best-layer, last, layer:K or"):
        Interface.parse(text).check([5, 6, 5])


@pytest.mark.parametrize("text", ["best-layer", "last", "layer:2", "concat", "concat/frames", "best-layer/mean-std"])
def test_layers_that_differ_in_width_suit_what_adds_none(text: str) -> None:
    Interface.parse(text).check([5, 6, 5])


@pytest.mark.parametrize("text", ["conv", "conv-mean", "conv/attention", "conv/frames"])
@pytest.mark.parametrize("layers", [1, 2])
def test_two_layers_are_too_few_to_convolve(text: str, layers: int, refused: Refused) -> None:
    with refused(f"{text} needs 3 layers or more, and this upstream has {layers}"):
        Interface.parse(text).check([5] * layers)


@pytest.mark.parametrize(
    ("text", "widths"), [("layer:9", [5, 5, 5]), ("weighted-sum", [5, 6]), ("conv", [5, 5]), ("mean", [6, 5])]
)
def test_what_one_upstream_lacks_is_told_from_what_is_wrong_everywhere(text: str, widths: list[int]) -> None:
    with pytest.raises(NotApplicable):
        Interface.parse(text).check(widths)


def test_names_are_read_without_loading_torch() -> None:
    code = (
        "import sys; from harness.interfaces import Interface; from harness.views import View; "
        "Interface.parse('conv/attention').view(View.parse('mean-ln'), 13); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
