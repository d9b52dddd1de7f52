"""DCASE 2016 task 2: two folders of sound and annotation, and a folder of single sounds."""

from pathlib import Path

from trees._writing import sound, text

DEV = [
    f"dev_1_ebr_{ebr}_nec_{nec}_poly_{poly}"
    for ebr in (-6, 0, 6)
    for nec, poly in ((1, 0), (2, 0), (3, 0), (3, 1), (4, 1), (5, 1))
]
TEST = [f"test_{number}_ebr_{ebr}_nec_1_poly_0" for number in (1, 2) for ebr in (-6, 0, 6)]


def write(folder: Path, variant: str) -> None:
    """All scenes of development and six of test, of a second each, with two sounds; and one single sound."""
    dev = folder / "dcase2016_task2_train_dev"
    sound(dev / "dcase2016_task2_train" / "keysDrop081.wav", "keys", seconds=0.1, rate=44_100)
    for root, names in ((dev / "dcase2016_task2_dev", DEV), (folder / "dcase2016_task2_test_public", TEST)):
        for name in names:
            sound(root / "sound" / f"{name}.wav", name, seconds=1.0, rate=44_100)
            text(root / "annotation" / f"{name}.txt", ("0.10\t0.40\tkeys", "0.55\t0.90\tdoorslam"))
