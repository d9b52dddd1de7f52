"""ASVspoof 2019 LA: a folder of FLAC for each part, and its tables without a header."""

from pathlib import Path

from trees._writing import sound, table

SYSTEMS = {"train": ("A01", "A06"), "dev": ("A01", "A06"), "eval": ("A07", "A19")}
SPEAKERS = {"train": ("LA_0079", "LA_0080"), "dev": ("LA_0069", "LA_0070"), "eval": ("LA_0001", "LA_0002")}
ENDINGS = {"train": "trn", "dev": "trl", "eval": "trl"}


def write(folder: Path, variant: str) -> None:
    """Bona fide and spoofed speech of two speakers of each part, and in two a clip that no table names."""
    root = folder / "LA"
    for part, speakers in SPEAKERS.items():
        rows: list[tuple[str, ...]] = []
        audio = root / f"ASVspoof2019_LA_{part}" / "flac"
        for speaker in speakers:
            for system in ("-", "-", *SYSTEMS[part]):
                name, key = f"LA_{part[0].upper()}_{1_000_000 + len(rows)}", "bonafide" if system == "-" else "spoof"
                rows.append((speaker, name, "-", system, key))
                sound(audio / f"{name}.flac", key, seconds=0.1)
        if part != "train":
            sound(audio / f"LA_{part[0].upper()}_9999999.flac", seconds=0.1)
        name = f"ASVspoof2019.LA.cm.{part}.{ENDINGS[part]}.txt"
        table(root / "ASVspoof2019_LA_cm_protocols" / name, rows, delimiter=" ")
