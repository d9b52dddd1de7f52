"""NSynth: nsynth-PART/audio/FAMILY_SOURCE_NUMBER-PITCH-VELOCITY.wav, and a JSON file of every note."""

from pathlib import Path

from trees._writing import as_json, sound

INSTRUMENTS = {
    "train": ("bass_synthetic_033", "vocal_acoustic_002"),
    "valid": ("bass_synthetic_098", "vocal_acoustic_011"),
    "test": ("bass_synthetic_098", "vocal_acoustic_011"),
}
PITCHES = (60, 62, 109)


def write(folder: Path, variant: str) -> None:
    """Two instruments in every part, those of two parts alike; two pitches, and one that HEAR leaves out."""
    for part, instruments in INSTRUMENTS.items():
        root = folder / f"nsynth-{part}"
        notes = {}
        for instrument in instruments:
            for pitch in PITCHES:
                velocity = 25 if part == "valid" else 100
                name = f"{instrument}-{pitch:03}-{velocity:03}"
                family = instrument.rsplit("_", 2)[0]
                notes[name] = {
                    "instrument_family_str": family,
                    "instrument_str": instrument,
                    "note_str": name,
                    "pitch": pitch,
                    "velocity": velocity,
                    "sample_rate": 16_000,
                }
                sound(root / "audio" / f"{name}.wav", f"{family}{pitch}", seconds=0.2)
        as_json(root / "examples.json", notes)
