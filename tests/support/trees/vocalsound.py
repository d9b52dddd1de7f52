"""VocalSound at 16 kHz: audio_16k/SPEAKER_SESSION_SOUND.wav and lists with the authors' own paths."""

from pathlib import Path

from trees._writing import as_json, sound

SPEAKERS = {"tr": ("f0003", "m0004", "f0005"), "val": ("m0011",), "te": ("f0021",)}
SOUNDS = {"cough": "/m/01b_21", "laughter": "/m/01j3sz", "sigh": "/m/07plz5l"}


def write(folder: Path, variant: str) -> None:
    """Three sounds of five speakers, and one that no list names."""
    for part, speakers in SPEAKERS.items():
        rows = []
        for speaker in speakers:
            for label, code in SOUNDS.items():
                name = f"{speaker}_0_{label}.wav"
                sound(folder / "audio_16k" / name, label)
                rows.append({"wav": f"/data/sls/vs/{name}", "labels": code, "spk_id": speaker})
        as_json(folder / "datafiles" / f"{part}.json", {"data": rows})
    sound(folder / "audio_16k" / "f0003_1_sniff.wav", "sniff")
