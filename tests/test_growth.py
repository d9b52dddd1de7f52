"""How cost grows, and what one upstream saves against another."""

import numpy as np
import pytest

from harness.growth import growth, growth_of, saved
from harness.points import COLD, curves
from harness.ways import Length

from measured import point


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5, 2.0])
def test_a_power_of_length_is_found_with_no_width(power: float) -> None:
    found = growth({n: 3 * n**power for n in (100.0, 200.0, 400.0, 800.0, 1600.0)})
    assert found is not None
    assert (found.low, found.exponent, found.high) == pytest.approx((power, power, power), abs=1e-9)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, lengths = np.random.default_rng(0), [2.0**k for k in range(8)]
    fits = [growth({n: n**1.3 * np.exp(0.1 * rng.standard_normal()) for n in lengths}) for _ in range(1000)]
    held = np.mean([fit is not None and fit.low <= 1.3 <= fit.high for fit in fits])
    assert held == pytest.approx(0.95, abs=0.02)


def test_only_the_upper_lengths_are_fitted() -> None:
    found = growth({n: 1000 + n**2 for n in (1.0, 2.0, 4.0, 8.0, 1e4, 2e4, 4e4, 8e4)})
    assert found is not None
    assert (found.first, found.last, found.lengths) == (1e4, 8e4, 4)
    assert found.exponent == pytest.approx(2, abs=1e-3)


def test_two_lengths_leave_no_interval_so_nothing_is_fitted() -> None:
    assert growth({1.0: 1.0, 2.0: 2.0}) is None


def test_points_without_a_figure_are_left_out_of_a_fit() -> None:
    curve = [point("a", n, n) for n in (100.0, 200.0, 400.0)]
    curve.append(point("a", 800.0, 0.0, status="memory", figures={}))
    found = growth_of(curve, "latency_median")
    assert found is not None
    assert found.last == 400.0


def test_savings_are_the_median_over_pairs_of_runs_at_the_longest_common_length() -> None:
    mine = [point("a", 100.0, 1.0, 1.0, 1.0), point("a", 200.0, 1.0, 2.0, 1.0), point("a", 400.0, 9.0, 9.0, 9.0)]
    theirs = [point("b", 100.0, 1.0, 1.0, 1.0), point("b", 200.0, 4.0, 4.0, 10.0)]
    found = saved(mine, theirs)
    assert found is not None
    assert found.point.length == Length("tokens", 200.0)
    assert (found.time, found.low, found.high, found.pairs) == pytest.approx((0.75, 0.5, 0.9, 3))
    assert found.memory == 0


def test_what_was_not_warmed_up_counts_for_memory_alone() -> None:
    lengths = (100.0, 200.0, 400.0, 800.0)
    cold = point("a", 1600.0, 1e9, sentence=COLD, figures={"latency_median": 1e9, "peak_bytes": 1600.0})
    one, two = ([point(name, n, n) for n in lengths] for name in "ab")
    time, memory = (growth_of([*one, cold], figure) for figure in ("latency_median", "peak_bytes"))
    assert time is not None
    assert memory is not None
    assert (time.last, memory.last) == (800.0, 1600.0)
    assert (time.exponent, memory.exponent) == pytest.approx((1, 1))
    found = saved([*two, point("b", 1600.0, 1.0)], [*one, cold])
    assert found is not None
    assert found.point.length.value == 800


def test_runs_that_did_not_take_turns_are_not_compared() -> None:
    assert saved([point("a", 100.0, 1.0)], [point("b", 100.0, 1.0, together="b")]) is None


def test_points_of_one_curve_differ_only_in_their_length() -> None:
    points = [point("a", 200.0, 1.0), point("a", 100.0, 1.0), point("a", 100.0, 1.0, batch=2)]
    found = [[p.length.value for p in curve] for curve in curves(points).values()]
    assert found == [[100.0, 200.0], [100.0]]


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ((1.0, 1.0, 2.0), "time is less by 75.0 % [50.0, 75.0], over 3 pairs of runs; memory is less by 0.0 %"),
        ((8.0, 16.0, 12.0), "time is 3 times as much [2, 4], over 3 pairs of runs; memory is less by 0.0 %"),
    ],
)
def test_what_costs_less_is_told_in_percent_and_what_costs_more_as_a_factor(runs: tuple[float, ...], told: str) -> None:
    found = saved([point("a", 100.0, *runs)], [point("b", 100.0, 4.0, 4.0, 4.0)])
    assert str(found) == f"a against b (sdpa) at 100 tokens: {told}"
