"""EmoDB: wav/SPEAKER TEXT EMOTION VERSION.wav, such as 03a01Fa.wav."""

from pathlib import Path

from trees._writing import sound, text


def write(folder: Path, variant: str) -> None:
    """Three emotions of every actor, and the labels' files that are of no use here."""
    for speaker in ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16"):
        for emotion in "WNT":
            sound(folder / "wav" / f"{speaker}a01{emotion}a.wav", emotion, seconds=0.1)
    text(folder / "lablaut" / "03a01Wa.lablaut", ["0.1 121 a"])
