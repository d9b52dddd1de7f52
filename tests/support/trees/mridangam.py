"""Mridangam strokes: a folder for each tonic, of NUMBER__akshaylaya__STROKE-TONIC-TAKE.wav."""

from pathlib import Path

from trees._writing import sound, text

TONICS = {"B": "b", "C": "c", "C#": "csh", "D": "d", "D#": "dsh", "E": "e"}


def write(folder: Path, variant: str) -> None:
    """Three strokes, twice in each tonic."""
    root = folder / "mridangam_stroke_1.5"
    number = 224_030
    for tonic, code in TONICS.items():
        text(root / tonic / "_readme_and_license.txt", ["Sound pack downloaded from Freesound"])
        for stroke in ("bheem", "ta", "thom"):
            for take in (1, 2):
                number += 1
                name = f"{number}__akshaylaya__{stroke}-{code}-{take:03}.wav"
                sound(root / tonic / name, stroke + code, seconds=0.1, rate=44_100)
