"""VoxCeleb1: dev/wav and test/wav with SPEAKER/VIDEO/NUMBER.wav, the split of identification, two lists of trials."""

from pathlib import Path

from trees._writing import sound, text

#: Eleven who have no trials, so that two of them choose, and two who have.
SPEAKERS = {**{f"id{10_001 + i}": "dev" for i in range(11)}, "id10270": "test", "id10271": "test"}
VIDEOS = {"1": "1zcIwhmdeo4", "2": "7gWzIy6yIIk", "3": "-9IwQ_sX0vA"}


def write(folder: Path, variant: str) -> None:
    """An utterance in each of three videos of every speaker."""
    root = folder / "VoxCeleb1"
    split = []
    for speaker, part in SPEAKERS.items():
        for number, video in VIDEOS.items():
            split.append(f"{number} {speaker}/{video}/00001.wav")
            sound(root / part / "wav" / speaker / video / "00001.wav", speaker, seconds=0.1)
    text(root / "iden_split.txt", split)
    one, two, three = VIDEOS.values()
    trials = [
        f"1 id10270/{one}/00001.wav id10270/{two}/00001.wav",
        f"0 id10270/{one}/00001.wav id10271/{one}/00001.wav",
        f"1 id10271/{one}/00001.wav id10271/{two}/00001.wav",
        f"0 id10271/{two}/00001.wav id10270/{two}/00001.wav",
    ]
    text(root / "veri_test2.txt", trials)
    text(root / "veri_test.txt", [*trials, f"0 id10270/{three}/00001.wav id10271/{three}/00001.wav"])
