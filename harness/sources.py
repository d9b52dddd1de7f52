"""Where the data of a task come from: archives on the net, or a person who has to ask for them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Archive:
    """A zip or tar file on the net, or with ``loose`` a single file that is kept as it is.

    It goes to ``into``, a folder in the data folder, or to the data folder itself. ``more`` are the addresses of
    further parts, which are joined in their order; those of a split zip archive end with the one that is named zip.
    ``checksum`` is ``md5:...`` or ``sha256:...``, and ``cited`` says where it is published; without one, the SHA-256 is
    recorded when the archive is first fetched.
    """

    url: str
    into: str = ""
    loose: bool = False
    more: tuple[str, ...] = ()
    checksum: str = ""
    cited: str = ""

    def __post_init__(self) -> None:
        """Refuse a checksum that nobody has published."""
        if bool(self.checksum) != bool(self.cited):
            raise ValueError(f"the checksum of {self.url} and where it is published go together")

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses of all parts."""
        return (self.url, *self.more)

    @property
    def name(self) -> str:
        """The file's own name."""
        path = unquote(urlsplit(self.url).path).removesuffix("/content")  # as Zenodo's interface for programs ends
        return path.rpartition("/")[2]


@dataclass(frozen=True)
class ByHand:
    """Data that no command may fetch: ``ask`` says where they are had, ``put`` what must then lie in the folder.

    Both continue a sentence: ``"sign the form at https://..."`` and ``"the folder IEMOCAP_full_release"``.
    """

    ask: str
    put: str


#: Archives, a person's errand, or a function that makes the data in an empty folder; None where nobody can say.
Source = tuple[Archive, ...] | ByHand | Callable[[Path], None] | None
