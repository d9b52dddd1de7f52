"""Fluent Speech Commands: wavs/speakers/SPEAKER/UUID.wav and a table for each part."""

import uuid
from pathlib import Path

from trees._writing import sound, table

SPEAKERS = {
    "train": ("2BqVo8kVB2Skwgyb", "4BrX8aDqK2cLZRYl"),
    "valid": ("2ojo7YRL7Gck83Z3",),
    "test": ("4aGjX3AG5xcxeL7a",),
}
COMMANDS = (
    ("Change language", "change language", "none", "none"),
    ("Turn the lights on in the kitchen", "activate", "lights", "kitchen"),
    ("Bring me my shoes", "bring", "shoes", "none"),
    ("Volume up", "increase", "volume", "none"),
)


def write(folder: Path, variant: str) -> None:
    """Four commands by every speaker."""
    root = folder / "fluent_speech_commands_dataset"
    for part, speakers in SPEAKERS.items():
        rows: list[tuple[object, ...]] = [
            ("", "path", "speakerId", "transcription", "action", "object", "location"),
        ]
        for speaker in speakers:
            for words in COMMANDS:
                path = f"wavs/speakers/{speaker}/{uuid.uuid5(uuid.NAMESPACE_URL, speaker + words[0])}.wav"
                rows.append((len(rows) - 1, path, speaker, *words))
                sound(root / path, words[0], seconds=0.1)
        table(root / "data" / f"{part}_data.csv", rows)
