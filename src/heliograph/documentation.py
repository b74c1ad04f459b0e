"""Where the documentation is, for messages that name one of its pages."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["DOCUMENTATION", "page"]

DOCUMENTATION: Final = Path(__file__).parent / "docs"
"""The folder of the pages, of the version that is installed. The wheel contains it."""


def page(name: str) -> str:
    """
    Return where a page of the documentation is.

    Args:
        name: The name of the file, such as ``"redis.md"``.
    """
    return str(DOCUMENTATION / name)
