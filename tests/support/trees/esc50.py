"""ESC-50: audio/FOLD-SOURCE-TAKE-TARGET.wav and meta/esc50.csv."""

from pathlib import Path

from trees._writing import sound, table

CLASSES = ((0, "dog"), (1, "rooster"), (10, "rain"))


def write(folder: Path, variant: str) -> None:
    """Three classes, all of ESC-10, in each of five folds."""
    root = folder / "ESC-50-master"
    rows: list[tuple[object, ...]] = [("filename", "fold", "target", "category", "esc10", "src_file", "take")]
    for fold in range(1, 6):
        for number, label in CLASSES:
            source = 100_000 + 100 * fold + number
            name = f"{fold}-{source}-A-{number}.wav"
            rows.append((name, fold, number, label, "True", source, "A"))
            sound(root / "audio" / name, label, rate=44_100)
    table(root / "meta" / "esc50.csv", rows)
