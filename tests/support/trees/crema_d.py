"""CREMA-D: AudioWAV/ACTOR_SENTENCE_EMOTION_LEVEL.wav."""

from pathlib import Path

from trees._writing import sound

#: Two that train, one that chooses, one that scores.
ACTORS = ("1002", "1003", "1009", "1001")
EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")


def write(folder: Path, variant: str) -> None:
    """Six emotions and two sentences of four actors, and a file that is left out."""
    root = folder / "CREMA-D" / "AudioWAV"
    for actor in ACTORS:
        for emotion in EMOTIONS:
            for sentence in ("DFA", "IEO"):
                sound(root / f"{actor}_{sentence}_{emotion}_XX.wav", emotion)
    (root / "1076_MTI_SAD_XX.wav").write_bytes(b"")
