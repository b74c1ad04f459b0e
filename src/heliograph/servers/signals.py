"""The server of this process, where only the handler of its signal leads to it."""

from __future__ import annotations

# Not signal.getsignal(): it tries to make a member of an enumeration of each handler, which
# raises and is caught, and this is asked for each stream.
from _signal import getsignal  # type: ignore[import-not-found]  # typeshed has none
from signal import SIGTERM
from typing import Any

__all__ = ["handler_of_stop"]


def handler_of_stop() -> Any:
    """
    Return the object whose method handles SIGTERM in this process.

    Returns:
        :obj:`None` if it is handled by something else than a method.
    """
    return getattr(getsignal(SIGTERM), "__self__", None)
