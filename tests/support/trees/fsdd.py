"""Free spoken digits: recordings/DIGIT_SPEAKER_TAKE.wav at 8 kHz."""

from pathlib import Path

from trees._writing import sound

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")


def write(folder: Path, variant: str) -> None:
    """Three digits by six speakers, with takes of all parts."""
    root = folder / "free-spoken-digit-dataset-master" / "recordings"
    for speaker in SPEAKERS:
        for digit in "037":
            for take in (0, 5, 10):
                sound(root / f"{digit}_{speaker}_{take}.wav", digit, rate=8_000)
