"""LibriCount: test/COUNT_HASH.wav, beside each a JSON file of its speakers."""

from pathlib import Path

from trees._writing import as_json, sound


def write(folder: Path, variant: str) -> None:
    """Three counts, ten mixtures of each."""
    root = folder / "LibriCount10-0dB" / "test"
    for count in (0, 2, 10):
        for number in range(10):
            stem = f"{count}_{count:02x}{number:04x}"
            sound(root / f"{stem}.wav", str(count), seconds=0.1)
            speakers = [{"sex": "F", "activity": [[0, 1600]], "speaker_id": 1000 + who} for who in range(count)]
            as_json(root / f"{stem}.json", speakers)
