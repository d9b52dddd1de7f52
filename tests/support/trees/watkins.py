"""Watkins as BEANS has it: SPECIES/NUMBER.wav, where the number begins with the tape's, and one table."""

from pathlib import Path

from trees._writing import sound, table

SPECIES = ("Walrus", "Fin,_Finback_Whale", "Narwhal")


def write(folder: Path, variant: str) -> None:
    """Three species, two cuts of each of five tapes, one of them of two species; and the species that is left out."""
    rows: list[tuple[str, str]] = [("path", "species")]
    cuts = [(species, tape, cut) for species in SPECIES for tape in range(61025, 61030) for cut in ("001", "00A")]
    for species, tape, cut in [*cuts, ("Weddell_Seal", 80002, "001"), ("Weddell_Seal", 80002, "002")]:
        own = tape if tape == 61025 else tape + 10 * len(species)
        name = f"{species}/{own}{cut}.wav"
        rows.append((name, species))
        sound(folder / name, species, seconds=0.1, rate=10_240)
    table(folder / "annotations.csv", rows)
