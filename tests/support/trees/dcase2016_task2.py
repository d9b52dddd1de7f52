"""DCASE 2016 task 2: two folders of sound and annotation, and a folder of single sounds."""

from pathlib import Path

from trees._writing import sound, text

DEV = [f"dev_1_ebr_{ebr}_nec_{nec}_poly_0" for ebr in (-6, 0, 6) for nec in (1, 2)]
LABELS = ("keys", "doorslam", "pageturn")
TEST = [f"test_1_ebr_{ebr}_nec_1_poly_0" for ebr in (-6, 0, 6)]


def write(folder: Path, variant: str) -> None:
    """Six scenes of development and three of test, of half a second each, with two sounds; and one single sound."""
    dev = folder / "dcase2016_task2_train_dev"
    sound(dev / "dcase2016_task2_train" / "keysDrop081.wav", "keys", seconds=0.1, rate=44_100)
    for root, names in ((dev / "dcase2016_task2_dev", DEV), (folder / "dcase2016_task2_test_public", TEST)):
        for number, name in enumerate(names):
            label = LABELS[number % len(LABELS)]
            sound(root / "sound" / f"{name}.wav", label, seconds=0.5, rate=44_100)
            text(root / "annotation" / f"{name}.txt", (f"0.{number:02}\t0.20\t{label}", "0.30\t0.45\tspeech"))
