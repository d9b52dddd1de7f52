"""Beijing opera percussion: one folder of NUMBER__ajaysm__INSTRUMENT-TAKE.wav, as Freesound packs sounds."""

from pathlib import Path

from trees._writing import sound, text


def write(folder: Path, variant: str) -> None:
    """Five strokes of each instrument, and the letters that some takes have."""
    root = folder / "beijing_opera_percussion_instrument_1.0"
    text(root / "_readme_and_license.txt", ["Sound pack downloaded from Freesound"])
    for place, label in enumerate(("bangu", "daluo", "naobo", "xiaoluo")):
        for take in range(5):
            name = f"{222_100 + 10 * place + take}__ajaysm__{label}-{take:02}{'-b' if take == 4 else ''}.wav"
            sound(root / name, label, seconds=0.1 + 0.05 * take, rate=44_100)
