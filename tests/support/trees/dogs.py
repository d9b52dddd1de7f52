"""Dogs as BEANS has them: audio/NAME-SESSION-CONTEXT-NUMBER.aif, not always quite so, and one table."""

from pathlib import Path

from trees._writing import sound, table

COLUMNS = ("filename", "name", "context", "age", "weight", "sex", "breed")


def write(folder: Path, variant: str) -> None:
    """Three dogs in five sessions, two barks of each; some names are written otherwise."""
    rows: list[tuple[object, ...]] = [COLUMNS]
    for dog in ("Mac", "Freid", "Zoe"):
        for session in range(1, 6):
            for bark in "ab":
                name = f"{dog}{session}-P-{bark}.wav" if dog == "Freid" else f"{dog}-{session}-A-{session}{bark}..aif"
                rows.append((name, dog, "play", 5, 34, "male", "Labrador mix"))
                sound(folder / "audio" / name, dog, seconds=0.1, rate=44_100)
    table(folder / "annotations.csv", rows)
