"""Sound events from frames, frames from sound events, and how well found events agree with true ones."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.features import Array
from harness.types import SoundEvent

Events = tuple[SoundEvent, ...]
Times = npt.NDArray[np.floating[Any]]


def frame_targets(events: Events, labels: Sequence[str], times: Times) -> Array:
    """What every frame should answer: (frame, label), 1 where onset <= the frame's centre < offset, else 0.

    ``times`` (frame,) are the centres in seconds. HEAR labels frames alike.
    """
    column = {label: i for i, label in enumerate(labels)}
    targets = np.zeros((len(times), len(labels)), np.float32)
    for event in events:
        targets[(event.onset <= times) & (times < event.offset), column[event.label]] = 1
    return targets


def find_events(
    scores: Array,
    labels: Sequence[str],
    times: Times,
    *,
    threshold: float = 0.5,
    median: float = 0.25,
    shortest: float = 0.125,
) -> Events:
    """Runs of frames in which a label is likelier than ``threshold``, by their onsets.

    ``scores`` (frame, label) are logits; ``times`` (frame,) are the centres of frames of one length, in seconds. A
    median filter of ``median`` seconds smooths each label, then what is shorter than ``shortest`` seconds is dropped.
    An event reaches from the beginning of its first frame to the end of its last.

    Source: HEAR's postprocessing of events (Turian et al. 2022, as ``heareval`` has it), which differs in two points.
    There events reach from the first centre to the last, so they are a frame shorter when they are measured. And the
    filter there may be even and so off centre by half a frame; here an even one is made a frame longer.
    """
    from scipy.ndimage import median_filter
    from scipy.special import logit

    if not len(times):
        return ()
    # A lone frame's length is not known from its neighbours; it begins where the clip does.
    hop = float(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 2 * float(times[0])
    # A median and a threshold commute, and there is less to sort in what is 0 or 1.
    heard = median_filter((scores > logit(threshold)).astype(np.int8), size=(round(median / hop) | 1, 1))
    edges = np.diff(heard.T, axis=1, prepend=0, append=0)
    events = [
        SoundEvent(labels[label], max(0.0, float(times[first]) - hop / 2), float(times[end - 1]) + hop / 2)
        for (label, first), (_, end) in zip(np.argwhere(edges == 1), np.argwhere(edges == -1), strict=True)
        if round((end - first) * hop - shortest, 6) >= 0  # rounding errors must not drop what is just long enough
    ]
    return tuple(sorted(events, key=lambda event: event.onset))


def event_onset_f(
    reference: Sequence[Events],
    found: Sequence[Events],
    weight: npt.NDArray[Any] | None = None,
    *,
    tolerance: float = 0.2,
    offsets: float | None = None,
) -> Any:
    """The F-measure of found events, over all clips and labels together; NaN where there is no event at all.

    An event is found where one of the same label begins at most ``tolerance`` seconds from it; each matches one other
    at most, and as many as possible do. With ``offsets`` they must also end at most so much of the reference's length
    apart, or ``tolerance`` seconds where that is more. ``weight`` (clip,) multiplies a clip's counts; (draw, clip)
    gives a value for each draw.

    Source: event-based overall F of sed_eval (Mesaros et al. 2016), as HEAR scores with 200 ms, or 50 ms
    and ``offsets=0.2``. It is compared in floating point as it stands there, so events just ``tolerance`` apart can
    fall on either side. Where nothing is found, sed_eval gives NaN; here, as in HEAR, it is 0.
    """
    clips = zip(reference, found, strict=True)
    counts = np.array([(_hits(true, own, tolerance, offsets), len(true) + len(own)) for true, own in clips])
    hits, events = ((np.ones(len(counts)) if weight is None else weight) @ counts.reshape(-1, 2)).T
    return np.divide(2.0 * hits, events, out=np.full(np.shape(events), np.nan), where=events > 0)[()]


@lru_cache(maxsize=512)  # settings that are tried give the same answers again and again
def _hits(reference: Events, found: Events, tolerance: float, offsets: float | None) -> int:
    """How many events of a clip can be matched one to one."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not (reference and found):
        return 0
    (labels, onset, offset), (labels_, onset_, offset_) = (
        [np.array(column) for column in zip(*events, strict=True)] for events in (reference, found)
    )
    fits = (labels[:, None] == labels_) & (np.abs(onset[:, None] - onset_) <= tolerance)
    if offsets is not None:
        reach = np.maximum(tolerance, offsets * (offset - onset))
        fits &= np.abs(offset[:, None] - offset_) <= reach[:, None]
    return int((maximum_bipartite_matching(csr_matrix(fits)) >= 0).sum())
