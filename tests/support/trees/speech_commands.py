"""Speech Commands: WORD/SPEAKER_nohash_TAKE.wav, two lists, noises, and a test set of twelve labels of its own."""

from pathlib import Path

from trees._writing import sound, text

WORDS = ("yes", "no", "bed", "zero")
SPEAKERS = {
    "train": ("0a7c2a8d", "1b4c9b89"),
    "validation": ("2c5a0f11", "3d7a8b22"),
    "testing": ("4e5a6f33", "5f8b9c44"),
}


def write(folder: Path, variant: str) -> None:
    """Four words by two speakers of each part, two noises of three seconds."""
    release = variant[:2].replace("v", "v0.0")
    root, test = folder / f"speech_commands_{release}", folder / f"speech_commands_test_set_{release}"
    for part, speakers in SPEAKERS.items():
        names = [f"{word}/{speaker}_nohash_0.wav" for word in WORDS for speaker in speakers]
        for name in names:
            sound(root / name, name.partition("/")[0])
        if part != "train":
            text(root / f"{part}_list.txt", names)
    for noise in ("running_tap", "pink_noise"):
        sound(root / "_background_noise_" / f"{noise}.wav", seconds=3.0)
    for speaker in SPEAKERS["testing"]:
        sound(test / "yes" / f"{speaker}_nohash_1.wav", "yes")
        sound(test / "_unknown_" / f"bed_{speaker}_nohash_1.wav.wav", "bed")
    sound(test / "_silence_" / "1816.wav")
