"""VIVAE: full_set/SPEAKER_EMOTION_INTENSITY_NUMBER.wav."""

from pathlib import Path

from trees._writing import sound


def write(folder: Path, variant: str) -> None:
    """Three emotions of eleven speakers, and the core set, which is a part of the full one."""
    for speaker in range(1, 12):
        for emotion in ("anger", "pain", "pleasure"):
            name = f"S{speaker:02}_{emotion}_peak_01.wav"
            for part in ("full_set", "core_set"):
                sound(folder / "VIVAE" / part / name, emotion, rate=44_100, seconds=0.1)
