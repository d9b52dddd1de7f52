"""Vocal Imitation Set: a table with tabs, a first column without a name, and folders of what is and is not included."""

from pathlib import Path

from trees._writing import sound, table

COLUMNS = (
    *("", "imitation_id", "imitation_filename", "category_id", "category_d1", "category_d2", "category_d3"),
    *("category_d4", "category_d5", "category_d6", "reference_filename", "included", "draft", "training"),
    *("participant_id", "satisfaction", "participants_sound_recording_description"),
    "participants_sound_recording_description_confidence",
)
SOUNDS = (
    "002Animal_Domestic animals_ pets_Cat_Meow",
    "077Music_Musical instrument_Bell_Church bell",
    "157Sounds of things_Alarm_Siren_Civil defense siren",
)


def write(folder: Path, variant: str) -> None:
    """Three sounds by six people, one of whom is unknown, and an imitation that was not included."""
    root = folder / "VocalImitationSet"
    rows: list[tuple[object, ...]] = [COLUMNS]
    for place, heard in enumerate(SOUNDS):
        for person in range(7):
            name, included = f"{heard}-{4808870065078272 + len(rows)}.wav", person < 6
            who = f"{5734240000000000 + person}.0" if person else ""
            rows.append(
                (
                    *(len(rows) - 1, len(rows) - 1, name, place, "Animal", "Domestic animals, pets", "", "", "", ""),
                    *(f"{heard}_reference.wav", included, False, False, who, "Satisfied", 'a "meow"', "Confident"),
                )
            )
            where = "included" if included else "excluded"
            sound(root / "vocal_imitations" / where / name, heard, seconds=0.1, rate=(44_100, 48_000)[person % 2])
    table(root / "vocal_imitations.txt", rows, delimiter="\t")
