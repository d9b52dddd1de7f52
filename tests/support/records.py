"""Results as a run would leave them, for tests of what is made of them."""

from dataclasses import replace
from typing import Any

from harness.types import Candidate, FoldScore, Interval, Result


def result(upstream: str = "mfcc", score: float = 0.715, **changes: Any) -> Result:
    given = Result(
        key=f"key of {upstream} {score}",
        upstream=upstream,
        task="esc50",
        protocol="linear",
        interface="last",
        head="linear",
        metric="accuracy",
        score=score,
        interval=Interval(score - 0.043, score + 0.041, 0.95, "bootstrap", 40),
        metrics={"accuracy": score, "d_prime": 1.25},
        folds=(FoldScore(("1",), score, 400, {"layer": "3"}), FoldScore(("2",), score, 400, {"layer": "4"})),
        fold_std=0.02,
        seed_std=None,
        badges=(),
        deviations=(),
        candidates=(),
        layer_weights=(),
        data={"clips": 800},
        method={"splits": "official"},
        encoder={"parameters": 90_000_000},
        cost={"clips_per_second": 120.5},
        environment={"device": "cpu"},
        created="2026-01-05T10:00:00Z",
        answers="00" * 32,
    )
    return replace(given, **changes)


def tried(layer: str, score: float, *, split: int = 0, seed: int = 0) -> Candidate:
    return Candidate(split, seed, {"layer": layer, "lr": 0.1}, score)
