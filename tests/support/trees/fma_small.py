"""FMA small: fma_small/NNN/NNNNNN.mp3, and a table of all of FMA with two lines of names and one of the index."""

from pathlib import Path

from trees._writing import sound, table

HEAD = (
    ("", "album", "artist", "set", "set", "track", "track"),
    ("", "comments", "id", "split", "subset", "genre_top", "title"),
    ("track_id", "", "", "", "", "", ""),
)
GENRES = ("Hip-Hop", "Pop", "Rock")


def write(folder: Path, variant: str) -> None:
    """Three genres, two tracks of each in each part; one of another subset, and one that is cut short."""
    rows: list[tuple[object, ...]] = [(2, 0, 1, "training", "large", "Rock", "a, b"), *_small(folder)]
    rows.append((98565, 0, 2, "training", "small", "Pop", "cut"))
    table(folder / "fma_metadata" / "tracks.csv", [*HEAD, *rows])


def _small(folder: Path) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for place, part in enumerate(("training", "validation", "test")):
        for number, genre in enumerate(GENRES * 2):
            track = 1000 * (place + 1) + 140 + number
            rows.append((track, 0, track // 2 + 10, part, "small", genre, 'a "title"'))
            sound(folder / "fma_small" / f"{track // 1000:03}" / f"{track:06}.mp3", genre, rate=44_100, channels=2)
    return rows
