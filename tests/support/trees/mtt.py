"""MagnaTagATune: sixteen folders of ARTIST-ALBUM-TRACK-FIRST-LAST.mp3, and a table of tags between tabs."""

from pathlib import Path

from trees._writing import sound, table

#: The fifty that are asked for, and two that are not.
TAGS = (
    *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient"),
    *("beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals"),
    *("harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo"),
    *("man", "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello"),
    *("no voice", "weird", "country", "metal", "female voice", "choral", "bongos", "no piano"),
)
SETS = (("guitar", "slow"), ("no vocals", "techno"), ("bongos",))


def write(folder: Path, variant: str) -> None:
    """In four folders excerpts of two songs each with two sets of tags and without one; and one that is left out."""
    rows: list[tuple[str, ...]] = [("clip_id", *TAGS, "mp3_path")]
    for place in "0bcf":
        for song in range(2):
            for number, tags in enumerate(SETS):
                name = f"{place}/the_band-an_album-{song:02}-the_song-{29 * number}-{29 * number + 29}.mp3"
                rows.append(_row(str(100 * int(place, 16) + 10 * song + number), tags, name))
                sound(folder / name, tags[0], seconds=0.2)
    rows.append(_row("35644", ("guitar",), "6/norine_braun-now_and_zen-08-gently-117-146.mp3"))
    table(folder / "annotations_final.csv", rows, delimiter="\t")


def _row(number: str, tags: tuple[str, ...], name: str) -> tuple[str, ...]:
    return (number, *("1" if tag in tags else "0" for tag in TAGS), name)
