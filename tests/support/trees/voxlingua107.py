"""VoxLingua107's dev: LANGUAGE/VIDEO__U__SNUMBER---BEGIN-END.wav, in any order of dashes and underscores."""

from pathlib import Path

from trees._writing import sound

VIDEOS = ("kvqbH3DNWlk", "-_sNbFOyor4", "_-nT__U__S1", "ERNgn-ZyqsQ", "ZrTN6Dvf1uk")


def write(folder: Path, variant: str) -> None:
    """Two stretches of each of five videos in three languages."""
    for language in ("ar", "et", "zh"):
        for video in VIDEOS:
            for number in (1, 22):
                name = f"{video[:-2]}{language}__U__S{number}---{number:04}.180-{number + 9:04}.820.wav"
                sound(folder / "dev" / language / name, language, seconds=0.1)
