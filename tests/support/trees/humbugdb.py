"""HumBugDB: data/audio/ID.wav at two rates, and one table in data/metadata."""

from pathlib import Path

from trees._writing import sound, table

COLUMNS = (
    *("id", "length", "name", "sample_rate", "record_datetime", "sound_type", "species", "gender", "fed", "plurality"),
    *("age", "method", "mic_type", "device_type", "country", "district", "province", "place", "location_type"),
)
PLACE = ("", "", "Single", "", "", "phone", "x", "USA", "Georgia", "Atlanta", "CDC insect cultures, Atlanta", "culture")


def write(folder: Path, variant: str) -> None:
    """A species, a rare one and background, two clips of each of five recordings; one clip is longer than 3 s."""
    rows: list[tuple[object, ...]] = [COLUMNS]
    for species, kind in (("ae aegypti", "mosquito"), ("ae albopictus", "mosquito"), ("", "background")):
        for recording in range(5):
            for _ in "ab":
                name, rate = 50 + len(rows), (8_000, 44_100)[recording % 2]
                seconds = 3.5 if len(rows) == 1 else 0.1
                facts = (f"{species or kind}_{recording}.wav", rate, "08-09-16 08:00", kind, species)
                rows.append((name, seconds, *facts, *PLACE))
                sound(folder / "HumBugDB" / "data" / "audio" / f"{name}.wav", species, seconds=seconds, rate=rate)
    table(folder / "HumBugDB" / "data" / "metadata" / "neurips_2021_zenodo_0_0_1.csv", rows)
