"""
What an error of the file means: whether it may pass, and what to do if it does not.

SQLite says "unable to open database file" for many reasons. Those that have to do with
rights and file systems are found out here, with the owners and the modes.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from ...errors import BrokerUnavailableError, ConfigError
from .trust import is_shared, present_files
from .users import belongs, octal, owned, this_user

__all__ = ["ForeignFileError", "failure", "is_lock", "lacks_access"]

# SQLite's codes where a right is missing, and not only there.
_NO_ACCESS = frozenset(
    {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)
_LOCKS = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

# Errors that stay until somebody changes the file or the program. SQLITE_ERROR is a
# statement that this library or this file does not know.
_LASTING = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOLFS})
_LASTING_ERRNOS = frozenset(
    {
        errno.EACCES,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)

_HOW_TO_SHARE = (
    "make a group of both users, chgrp the folder to it, chmod 2770 the folder, and write"
    ' "sqlite:///…?mode=0660" for both'
)


class ForeignFileError(sqlite3.DatabaseError):
    """A database of another program, or of another version of this one."""


def failure(
    error: sqlite3.Error | OSError | ConfigError, path: Path, mode: int
) -> ConfigError | BrokerUnavailableError:
    """
    Return the error to raise for an error of the file.

    Args:
        error: What SQLite, the system or a check of the file has raised.
        path: The file.
        mode: The rights that it should give.

    Returns:
        :exc:`~heliograph.ConfigError` if the error will not pass by itself.
    """
    if isinstance(error, ConfigError):
        return error
    problem = None
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        lasts = error.errno in _LASTING_ERRNOS
        problem = access_problem(path, mode) if lasts else None
    elif lacks_access(error):
        problem = access_problem(path, mode)
        reason, lasts = str(error), problem is not None
    else:
        reason = str(error)
        lasts = isinstance(error, ForeignFileError) or _primary_code(error) in _LASTING
        if _primary_code(error) == sqlite3.SQLITE_ERROR:
            reason += f" (SQLite {sqlite3.sqlite_version})"
    if problem is not None:
        reason += f": {problem}"
    if lasts:
        return ConfigError([f"{path}: {reason}"])
    return BrokerUnavailableError(str(path), reason)


def is_lock(error: sqlite3.Error) -> bool:
    """
    Return whether another connection has a lock that was needed.

    Args:
        error: Any.
    """
    return _primary_code(error) in _LOCKS


def lacks_access(error: sqlite3.Error) -> bool:
    """
    Return whether a right may be missing.

    Args:
        error: Any.
    """
    return _primary_code(error) in _NO_ACCESS


def access_problem(path: Path, mode: int) -> str | None:
    """
    Return what prevents the use of a database; :obj:`None` if it is no right.

    Args:
        path: The file.
        mode: The rights that it should give.
    """
    if not hasattr(os, "geteuid"):
        return None
    try:
        return _access_problem(Path(os.path.realpath(path)), mode)
    except OSError:
        return None  # the path leads nowhere, as the error says


def _access_problem(real: Path, mode: int) -> str | None:
    for folder in reversed(real.parents):
        if not _may(folder, os.X_OK):
            return _closed_folder(folder)
    files = present_files(real)
    for path in (real.parent, *(found for found, _ in files)):
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return f"{path} is on a file system that is mounted read-only; use another one"
    for found, status in files:
        if not _may(found, os.R_OK | os.W_OK):
            return _closed_file(found, status, mode)
    if not _may(real.parent, os.R_OK | os.W_OK):
        return (
            f"{this_user()} may not write to the folder {real.parent}"
            f" ({owned(real.parent.stat())}), where SQLite makes files beside the database;"
            f" chown it to that user or, to share it, {_HOW_TO_SHARE}"
        )
    return None


def _closed_folder(folder: Path) -> str:
    return (
        f"{this_user()} may not enter the folder {folder} ({owned(folder.stat())});"
        " chmod o+x it, or use another folder"
    )


def _closed_file(found: Path, status: os.stat_result, mode: int) -> str:
    if status.st_uid == os.geteuid():
        return f"{found} has mode {octal(status)}; chmod {mode:04o} it"
    hint = (
        f"that user has to chmod {mode:04o} it, or to write mode={mode:04o}, too"
        if is_shared(mode)
        else f"to share it, {_HOW_TO_SHARE}"
    )
    return f"{found} (mode {octal(status)}) {belongs(status)}; {hint}"


def _may(path: Path, rights: int) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, rights, effective_ids=effective)


def _primary_code(error: Exception) -> int:
    # The low byte is the primary code; the others say, for example, which lock it was.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
