"""
Channels in an SQLite file that all processes of a machine share: the default broker.

The broker is imported when it is first asked for: the hub and the faces import other
modules of this package, also where Python was built without ``sqlite3``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .broker import SqliteBroker

__all__ = ["SqliteBroker"]


def __getattr__(name: str) -> object:
    if name != "SqliteBroker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .broker import SqliteBroker  # noqa: PLC0415 - see above

    return SqliteBroker
