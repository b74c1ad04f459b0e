"""Names of appends."""

from __future__ import annotations

import itertools
import os
import secrets

__all__ = ["new_token"]


class _Names:
    """
    Names that no other process gives, nor this one twice.

    A random name for each append would take as long as encoding an event does.
    """

    def __init__(self) -> None:
        self._process = 0

    def next(self) -> str:
        # Not a hook of forks: uWSGI does not call those when it forks its workers.
        if self._process != os.getpid():
            self._process = os.getpid()
            self._prefix = secrets.token_urlsafe(9)
            self._numbers = itertools.count()
        return f"{self._prefix}{next(self._numbers):x}"


new_token = _Names().next
"""Return a name that no other append has, in any process."""
