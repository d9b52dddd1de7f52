"""Medley-solos-DB: audio/Medley-solos-DB_SUBSET-INSTRUMENT_UUID.wav and one table."""

import uuid
from pathlib import Path

from trees._writing import sound, table

INSTRUMENTS = ((0, "clarinet"), (3, "flute"), (7, "violin"))


def write(folder: Path, variant: str) -> None:
    """Three instruments, two clips of a song of each in every subset."""
    rows: list[tuple[object, ...]] = [("subset", "instrument", "instrument_id", "song_id", "uuid4")]
    for place, subset in enumerate(("test", "training", "validation")):
        for number, label in INSTRUMENTS:
            for clip in range(2):
                name = uuid.UUID(int=1000 * place + 10 * number + clip)
                rows.append((subset, label, number, 10 * place + number, name))
                sound(folder / "audio" / f"Medley-solos-DB_{subset}-{number}_{name}.wav", label, rate=22_050)
    table(folder / "Medley-solos-DB_metadata.csv", rows)
