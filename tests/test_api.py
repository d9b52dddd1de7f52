"""The Python API of the README."""

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

import harness
from harness.results import COLUMNS


def test_an_upstream_gives_one_tensor_per_layer_and_the_final_one(noise: Callable[..., Tensor]) -> None:
    layers = harness.upstream("ssamba:tiny@untrained", device="cpu").encode(noise(2, 32_000))
    assert len(layers.hidden) == 13
    assert {layer.shape for layer in layers.hidden} == {layers.final.shape} == {(2, 12, 192)}


def test_the_reference_checkpoint_loads_by_its_path(shared: Path, noise: Callable[..., Tensor]) -> None:
    upstream = harness.upstream(f"ssamba:tiny@{shared / 'golden' / 'ssamba-tiny.pth'}", device="cpu")
    assert upstream.encode(noise(1, 16_000)).final.shape == (1, 6, 192)


def test_a_task_gives_its_record_and_its_clips(shared: Path) -> None:
    task = harness.task("esc50:esc10", data=shared / "data")
    assert (task.record.name, len(task.clips)) == ("esc50:esc10", 400)


@pytest.mark.usefixtures("toys")
def test_results_load_as_a_table(folders: dict[str, str]) -> None:
    result = harness.run("mel", "toy:right", **folders)
    table = harness.results.load(folders["results"])
    assert list(table.columns) == list(COLUMNS)
    assert table.loc[0, "score"] == result.score


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'runs'"):
        harness.runs  # noqa: B018
