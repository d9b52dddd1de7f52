"""GTZAN music and speech: music_speech/LABEL_wav/NAME.wav, with what macOS leaves beside them."""

from pathlib import Path

from trees._writing import sound


def write(folder: Path, variant: str) -> None:
    """Twelve of each."""
    root = folder / "music_speech"
    for label, names in (("music", "bagpipe"), ("speech", "voice")):
        for number in range(12):
            sound(root / f"{label}_wav" / f"{names}{number}.wav", label, seconds=0.1, rate=22_050)
    (root / "music_wav" / "._bagpipe1.wav").write_bytes(b"\0")
