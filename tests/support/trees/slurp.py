"""SLURP: a JSON line for each sentence of train, devel and test, one JSON file of speakers, slurp_real/NAME.flac."""

import json
from pathlib import Path
from typing import Any

from trees._writing import as_json, sound, text

SENTENCES = (("play", "music", "music"), ("weather", "query", "weather_query"), ("alarm", "set", "alarm_set"))


def write(folder: Path, variant: str) -> None:
    """Three sentences of every part, each recorded twice, with the double dash of the real names."""
    metadata: dict[str, Any] = {}
    for part, first in (("train", 1), ("devel", 11), ("test", 21)):
        lines = []
        for number, (scenario, action, intent) in enumerate(SENTENCES, first):
            names = [f"audio-15042{number:05}-headset.flac", f"audio--15042{number:05}.flac"]
            for name in names:
                sound(folder / "slurp_real" / name, scenario, seconds=0.1)
            lines.append(
                {
                    "slurp_id": number,
                    "sentence": "x",
                    "intent": intent,
                    "action": action,
                    "scenario": scenario,
                    "recordings": [{"file": name, "wer": 0.0, "ent_wer": 0.0, "status": "correct"} for name in names],
                }
            )
            metadata[str(number)] = {"recordings": {name: {"usrid": f"FO-{number % 2}"} for name in names}}
        text(folder / f"{part}.jsonl", map(json.dumps, lines))
    as_json(folder / "metadata.json", metadata)
