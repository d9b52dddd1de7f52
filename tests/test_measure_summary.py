"""What is said of measured points."""

from typing import Any

import pytest

from harness.points import Point
from harness.summary import cells, sentences

from measured import point

LENGTHS = (5_000.0, 8_000.0, 10_000.0, 12_500.0)


def preset(upstream: str, attention: str, power: float) -> list[Point]:
    own: dict[str, Any] = {"preset": "ssamba", "way": "image", "attention": attention, "uncounted": {"exp": 1}}
    own |= {"deviations": ("batch 1 instead of 4",)}
    name = f"{upstream}:tiny@untrained"
    return [point(name, n, (n / 5_000) ** power, together=str(n), **own) for n in LENGTHS]


def test_growth_is_told_beside_what_was_published() -> None:
    time, memory, *_ = sentences(preset("ssast", "eager", 1.9))
    assert time == (
        "ssast:tiny@untrained (image, eager): time grows with length to the power 1.90 [1.90, 1.90], "
        "over 4 lengths, 5000 to 12500 tokens; published 2.26 [2.01, 2.51]."
    )
    assert "memory grows with length to the power 1.00" in memory


def test_a_preset_s_pairs_are_compared_with_every_attention_of_the_other() -> None:
    points = [*preset("ssamba", "own", 1.0), *preset("ssast", "eager", 2.0), *preset("ssast", "sdpa", 1.5)]
    told = [sentence for sentence in sentences(points) if " against " in sentence]
    assert [sentence.partition(":tiny@untrained at 12500")[0][:48] for sentence in told] == [
        "ssamba:tiny@untrained against ssast:tiny@untrain"
    ] * 2
    assert "(eager) at 12500 tokens: time is less by 60.0 %" in told[0]
    assert "(sdpa) at 12500 tokens: time is less by 36.8 %" in told[1]


def test_without_a_preset_the_first_upstream_is_compared_with_each_other_under_one_attention() -> None:
    points = [point(name, 100.0, 1.0, attention=kind) for name in ("a", "b", "c") for kind in ("eager", "sdpa")]
    told = [sentence.split(" at ")[0] for sentence in sentences(points) if " against " in sentence]
    assert told == ["a against b (eager)", "a against c (eager)", "a against b (sdpa)", "a against c (sdpa)"]


def test_what_is_not_counted_and_what_deviates_is_named_once() -> None:
    told = list(sentences([*preset("ssamba", "own", 1.0), *preset("ssast", "eager", 2.0)]))
    assert told.count("Not in the FLOPs of ssamba:tiny@untrained, ssast:tiny@untrained: exp.") == 1
    assert told.count("Note: batch 1 instead of 4.") == 1


@pytest.mark.parametrize(
    ("upstream", "attention", "printed"),
    [("ssast", "eager", "0.24"), ("ssast", "sdpa", "0.24"), ("ssamba", "own", "0.12")],
)
def test_a_row_of_a_preset_has_the_published_time_beside_its_own(upstream: str, attention: str, printed: str) -> None:
    row = cells(preset(upstream, attention, 1.0)[0])
    assert (row["seconds"], row["published"]) == ("1", printed)


def test_a_figure_that_is_not_there_is_an_empty_cell() -> None:
    row = cells(point("a", 100.0, 1.0, figures={}, status="time", sentence="stopped after 60 s"))
    assert {row[name] for name in ("seconds", "p95", "memory, MB", "joules")} == {""}
    assert row[""] == "stopped after 60 s"
