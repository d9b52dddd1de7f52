"""IEMOCAP: SessionN with sentences/wav/DIALOGUE/TURN.wav and dialog/EmoEvaluation/DIALOGUE.txt."""

from pathlib import Path

from trees._writing import sound, text

EMOTIONS = ("neu", "hap", "exc", "ang", "sad", "fru", "xxx")


def write(folder: Path, variant: str) -> None:
    """A dialogue of every session, with a turn of each emotion by both actors, and what archives leave beside."""
    for number in range(1, 6):
        root, dialogue = folder / "IEMOCAP_full_release" / f"Session{number}", f"Ses0{number}F_impro01"
        lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        for speaker in "FM":
            for place, emotion in enumerate(EMOTIONS):
                turn = f"{dialogue}_{speaker}{place:03}"
                sound(root / "sentences" / "wav" / dialogue / f"{turn}.wav", emotion, seconds=0.1)
                lines += [f"[{place}.2901 - {place}.8237]\t{turn}\t{emotion}\t[2.5000, 2.5000, 2.5000]"]
                lines += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
        text(root / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", lines)
        text(root / "dialog" / "EmoEvaluation" / "Categorical" / f"{dialogue}_e1_cat.txt", ["[no] turns"])
        (root / "dialog" / "EmoEvaluation" / f"._{dialogue}.txt").write_bytes(b"\x00\x05\x16\x07\xff")
