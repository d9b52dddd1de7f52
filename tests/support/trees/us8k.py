"""UrbanSound8K: audio/foldN/FSID-CLASS-OCCURRENCE-SLICE.wav at mixed rates, and one table."""

from pathlib import Path

from trees._writing import sound, table

CLASSES = ((3, "dog_bark"), (8, "siren"), (9, "street_music"))
RATES = (44_100, 48_000, 22_050)


def write(folder: Path, variant: str) -> None:
    """Three classes in each of ten folds."""
    root = folder / "UrbanSound8K"
    rows: list[tuple[object, ...]] = [
        ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
    ]
    for fold in range(1, 11):
        for place, (number, label) in enumerate(CLASSES):
            recording = 100_000 + 10 * fold + place
            name = f"{recording}-{number}-0-0.wav"
            rows.append((name, recording, 0.0, 0.25, 1, fold, number, label))
            sound(root / "audio" / f"fold{fold}" / name, label, rate=RATES[place], channels=1 + place % 2)
    table(root / "metadata" / "UrbanSound8K.csv", rows)
