"""FSDKaggle2018: two folders of audio, two tables; the folder of test audio holds more than its table names."""

from pathlib import Path

from trees._writing import sound, table

LABELS = ("Bark", "Cello", "Hi-hat")


def write(folder: Path, variant: str) -> None:
    """Three classes; of train ten Freesound sounds in each, the first of them in two clips."""
    train: list[tuple[object, ...]] = [("fname", "label", "manually_verified", "freesound_id", "license")]
    test: list[tuple[object, ...]] = [("fname", "label", "usage", "freesound_id", "license")]
    for place, label in enumerate(LABELS):
        for number in range(11):
            name = f"{place:04x}{number:04x}.wav"
            train.append((name, label, number % 2, 1000 * place + max(1, number), "Attribution"))
            sound(folder / "FSDKaggle2018.audio_train" / name, label, seconds=0.1, rate=44_100)
        name = f"{place:04x}ffff.wav"
        test.append((name, label, "Public", 1000 * place + 999, "Creative Commons 0"))
        sound(folder / "FSDKaggle2018.audio_test" / name, label, seconds=0.1, rate=44_100)
    sound(folder / "FSDKaggle2018.audio_test" / "aaaaaaaa.wav", seconds=0.1, rate=44_100)
    table(folder / "FSDKaggle2018.meta" / "train_post_competition.csv", train)
    table(folder / "FSDKaggle2018.meta" / "test_post_competition_scoring_clips.csv", test)
