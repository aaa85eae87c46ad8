"""The error that a person can act on: one line that says what is wrong and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Problem(Exception):  # noqa: N818 - it is the reader's problem, not the program's error
    """Bad input. The command line prints the message alone and exits with 2."""


def nearest(name: str, known: Iterable[str], n: int = 3) -> str:
    """The names in `known` closest to `name`, as `a, b or c`; all of them when none is close and they are few."""
    known = sorted(known)
    found = difflib.get_close_matches(name, known, n=n, cutoff=0.6) or (known if len(known) <= 8 else [])
    if len(found) > 1:
        return ", ".join(found[:-1]) + " or " + found[-1]
    return found[0] if found else ""
