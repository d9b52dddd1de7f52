"""IRMAS: training data by instrument with all in their names, and test data in three parts with files of labels."""

from pathlib import Path

from trees._writing import sound, text


def write(folder: Path, variant: str) -> None:
    """Two instruments, two excerpts of each of ten recordings, some named with drums; in each part two of a song."""
    for label in ("cel", "voi"):
        for recording in range(10):
            for excerpt in (1, 2):
                drums = f"{recording:03}__[{label}][nod][pop_roc]" if recording % 2 else f"[{label}][cla]"
                name = f"{drums}{recording:04}__{excerpt}.wav"
                sound(folder / "IRMAS-TrainingData" / label / name, label, seconds=0.1, rate=44_100, channels=2)
    for part in range(1, 4):
        for excerpt, labels in enumerate((["cel\t"], ["voi\t", "cel\t"]), 1):
            song = (
                folder
                / f"IRMAS-TestingData-Part{part}"
                / f"Part{part}"
                / f"0{part} - A Song, [live] at No.5-{excerpt}.wav"
            )
            sound(song, labels[0].strip(), seconds=0.2, rate=44_100, channels=2)
            text(song.with_suffix(".txt"), labels)
