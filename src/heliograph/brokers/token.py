"""Names of appends."""

from __future__ import annotations

import itertools
import os
import secrets

__all__ = ["new_token"]


class _Names:
    """
    Names that no other process gives, nor this one twice.

    A random name for each append would be a system call for each: as long as the encoding
    of an event takes.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew: what a forked child has is its parent's."""
        self._process = secrets.token_urlsafe(9)
        self._numbers = itertools.count()

    def next(self) -> str:
        return f"{self._process}{next(self._numbers):x}"


_names = _Names()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_names.begin)

new_token = _names.next
"""Return a name that no other append has, in any process."""
