"""
Make a database and its folders, and limit who may read and write them.

:mod:`.trust` has the rules. A file that exists keeps its rights until SQLite has read in it
that it is ours: it may be any file. Nothing that exists is opened for reading or writing:
closing it would drop the locks that SQLite has on it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from ... import native
from ...errors import ConfigError
from ...logs import Logger
from .trust import NO_MODES, SHARED_BITS, check_files, excess, present_files
from .users import octal

__all__ = [
    "PRIVATE",
    "change_mode",
    "give",
    "limit_rights",
    "make_file",
    "make_folder",
]

PRIVATE = 0o600
"""The mode of a file that only its owner can read."""

_log = Logger("heliograph.brokers.sqlite")

_making_file = native.RLock()


def make_file(path: Path, mode: int) -> Path:
    """
    Make a database if it is missing; one that exists is only checked.

    SQLite would make it with the umask's mode. It gives the mode of the database to the
    files that it puts beside it.

    Args:
        path: The file, absolute. Its folder must exist.
        mode: The rights that it should give.

    Returns:
        The path of the file with all links followed.

    Raises:
        ConfigError: It cannot be trusted. The message says what to do.
        OSError: It cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    # One at a time: no other store may have locked the file before it is closed here.
    with _making_file:
        real = check_files(path, mode)
        try:
            descriptor = os.open(real, flags, PRIVATE)
        except FileExistsError:
            # Another process may have made it since the check.
            return check_files(path, mode)
        try:
            if mode != PRIVATE:
                os.fchmod(descriptor, mode)
            _give(descriptor, real.parent.stat())
            made = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    if hasattr(os, "geteuid") and excess(made, mode):
        real.unlink()
        problem = f"{real} was made with mode {mode:04o} and has mode {octal(made)}"
        raise ConfigError([f"{problem}; {NO_MODES}"])
    return real


def make_folder(folder: Path) -> None:
    """
    Make a folder for a database, and those above it, if they are missing.

    Others never get the right to write there, whatever the umask.

    Args:
        folder: The folder, absolute.

    Raises:
        OSError: It cannot be made.
    """
    missing = [above for above in folder.parents if not above.exists()]
    for made, mode in [*((above, 0o755) for above in reversed(missing)), (folder, 0o775)]:
        try:
            made.mkdir(mode=mode)
        except FileExistsError:
            if not made.is_dir():
                raise
        else:
            give(made, made.parent)


def give(path: Path, like: Path) -> None:
    """
    Change the owner of a file that root has just made to the owner of another file.

    Args:
        path: A socket or an empty folder. Anything else is left alone.
        like: The file whose owner and group get it. Links are followed.

    Raises:
        OSError: One of them is gone.
    """
    # Other users may not give anything away. Without O_PATH a link could be followed.
    if not hasattr(os, "O_PATH") or os.geteuid() != 0:
        return
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        # The owner of the folder may have put something else that is root's there.
        held = Path(f"/proc/self/fd/{descriptor}")
        if stat.S_ISSOCK(mode) or (stat.S_ISDIR(mode) and not any(held.iterdir())):
            _give(held, like.stat())
    finally:
        os.close(descriptor)


def limit_rights(real: Path, mode: int) -> None:
    """
    Remove the rights that nobody asked for from a database that is ours by its contents.

    Rights that were asked for are added if this process is its owner's.

    Args:
        real: The file, with all links followed.
        mode: The rights that it and the files beside it should give.

    Raises:
        ConfigError: The rights cannot be removed.
        OSError: The files cannot be read or changed.
    """
    if not hasattr(os, "geteuid"):
        return
    folder = os.lstat(real.parent)
    for path, status in present_files(real):
        _limit_rights(path, status, folder, mode)


def change_mode(path: Path, status: os.stat_result, mode: int) -> None:
    """
    Change the mode of a file that was checked, and not of another that replaced it since.

    Args:
        path: Its path. A link is not followed.
        status: What ``lstat`` returned when it was checked.
        mode: The new mode.

    Raises:
        FileNotFoundError: Another file is there now, or none.
        OSError: The mode cannot be changed.
    """
    if not hasattr(os, "O_PATH"):
        path.chmod(mode, follow_symlinks=False)
        return
    # Unlike other descriptors, closing this one drops no locks on Linux.
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        now = os.fstat(descriptor)
        # The inode of a file that was removed is used again, also for a link.
        if not os.path.samestat(now, status) or stat.S_ISLNK(now.st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
    finally:
        os.close(descriptor)


def _give(made: int | Path, like: os.stat_result) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or like.st_uid == 0:
        return
    # Root without CAP_CHOWN stays the owner, and is the only one who can use it.
    with contextlib.suppress(PermissionError):
        os.chown(made, like.st_uid, like.st_gid)


def _limit_rights(
    path: Path, status: os.stat_result, folder: os.stat_result, mode: int
) -> None:
    user = os.geteuid()
    rights = stat.S_IMODE(status.st_mode)
    wanted = rights & ~0o077 | rights & mode & SHARED_BITS
    # Root gives no rights in a folder whose owner can exchange what is in it.
    if status.st_uid == user and (user != 0 or folder.st_uid == 0):
        wanted |= mode & SHARED_BITS
    if wanted == rights or user not in {status.st_uid, 0}:
        return
    try:
        change_mode(path, status, wanted)
        now = os.lstat(path)
    except FileNotFoundError:
        # SQLite removes those beside the database with the last connection.
        return
    except OSError as error:
        raise ConfigError([f"{_unchanged(path, status)} ({error.strerror})"]) from error
    if excess(now, mode):
        raise ConfigError([_unchanged(path, status)])
    if excess(status, mode):
        _log.warning(
            "took rights of others from %s: its mode was %s and is %04o; write"
            ' "sqlite:///…?mode=0660" or the like to give them on purpose',
            path,
            octal(status),
            wanted,
        )


def _unchanged(path: Path, status: os.stat_result) -> str:
    return f"cannot change the mode of {path} from {octal(status)}; {NO_MODES}"
