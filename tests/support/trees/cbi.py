"""Cornell Bird Identification: train_audio/CODE/XCNUMBER.mp3, and a table with some of its many columns."""

from pathlib import Path

from trees._writing import sound, table


def write(folder: Path, variant: str) -> None:
    """Three species by each of ten recordists; one recording is longer than 10 s."""
    rows: list[tuple[object, ...]] = [("ebird_code", "duration", "filename", "title", "recordist")]
    for recordist in range(10):
        for code in ("aldfly", "norcar", "yetvir"):
            seconds = 11 if len(rows) == 1 else 1
            name = f"XC{134874 + len(rows)}.mp3"
            rows.append((code, seconds, name, f"{name}, a bird\nof some kind", f"Recordist {recordist}"))
            sound(folder / "train_audio" / code / name, code, seconds=seconds, rate=44_100, channels=1 + recordist % 2)
    table(folder / "train.csv", rows)
