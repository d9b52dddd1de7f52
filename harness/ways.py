"""The ways in which a length of audio is put through an upstream to be measured, and lengths themselves."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from harness.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from harness.models import Upstream

Unit = Literal["seconds", "tokens"]


@dataclass(frozen=True, order=True)
class Length:
    """How long a clip is: in seconds, or in tokens of the upstream that hears it."""

    unit: Unit
    value: float

    def __str__(self) -> str:
        return f"{self.value:g} s" if self.unit == "seconds" else f"{self.value:.0f} tokens"

    def samples(self, upstream: "Upstream") -> int:
        """The shortest clip of this length.

        Raises:
            UserError: the upstream has no tokens in time.
        """
        if self.unit == "seconds":
            return max(1, round(self.value * upstream.sample_rate))
        if upstream.frame_rate is None:
            raise UserError("one frame a clip cannot be measured in tokens: give --seconds")
        further = max(0, math.ceil(self.value / upstream.tokens_per_frame) - 1)
        return upstream.shortest + math.ceil(further * upstream.sample_rate / upstream.frame_rate)


class Way(NamedTuple):
    """How clips go through an upstream: what makes random ones of a length, and what is timed, which gives the tokens
    of a clip."""

    summary: str
    clips: "Callable[[Upstream, Length, int], Tensor]"
    forward: "Callable[[Upstream, Tensor], int]"


def _noise(upstream: "Upstream", length: Length, batch: int) -> "Tensor":
    """White noise (clip, sample), on the CPU, as decoded clips are."""
    import torch

    return 0.1 * torch.randn(batch, length.samples(upstream))


def _uncut(upstream: "Upstream", wave: "Tensor") -> int:
    return upstream.encode_unseen(wave).hidden[0].shape[1] * upstream.tokens_per_frame


def _windowed(upstream: "Upstream", wave: "Tensor") -> int:
    return upstream.encode_in_windows(wave).hidden[0].shape[1] * upstream.tokens_per_frame


def _image(upstream: "Upstream", length: Length, batch: int) -> "Tensor":
    """Gaussian images (clip, frame, bin) on the upstream's device.

    Raises:
        UserError: the upstream reads no images, or the length is given in seconds.
    """
    import torch

    shape = getattr(upstream, "image_shape", None)
    if shape is None or length.unit != "tokens":
        raise UserError("images are measured in tokens, and of upstreams that cut a spectrogram in patches")
    return torch.randn(batch, *shape(int(length.value)), device=upstream.device)


def _answer(upstream: Any, image: "Tensor") -> int:
    """The mean of the final tokens, and its sigmoid."""
    answer, tokens = upstream.answer_image(image)
    answer.sigmoid_()
    return int(tokens)


WAYS = {
    "uncut": Way("the whole clip in one forward, its positions stretched to fit", _noise, _uncut),
    "windowed": Way("as extraction does it: a clip beyond the upstream's limit in equal windows", _noise, _windowed),
    "image": Way("random spectrograms into the network alone, then the sigmoid", _image, _answer),
}


def is_cut(upstream: "Upstream", length: Length) -> bool:
    """Whether extraction would cut a clip of this length, so that the windowed way differs from the uncut one."""
    if upstream.longest is None or (length.unit == "tokens" and upstream.frame_rate is None):
        return False
    return length.samples(upstream) > upstream.longest
