"""RAVDESS: Actor_NN/MODALITY-CHANNEL-EMOTION-INTENSITY-STATEMENT-REPETITION-ACTOR.wav at 48 kHz."""

from pathlib import Path

from trees._writing import sound


def write(folder: Path, variant: str) -> None:
    """Every actor in three emotions, a song, and a second tree of the same files, as a copy has it."""
    for actor in range(1, 25):
        for place in (folder, folder / "audio_speech_actors_01-24")[: 1 + (actor == 1)]:
            for emotion in ("01", "03", "08"):
                name = f"03-01-{emotion}-01-02-01-{actor:02}.wav"
                sound(place / f"Actor_{actor:02}" / name, emotion, rate=48_000, seconds=0.1, channels=1 + (actor == 2))
    sound(folder / "Actor_03" / "03-02-03-01-01-01-03.wav", rate=48_000, seconds=0.1)
