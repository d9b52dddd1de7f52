"""Sound events: found in frames as a plain loop finds them, and scored as sed_eval scores them."""

import math
import random

import numpy as np
import pytest
from scipy.special import expit

from harness.detection import Events, event_onset_f, find_events, frame_targets
from harness.features import Array
from harness.types import SoundEvent

LABELS = ("a", "b")


def random_events(rng: random.Random, most: int) -> Events:
    """Up to so many, on a grid of 10 ms, so that many lie just 200 ms apart."""
    onsets = [rng.randrange(0, 150) / 100 for _ in range(rng.randrange(most + 1))]
    return tuple(SoundEvent(rng.choice("ab"), onset, onset + rng.randrange(5, 80) / 100) for onset in onsets)


def clips(seed: int, most: int | None = None) -> tuple[list[Events], list[Events]]:
    """Three clips: true and found events."""
    rng = random.Random(seed)
    most = most or rng.choice([2, 6, 6, 15])
    pairs = [(random_events(rng, most), random_events(rng, most)) for _ in range(3)]
    return [true for true, _ in pairs], [found for _, found in pairs]


#: By seed: sed_eval 0.2.1's event-based overall F, within 200 ms and 50 ms, and with offsets to 20 % of the length.
SED_EVAL = {
    0: (0.6341463415, 0.2926829268, 0.0487804878),
    9: (0.4680851064, 0.2553191489, 0.085106383),
    11: (0.3720930233, 0.1395348837, 0.0465116279),
    17: (0.5245901639, 0.2950819672, 0.0327868852),
    24: (0.5306122449, 0.3265306122, 0.2040816327),
    27: (0.4444444444, 0.1666666667, 0.0555555556),
    38: (0.6785714286, 0.25, 0.0714285714),
    44: (0.6222222222, 0.2222222222, 0.1333333333),
}


@pytest.mark.parametrize("seed", SED_EVAL)
def test_sed_eval_agrees(seed: int) -> None:
    true, found = clips(seed)
    scores = (event_onset_f(true, found), event_onset_f(true, found, tolerance=0.05))
    assert (*scores, event_onset_f(true, found, tolerance=0.05, offsets=0.2)) == pytest.approx(SED_EVAL[seed], abs=1e-9)


def agree(true: SoundEvent, found: SoundEvent, tolerance: float, offsets: float | None) -> bool:
    if true.label != found.label or abs(true.onset - found.onset) > tolerance:
        return False
    reach = math.inf if offsets is None else max(tolerance, offsets * (true.offset - true.onset))
    return abs(true.offset - found.offset) <= reach


def most_matches(true: Events, found: Events, tolerance: float, offsets: float | None) -> int:
    """By trying everything: the first true event matches none, or any that agrees with it."""
    if not true:
        return 0
    first, *others = true
    rest = [found[:i] + found[i + 1 :] for i, own in enumerate(found) if agree(first, own, tolerance, offsets)]
    matched = [1 + most_matches(tuple(others), left, tolerance, offsets) for left in rest]
    return max([most_matches(tuple(others), found, tolerance, offsets), *matched])


@pytest.mark.parametrize(("tolerance", "offsets"), [(0.2, None), (0.5, None), (0.2, 0.2), (0.3, 0.9)])
@pytest.mark.parametrize("seed", range(10))
def test_as_many_events_match_as_can(seed: int, tolerance: float, offsets: float | None) -> None:
    true, found = clips(seed, most=5)
    weight = np.array([2, 0, 3])
    hits = [most_matches(*clip, tolerance, offsets) for clip in zip(true, found, strict=True)]
    events = [len(one) + len(other) for one, other in zip(true, found, strict=True)]
    score = event_onset_f(true, found, tolerance=tolerance, offsets=offsets)
    assert score == pytest.approx(2 * sum(hits) / sum(events), nan_ok=True)
    weighted = event_onset_f(true, found, weight, tolerance=tolerance, offsets=offsets)
    assert weighted == pytest.approx(2 * (weight @ hits) / (weight @ events), nan_ok=True)


def test_an_event_gives_way_so_that_another_can_match() -> None:
    true = [(SoundEvent("a", 1.0, 2.0), SoundEvent("a", 1.15, 2.0))]
    found = [(SoundEvent("a", 1.1, 2.0), SoundEvent("a", 0.9, 2.0))]
    assert event_onset_f(true, found) == 1


def test_no_event_matches_one_of_another_clip() -> None:
    event = (SoundEvent("a", 1.0, 2.0),)
    assert event_onset_f([event, ()], [(), event]) == 0


@pytest.mark.parametrize(("true", "found", "score"), [(0, 0, math.nan), (2, 0, 0), (0, 2, 0)])
def test_the_score_where_events_are_missing(true: int, found: int, score: float) -> None:
    event = SoundEvent("a", 1.0, 2.0)
    assert event_onset_f([(event,) * true], [(event,) * found]) == pytest.approx(score, nan_ok=True)


def test_a_frame_sounds_when_its_centre_lies_in_an_event() -> None:
    events = (SoundEvent("b", 0.3, 0.5), SoundEvent("a", 0.0, 0.12), SoundEvent("b", 0.45, 0.55))
    targets = frame_targets(events, LABELS, np.array([0.1, 0.3, 0.5, 0.55]))
    assert targets.tolist() == [[1, 0], [0, 1], [0, 1], [0, 0]]
    assert targets.dtype == np.float32


def logits(*rows: str) -> Array:
    """A column for each row of marks; ``#`` sounds."""
    return np.array([[1.5 if mark == "#" else -1.5 for mark in row] for row in rows], np.float32).T


def centres(frames: int, hop: float = 0.1) -> Array:
    return ((np.arange(frames) + 0.5) * hop).astype(np.float32)


def found(scores: Array, **settings: float) -> list[tuple[str, float, float]]:
    events = find_events(scores, LABELS, centres(len(scores)), **{"median": 0.0, "shortest": 0.0, **settings})
    return [(event.label, round(event.onset, 4), round(event.offset, 4)) for event in events]


def test_events_reach_from_frame_boundary_to_frame_boundary() -> None:
    scores = logits("##..#", ".###.")
    assert found(scores) == [("a", 0.0, 0.2), ("b", 0.1, 0.4), ("a", 0.4, 0.5)]


def test_an_event_is_dropped_only_when_it_is_shorter_than_the_shortest() -> None:
    assert found(logits("#..##..###", ".........."), shortest=0.2) == [("a", 0.3, 0.5), ("a", 0.7, 1.0)]


def test_a_frame_must_be_likelier_than_the_threshold() -> None:
    scores = np.array([[0.0, 1.0], [0.1, 2.0], [-np.inf, np.inf]], np.float32)
    assert found(scores) == [("b", 0.0, 0.3), ("a", 0.1, 0.2)]
    assert found(scores, threshold=0.8) == [("b", 0.1, 0.3)]


@pytest.mark.parametrize("frames", [1, 2, 3, 40])
@pytest.mark.parametrize(("median", "width"), [(0.0, 1), (0.04, 1), (0.25, 3), (0.31, 3), (0.39, 5), (0.5, 5)])
def test_the_filter_is_a_median_of_an_odd_number_of_probabilities(frames: int, median: float, width: int) -> None:
    scores = np.random.default_rng(frames).normal(0, 2, (frames, 2)).astype(np.float32)
    mirrored = np.pad(expit(scores.astype(np.float64)), ((width // 2, width // 2), (0, 0)), "symmetric")
    smooth = np.array([np.median(mirrored[i : i + width], axis=0) for i in range(frames)])
    expected = [(LABELS[j], round(0.1 * i, 4)) for i in range(frames) for j in range(2) if smooth[i, j] > 0.5]
    heard = found(scores, median=median)
    starts = [(label, round(0.1 * i, 4)) for label, on, off in heard for i in range(round(on * 10), round(off * 10))]
    assert sorted(starts) == sorted(expected)


def test_events_are_found_again_in_the_frames_that_they_make() -> None:
    events = (SoundEvent("a", 0.2, 0.5), SoundEvent("b", 0.3, 0.9), SoundEvent("a", 0.6, 0.8))
    targets = frame_targets(events, LABELS, centres(12))
    assert found(targets - 0.5, median=0.1, shortest=0.2) == [(label, on, off) for label, on, off in events]


def test_no_event_begins_before_its_clip() -> None:
    (event,) = find_events(logits("##.", "..."), LABELS, np.array([0.0, 0.1, 0.2]), median=0.0)
    assert [event.onset, event.offset] == pytest.approx([0, 0.15])


def test_a_clip_without_frames_has_no_events() -> None:
    assert find_events(np.empty((0, 2), np.float32), LABELS, centres(0)) == ()
