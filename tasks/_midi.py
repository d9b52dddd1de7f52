"""MIDI files: which notes of a piano sound when."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.types import SoundEvent

#: The controller of the sustain pedal, and the least value at which it is down.
PEDAL, DOWN = 64, 64
#: Microseconds a beat, until a file says otherwise.
TEMPO = 500_000


def read_notes(path: Path, stop: float) -> tuple[SoundEvent, ...]:
    """The notes of the first ``stop`` seconds by their onsets, each labelled with its pitch, a MIDI number.

    A note sounds until its key is up and so is the pedal, or until it is struck again (Hawthorne et al. 2018, arXiv
    1710.11153, section 2).

    Raises:
        UserError: the file cannot be read, or is no MIDI.
    """
    begun: dict[int, float] = {}
    held: set[int] = set()
    notes: list[SoundEvent] = []

    def end(pitch: int, time: float) -> None:
        held.discard(pitch)
        onset = begun.pop(pitch, time)
        if onset < time:
            notes.append(SoundEvent(str(pitch), onset, time))

    pedal, time = False, 0.0
    for time, message in _messages(path):
        if time >= stop:
            break
        if message.type == "control_change":
            pedal = message.value >= DOWN
            for pitch in () if pedal else sorted(held):
                end(pitch, time)
        elif message.type == "note_on" and message.velocity:
            end(message.note, time)
            begun[message.note] = time
        elif pedal:
            held.add(message.note)
        else:
            end(message.note, time)
    for pitch in sorted(begun):
        end(pitch, min(time, stop))
    return tuple(sorted(notes, key=lambda note: (note.onset, int(note.label))))


def _messages(path: Path) -> Iterator[tuple[float, Any]]:
    """What keys and the pedal do, and when, in seconds."""
    import mido

    try:
        file = mido.MidiFile(path)
    except (OSError, EOFError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or "it is none, or damaged"
        raise UserError(f"{path} cannot be read as MIDI: {reason}") from error
    timed = []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type in ("note_on", "note_off", "set_tempo") or message.is_cc(PEDAL):
                timed.append((tick, message))
    tempo, last, time = TEMPO, 0, 0.0
    for tick, message in sorted(timed, key=lambda pair: pair[0]):
        time += mido.tick2second(tick - last, file.ticks_per_beat, tempo)
        last = tick
        if message.type == "set_tempo":
            tempo = message.tempo
        else:
            yield time, message
