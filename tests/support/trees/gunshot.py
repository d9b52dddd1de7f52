"""Gunshot Triangulation in its copy of ready clips: MICROPHONE_SHOT_FIREARM.wav."""

from pathlib import Path

from trees._writing import sound


def write(folder: Path, variant: str) -> None:
    """Four microphones and seven firearms, all shots but the last."""
    for shot in range(21):
        for mic in ("mic1", "mic2", "mic3", "mic4"):
            name = f"{mic}_shot{shot}_fid{max(0, shot - 1) // 3 + 1}.wav"
            sound(folder / "gunshot_triangulation" / name, mic, seconds=0.05, rate=48_000)
