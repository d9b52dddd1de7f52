"""The exception whose message is written for the user: it ends a command with one sentence and exit code 2."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can mend; the message says what was given, what there is, and what to do."""


class NotApplicable(UserError):
    """What is asked for cannot be had of this upstream, though it can of others: a table says so in its cell."""


def choices(given: str, known: Iterable[str]) -> str:
    """The tail of a sentence about a name that is not known: the nearest name, and what there is."""
    names = sorted(known)
    near = get_close_matches(given, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}there is {', '.join(names) or 'nothing'}"
