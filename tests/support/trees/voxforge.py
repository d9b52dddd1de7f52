"""VoxForge: a list of archives, and side by side SPEAKER-DATE-ID/wav/NAME.wav, with etc beside wav."""

from pathlib import Path

from trees._writing import sound, text

ADDRESS = "www.repository.voxforge1.org/downloads/{}/Trunk/Audio/Main/16kHz_16bit/{}.tgz"
SPEAKERS = ("anonymous", "guenter", "Aaron", "ralfherzog", "rocio", "zoe", "mjw", "k", "Petr", "delph")


def write(folder: Path, variant: str) -> None:
    """Ten speakers with an archive each in two languages, and one archive that is listed and absent."""
    urls = [f'"{ADDRESS.format("fr", "absent-20140214-xyz")}"']
    for language in ("de", "en"):
        for speaker in SPEAKERS:
            name = f"{speaker}-20140214-{language}n"
            urls.append(ADDRESS.format(language, name))
            sound(folder / name / "wav" / f"{language}5-001.wav", language, seconds=0.1)
            text(folder / name / "etc" / "PROMPTS", [f"{name}/mfc/{language}5-001 EIN SATZ"])
    text(folder / "voxforge_urls.txt", urls)
