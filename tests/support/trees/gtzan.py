"""GTZAN: genres/GENRE/GENRE.NUMBER.au, of which copies hold WAV."""

from pathlib import Path

from trees._writing import sound

#: Of each: tracks that train, choose and score in the filtered split, and one that it leaves out.
TRACKS = {"blues": (0, 1, 12, 13, 29, 30), "disco": (0, 1, 2, 4, 5, 6, 39), "rock": (0, 1, 2, 10, 11, 36)}


def write(folder: Path, variant: str) -> None:
    """Three genres, in the authors' format and in that of copies."""
    for genre, numbers in TRACKS.items():
        for number in numbers:
            suffix = ".wav" if number % 2 else ".au"
            sound(folder / "genres" / genre / f"{genre}.{number:05}{suffix}", genre, rate=22_050)
