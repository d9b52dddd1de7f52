"""What a check of a contract finds."""

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """What one check tried, what it saw, and what to change if that is not as it must be."""

    check: str
    tried: str
    seen: str
    #: Empty where all is well.
    change: str = ""
    #: Why the check was left out, if it was.
    left_out: str = ""

    @property
    def state(self) -> Literal["well", "ILL", "left out"]:
        """In a word."""
        return "left out" if self.left_out else "ILL" if self.change else "well"
