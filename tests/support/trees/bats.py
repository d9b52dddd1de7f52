"""Fruit bats as BEANS has them: audio/NUMBER.wav at 250 kHz, and one table."""

from pathlib import Path

from trees._writing import sound, table


def write(folder: Path, variant: str) -> None:
    """Three bats, six calls of each."""
    rows: list[tuple[object, ...]] = [("Emitter", "File Name")]
    for number in range(18):
        emitter, name = (111, 215, 231)[number % 3], f"{69809 + 7 * number}.wav"
        rows.append((emitter, name))
        sound(folder / "audio" / name, str(emitter), seconds=0.02, rate=250_000)
    table(folder / "annotations.csv", rows)
