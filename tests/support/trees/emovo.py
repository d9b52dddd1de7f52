"""EMOVO: SPEAKER/EMOTION-SPEAKER-SENTENCE.wav, in stereo at 48 kHz."""

from pathlib import Path

from trees._writing import sound, text


def write(folder: Path, variant: str) -> None:
    """Three emotions and two sentences of every actor, and what else lies there."""
    for speaker in ("f1", "f2", "f3", "m1", "m2", "m3"):
        for emotion in ("dis", "gio", "neu"):
            for sentence in ("b1", "n5"):
                path = folder / "EMOVO" / speaker / f"{emotion}-{speaker}-{sentence}.wav"
                sound(path, emotion, rate=48_000, channels=2, seconds=0.1)
    text(folder / "EMOVO" / "documents" / "frasi.txt", ["b1 Gli operai si alzano presto"])
