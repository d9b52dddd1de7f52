"""AudioMNIST: data/SPEAKER/DIGIT_SPEAKER_TAKE.wav at 48 kHz, and what is told of the speakers."""

from pathlib import Path

from trees._writing import as_json, sound


def write(folder: Path, variant: str) -> None:
    """Three digits by two speakers of each fold."""
    root, speakers = folder / "AudioMNIST-master" / "data", ("12", "50", "26", "60", "28", "07", "36", "02", "43", "55")
    for speaker in speakers:
        for digit in "039":
            sound(root / speaker / f"{digit}_{speaker}_0.wav", digit, rate=48_000, seconds=0.1)
    as_json(root / "audioMNIST_meta.txt", {speaker: {"accent": "German", "gender": "male"} for speaker in speakers})
