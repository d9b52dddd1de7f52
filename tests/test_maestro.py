"""MAESTRO: notes as a plain reading of keys and pedal gives them, pieces apart, five hours."""

import importlib
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import mido
import pytest

from harness.registry import load_task
from harness.types import Clip, SoundEvent

import trees

midi = importlib.import_module("harness.tasks._midi")
maestro = importlib.import_module("harness.tasks.maestro")
Refused = Callable[[str], AbstractContextManager[None]]

#: At 1,000 ticks a beat and 1,000,000 microseconds, a tick is a millisecond.
MILLISECONDS = {"ticks_per_beat": 1000}


def on(pitch: int, time: int) -> Any:
    return mido.Message("note_on", note=pitch, velocity=64, time=time)


def off(pitch: int, time: int) -> Any:
    return mido.Message("note_off", note=pitch, time=time)


def pedal(value: int, time: int) -> Any:
    return mido.Message("control_change", control=64, value=value, time=time)


def write(path: Path, *messages: Any) -> Path:
    """A file whose times are milliseconds since the message before."""
    tempo = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000)])
    mido.MidiFile(tracks=[tempo, mido.MidiTrack(messages)], **MILLISECONDS).save(path)
    return path


def rounded(notes: Sequence[SoundEvent]) -> list[tuple[int, int, int]]:
    """Pitch, onset and offset in milliseconds."""
    return [(int(note.label), round(1000 * note.onset), round(1000 * note.offset)) for note in notes]


PLAYED: dict[str, tuple[list[Any], list[tuple[int, int, int]]]] = {
    "a key": ([on(60, 100), off(60, 200)], [(60, 100, 300)]),
    "no velocity is a key let go": (
        [on(60, 100), mido.Message("note_on", note=60, velocity=0, time=200)],
        [(60, 100, 300)],
    ),
    "two keys": ([on(62, 0), on(60, 10), off(62, 90), off(60, 100)], [(62, 0, 100), (60, 10, 200)]),
    "a chord, by pitch": ([on(67, 5), on(60, 0), off(67, 10), off(60, 10)], [(60, 5, 25), (67, 5, 15)]),
    "the pedal holds": ([pedal(64, 0), on(60, 100), off(60, 100), pedal(63, 300)], [(60, 100, 500)]),
    "the pedal comes while the key is down": ([on(60, 0), pedal(127, 50), off(60, 50), pedal(0, 50)], [(60, 0, 150)]),
    "the pedal comes too late": ([on(60, 0), off(60, 50), pedal(127, 50), pedal(0, 50)], [(60, 0, 50)]),
    "a held note is struck again": (
        [pedal(127, 0), on(60, 0), off(60, 50), on(60, 50), off(60, 50), pedal(0, 50)],
        [(60, 0, 100), (60, 100, 200)],
    ),
    "the key is down when the pedal goes": ([pedal(127, 0), on(60, 0), pedal(0, 50), off(60, 50)], [(60, 0, 100)]),
    "another controller": (
        [mido.Message("control_change", control=67, value=127), on(60, 0), off(60, 50)],
        [(60, 0, 50)],
    ),
    "what lasts is cut": ([on(60, 900), off(60, 500)], [(60, 900, 1000)]),
    "what comes later is left out": ([on(60, 0), off(60, 500), on(61, 500), off(61, 100)], [(60, 0, 500)]),
    "the tempo changes": (
        [on(60, 100), mido.MetaMessage("set_tempo", tempo=2_000_000), off(60, 100)],
        [(60, 100, 300)],
    ),
    "a key that is never let go": ([on(60, 0), on(61, 100), off(61, 100)], [(60, 0, 200), (61, 100, 200)]),
}


@pytest.mark.parametrize(("messages", "notes"), PLAYED.values(), ids=PLAYED.keys())
def test_notes_sound_as_keys_and_pedal_say(
    tmp_path: Path, messages: list[Any], notes: list[tuple[int, int, int]]
) -> None:
    assert rounded(midi.read_notes(write(tmp_path / "x.midi", *messages), 1.0)) == notes


def sounding(messages: Sequence[Any], time: int) -> set[int]:
    """Which pitches sound in the millisecond after ``time``, by playing all that came before."""
    keys: set[int] = set()
    ringing: set[int] = set()
    down, now = False, 0
    for message in messages:
        now += message.time
        if now > time:
            break
        if message.type == "control_change":
            down = message.value >= 64
        elif message.type == "note_on":
            keys.add(message.note)
            ringing.add(message.note)
        else:
            keys.discard(message.note)
        if not down:
            ringing = set(keys)
    return ringing


@pytest.mark.parametrize("seed", range(10))
def test_what_sounds_is_what_keys_and_pedal_keep_up(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    down: set[int] = set()
    messages: list[Any] = []
    for _ in range(80):
        pitch, time = rng.randrange(60, 66), rng.randrange(1, 20)
        if rng.random() < 0.25:
            messages.append(pedal(rng.choice([0, 40, 64, 127]), time))
        else:
            messages.append(off(pitch, time) if pitch in down else on(pitch, time))
            down ^= {pitch}
    notes = rounded(midi.read_notes(write(tmp_path / "x.midi", *messages), 0.6))
    heard = [{pitch for pitch, onset, offset in notes if onset <= time < offset} for time in range(600)]
    assert heard == [sounding(messages, time) for time in range(600)]


@pytest.mark.parametrize(
    "content", [b"", b"MThd", b"RIFF and so on and on", b"MThd\0\0\0\6\0\1\0\1\1\x80MTrk\0\0\0\x40\0"]
)
def test_what_is_no_midi_is_refused(tmp_path: Path, refused: Refused, content: bytes) -> None:
    (tmp_path / "x.midi").write_bytes(content)
    with refused("x.midi cannot be read as MIDI: it is none, or damaged"):
        midi.read_notes(tmp_path / "x.midi", 1.0)


def test_a_midi_file_that_is_not_there_is_told(tmp_path: Path, refused: Refused) -> None:
    with refused("x.midi cannot be read as MIDI: No such file"):
        midi.read_notes(tmp_path / "x.midi", 1.0)


def listed(folder: Path) -> list[Clip]:
    trees.write("maestro", folder)
    return load_task("maestro").list_clips(folder)


def test_notes_beyond_a_piano_are_left_out(tmp_path: Path) -> None:
    first = next(clip for clip in listed(tmp_path) if "Chamber3" in clip.id)
    assert (first.start, first.stop) == (0.0, 0.6)
    assert [event.label for event in first.target] == ["60", "65", "67"]  # type: ignore[union-attr]


def test_a_piece_is_in_one_fold_whoever_plays_it(tmp_path: Path) -> None:
    clips = listed(tmp_path)
    assert len(clips) == 20
    assert len({clip.group for clip in clips}) == 10 == len({(clip.group, clip.fold) for clip in clips})


def test_folds_are_drawn_down_to_five_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maestro, "MOST", 2)
    assert sorted(clip.fold for clip in listed(tmp_path)) == sorted(2 * maestro.FOLDS)


def test_of_what_is_not_there_no_notes_are_asked(tmp_path: Path) -> None:
    gone = listed(tmp_path)[0]
    gone.path.unlink()
    gone.path.with_suffix(".midi").unlink()
    assert load_task("maestro").list_clips(tmp_path)[0].target == ()


def test_a_length_that_is_none_is_refused(tmp_path: Path, refused: Refused) -> None:
    listed(tmp_path)
    file = tmp_path / "maestro-v3.0.0" / "maestro-v3.0.0.csv"
    file.write_text(file.read_text().replace("0.6000000", "long", 1))
    with refused("maestro-v3.0.0.csv says that .* lasts 'long' seconds"):
        load_task("maestro").list_clips(tmp_path)
