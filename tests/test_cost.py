"""Cost on the leaderboard: the front, what is compared, and that no text of a file is code."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard.cost import cost_parts, cost_sheets, shared_costs
from harness.leaderboard.cost_plots import Dot, cost_curves, front, score_against_cost
from harness.leaderboard.page import build
from harness.points import COLD, Point
from harness.ways import Length

from measured import point
from records import result

CPU = {"device": "cpu", "processor": "A", "threads": 2}


def costing(upstream: str, factor: float, seconds: float = 10.0, **own: Any) -> Point:
    figures = {"latency_median": factor * seconds, "real_time_factor": factor, "peak_bytes": 1e6}
    length = Length("seconds", seconds)
    return point(upstream, seconds, 1.0, **{"length": length, "figures": figures, "hardware": CPU} | own)


def test_the_front_holds_what_nothing_cheaper_matches() -> None:
    dots = [
        Dot(result(upstream, score), cost)
        for upstream, score, cost in (
            ("a", 0.5, 1.0),
            ("b", 0.4, 2.0),
            ("c", 0.7, 3.0),
            ("d", 0.7, 4.0),
            ("e", 0.6, 1.0),
        )
    ]
    assert [dot.result.upstream for dot in front(dots)] == ["e", "c"]


def test_the_front_of_a_metric_that_is_better_when_lower_goes_down() -> None:
    dots = [Dot(result(name, score, metric="eer"), cost) for name, score, cost in (("a", 0.5, 1.0), ("b", 0.4, 2.0))]
    assert [dot.result.upstream for dot in front([*dots, Dot(result("c", 0.45, metric="eer"), 3.0)])] == ["a", "b"]


def test_what_has_no_rank_makes_no_front() -> None:
    dots = [Dot(result("a", 0.5), 2.0), Dot(result("b", 0.9, badges=("untrained",)), 1.0)]
    assert [dot.result.upstream for dot in front(dots)] == ["a"]
    figure = score_against_cost(dots, "cost")
    assert figure is not None
    assert list(figure.data[1].marker.symbol) == ["circle", "circle-open"]


def test_costs_are_compared_at_the_setting_that_most_upstreams_share() -> None:
    points = [costing("a", 0.1), costing("b", 0.2), costing("a", 0.3, 20.0), costing("c", 0.4, batch=4)]
    assert shared_costs(points, {"a", "b", "c"}) == {"a": 0.1, "b": 0.2}


def test_extraction_pays_for_windows_and_for_the_faster_attention() -> None:
    points = [
        *(costing("a", 0.1), costing("a", 0.2, way="windowed", attention="eager"), costing("a", 0.15, way="windowed")),
        costing("b", 0.3),
    ]
    assert shared_costs(points, {"a", "b"}) == {"a": 0.15, "b": 0.3}


def test_a_preset_s_points_are_no_cost_of_extraction() -> None:
    assert shared_costs([costing("a", 0.1, preset="ssamba")], {"a"}) == {}


def test_each_machine_has_a_section_and_a_table_of_its_own() -> None:
    other = {**CPU, "threads": 8}
    points = [costing("a", 0.1), costing("b", 0.1), costing("a", 0.2, hardware=other)]
    assert [part.link.partition(" (")[0] for part in cost_parts(points, [])] == ["A, threads: 2", "A, threads: 8"]
    assert sorted(len(sheet.rows) for sheet in cost_sheets(points)) == [1, 2]


def test_what_was_published_of_a_preset_is_drawn_beside_it() -> None:
    points = [
        point("ssast:tiny@untrained", float(n), 1.0, preset="ssamba", way="image", attention="eager")
        for n in (5_000, 8_000)
    ]
    figure = cost_curves(points, "latency_median")
    assert figure is not None
    measured, known = figure.data
    assert (measured.line.dash, known.line.dash) == ("dash", "dot")
    assert (known.x[0], known.y[0]) == (5_000, 0.24)


def test_times_that_were_not_warmed_up_are_in_the_table_alone() -> None:
    points = [costing("a", 0.1), costing("a", 0.2, 20.0), costing("a", 9.0, 40.0, sentence=COLD)]
    drawn = {figure: cost_curves(points, figure) for figure in ("latency_median", "peak_bytes")}
    assert all(drawn.values())
    assert [list(curves.data[0].x) for curves in drawn.values() if curves] == [[10.0, 20.0], [10.0, 20.0, 40.0]]
    assert shared_costs(points, {"a"}) == {"a": 0.2}
    assert COLD in str(cost_sheets(points))


def test_one_length_is_no_curve() -> None:
    assert cost_curves([costing("a", 0.1)], "latency_median") is None


def test_a_point_that_failed_has_a_row_that_says_why() -> None:
    failed = costing("a", 0.1, status="memory", sentence="needs 44.7 GB, and 20.0 GB are allowed", figures={}, runs=())
    (sheet,) = cost_sheets([failed, costing("b", 0.1)])
    assert sheet.rows[0][-1].text == "needs 44.7 GB, and 20.0 GB are allowed"


def test_the_page_and_the_markdown_hold_costs_with_and_without_results(tmp_path: Path) -> None:
    points = [costing("mfcc", 0.1), costing("mel", 0.2), costing("mel", 0.2, 20.0)]
    for results in ([], [result("mfcc", 0.7), result("mel", 0.8)]):
        build(results, tmp_path, points=points)
        page = (tmp_path / "index.html").read_text()
        assert "Cost <small>A, threads: 2" in page
        assert ("the line is the Pareto front" in page) == bool(results)
        assert "Cost on A, threads: 2" in (tmp_path / "leaderboard.md").read_text()


@pytest.mark.parametrize("field", ["upstream", "sentence", "attention"])
def test_no_text_of_a_point_is_code(field: str, tmp_path: Path) -> None:
    change: dict[str, Any] = {field: "<script>alert(1)</script>"}
    evil = replace(costing("a", 0.1), **change)
    build([], tmp_path, points=[evil, replace(evil, length=Length("seconds", 20.0))])
    assert "<script>alert" not in (tmp_path / "index.html").read_text()
