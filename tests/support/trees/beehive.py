"""Beehives: a folder for each of two days of two hives; hive 1 has a space in its names, and another rate."""

from pathlib import Path

from trees._writing import sound

DAYS = {
    "Hive1 12_06_2018_QueenBee": 32_000,
    "Hive1 31_05_2018_NO_QueenBee": 32_000,
    "Hive3_14_07_2017_NO_QueenBee": 44_100,
    "Hive3_28_07_2017_QueenBee": 44_100,
}


def write(folder: Path, variant: str) -> None:
    """Four recordings of every day."""
    for day, rate in DAYS.items():
        for minute in range(0, 40, 10):
            name = f"{day}____11_{minute:02}_00.wav"
            sound(folder / day.replace(" ", "_") / name, day[-12:], seconds=0.05, rate=rate)
