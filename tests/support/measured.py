"""Points as a measurement would leave them, for tests of what is made of them."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from harness.points import Point
from harness.ways import Length


def point(upstream: str, tokens: float, *runs: float, **own: Any) -> Point:
    figures: Mapping[str, float] = {"latency_median": median(runs), "tokens": tokens, "peak_bytes": tokens}
    values: dict[str, Any] = {
        **{"upstream": upstream, "way": "uncut", "attention": "sdpa", "dtype": "float32", "batch": 1},
        **{"length": Length("tokens", tokens), "status": "measured", "sentence": "", "figures": figures, "runs": runs},
        **{"uncounted": {}, "together": "a", "preset": "", "deviations": (), "hardware": {}, "environment": {}},
        **{"asked": {}, "created": ""},
    }
    return Point(**values | own)
