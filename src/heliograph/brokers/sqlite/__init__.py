"""
Channels in an SQLite file that all processes of a machine share: the default broker.

:mod:`.broker` is the asynchronous half. It commits batches of appends in one thread
(:mod:`.worker`) and reads in another, each with a connection of its own
(:mod:`.connection`, :mod:`.schema`). :mod:`.writing`, :mod:`.reading` and :mod:`.news` are
what these threads do; :mod:`.changes` says which channels are listened to.
:mod:`.doorbell` wakes other processes. :mod:`.trust` decides whether the file may be used,
and :mod:`.private_files` who else may read and write it.

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
