"""Checkpoints with a head of labels: they were fine-tuned on them, whatever the card of their family says."""

import re
from collections.abc import Iterable

from harness.cards import Training

FINE_TUNED = Training("supervised", note="fine-tuned: its checkpoint has a head of labels")
#: Heads of labels on encoders of speech, as transformers names them. Those of pre-training are none.
OF_SPEECH = r"([a-z0-9_]+\.)?((lm_head|classifier|projector|tdnn|objective)\.|layer_weights$)"


def learned_from_labels(ignored: Iterable[str], head: str) -> Training | None:
    """What the keys that loading left out tell of a checkpoint's training; None if none of them is of a ``head``."""
    return FINE_TUNED if any(re.match(head, key) for key in ignored) else None
