"""MAESTRO: YEAR/NAME.wav and NAME.midi, and one table."""

from pathlib import Path

import mido

from trees._writing import sound, table

HEAD = ("canonical_composer", "canonical_title", "split", "year", "midi_filename", "audio_filename", "duration")


def write(folder: Path, variant: str) -> None:
    """Two performances each of ten pieces, with an octave of notes; the pedal is down over the last of them."""
    root = folder / "maestro-v3.0.0"
    rows: list[tuple[object, ...]] = [HEAD]
    for piece in range(10):
        for year in (2004, 2018):
            name = f"{year}/MIDI-Unprocessed_Chamber{piece}_MID--AUDIO_10_R3_{year}_wav--1"
            rows.append(
                ("Alban Berg", f"Sonata Op. {piece}, I", "train", year, f"{name}.midi", f"{name}.wav", "0.6000000")
            )
            sound(root / f"{name}.wav", str(piece), seconds=0.6, rate=44_100, channels=2)
            _play(root / f"{name}.midi", piece)
    table(root / "maestro-v3.0.0.csv", rows)


def _play(path: Path, piece: int) -> None:
    """Four notes of 0.1 s at 120 beats a minute, of which one is none of a piano's."""
    keys = mido.MidiTrack()
    for number, pitch in enumerate((60, 62 + piece, 67, 12)):
        if number == 2:
            keys.append(mido.Message("control_change", control=64, value=127))
        keys.append(mido.Message("note_on", note=pitch, velocity=64, time=4))
        keys.append(mido.Message("note_on", note=pitch, velocity=0, time=76))
    tempo = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)])
    mido.MidiFile(tracks=[tempo, keys], ticks_per_beat=384).save(path)
