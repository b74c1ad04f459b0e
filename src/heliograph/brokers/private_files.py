"""
Who else can get at a database: looked at before it is used, and narrowed down.

Events may be private, and whoever can write the file, or a file that SQLite reads beside
it, publishes in our name. Four rules, by what ``lstat`` says:

* In a folder that everybody may write to, only what belongs to us or root is followed.
* Nobody may write to the folder of the file but its owner and its group. A sticky bit does
  not help: SQLite opens ``-wal`` and ``-journal`` by name and believes what is in them, and
  a stranger can make one just before.
* The file and those beside it are ours. Root also takes those of the folder's owner. Those
  of others are taken if the file is shared with a group that we are in.
* Nobody has more rights than were asked for. Files of ours are tightened, others refused;
  and a file that everybody could write is refused, since nobody knows who did.

Nothing that is there is opened: closing it would drop the locks that SQLite has on it.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from pathlib import Path

from ..errors import ConfigError

__all__ = ["PRIVATE", "bells_problem", "check_files", "is_shared", "make_file"]

PRIVATE = 0o600
"""The mode of a file that only its owner can read."""

_log = logging.getLogger("heliograph.brokers.sqlite")

# What SQLite puts beside a database, in the modes that it can have.
_BESIDE = ("-wal", "-shm", "-journal")

# Reading and writing by the group and by others; nothing of this is executed.
_SHARED_BITS = 0o066

# As Linux; a link that leads to itself has no end.
_MAX_LINKS = 40

_making_file = threading.Lock()


def is_shared(mode: int) -> bool:
    """
    Tell whether the members of a file's group publish into it.

    Args:
        mode: The mode that was asked for.
    """
    return bool(mode & stat.S_IWGRP)


def check_files(path: Path, mode: int) -> Path:
    """
    Look at a database that is to be used, and change nothing.

    Args:
        path: The file, absolute. Neither it nor its folder has to exist.
        mode: The rights that it may give at most.

    Returns:
        Where the file is, or will be, with all links followed.

    Raises:
        ConfigError: It cannot be trusted; says what to do.
        OSError: The path cannot be looked at.
    """
    if not hasattr(os, "geteuid"):
        return Path(os.path.realpath(path))
    real, problems = _follow(path)
    folder = _status(real.parent)
    if folder is not None:
        problems.append(_folder_problem(real.parent, folder))
        problems += [_file_problem(*found, folder, mode) for found in _files(real)]
    found_problems = [problem for problem in problems if problem is not None]
    if found_problems:
        raise ConfigError(found_problems)
    return real


def make_file(path: Path, mode: int) -> Path:
    """
    Make a database that is missing, and take from one of ours the rights nobody asked for.

    SQLite would make it with the umask's mode. It gives the mode of the database to the
    files that it puts beside it.

    Args:
        path: The file, absolute. Its folder must exist.
        mode: The rights that it is to give.

    Returns:
        Where the file is, with all links followed.

    Raises:
        ConfigError: It cannot be trusted; says what to do.
        OSError: It cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    # One at a time: no other store may have locked the file before it is closed here.
    with _making_file:
        real = check_files(path, mode)
        try:
            descriptor = os.open(real, flags, PRIVATE)
        except FileExistsError:
            # It may have been made since it was looked for.
            check_files(path, mode)
        else:
            try:
                if mode != PRIVATE:
                    os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)
        if hasattr(os, "geteuid"):
            for found in _files(real):
                _set_mode(*found, mode)
    return real


def bells_problem(folder: Path, mode: int) -> str | None:
    """
    Return why bells must be neither hung nor rung in a folder; :obj:`None` if they may.

    Whoever can put sockets there learns when something is published.

    Args:
        folder: What is there is looked at itself, if it is a link.
        mode: The rights that the database may give at most.

    Raises:
        OSError: There is none.
    """
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is no folder; remove it"
    if not hasattr(os, "geteuid"):
        return None
    if not _is_ours(status, os.lstat(folder.parent), mode):
        return f"{folder} {_belongs(status)}; remove it, and it is made anew"
    if status.st_mode & stat.S_IWOTH:
        return f"everybody may write to {folder} (mode {_octal(status)}); remove it"
    return None


def _follow(path: Path) -> tuple[Path, list[str | None]]:
    """Return where a path leads, and what on the way a stranger may have put there."""
    problems: list[str | None] = []
    place, names = Path(path.anchor), [*reversed(path.parts[1:])]
    last_link: tuple[Path, os.stat_result, os.stat_result] | None = None
    links = 0
    while names:
        name = names.pop()
        if name == "..":
            place = place.parent
            continue
        found, folder = place / name, _status(place)
        status = _status(found)
        if folder is None or status is None:
            if not names and last_link is not None:
                problems.append(_dangling_link_problem(*last_link))
            return found.joinpath(*reversed(names)), problems
        if folder.st_mode & stat.S_IWOTH and status.st_uid not in {os.geteuid(), 0}:
            problems.append(
                f"{found} {_belongs(status)}, and everybody may write to {place};"
                " use another folder"
            )
        if not stat.S_ISLNK(status.st_mode):
            place = found
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        if not names:
            last_link = found, status, folder
        target = Path(os.readlink(found))  # noqa: PTH115 - relative ones stay so
        place = Path(target.anchor) if target.is_absolute() else place
        names += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return place, problems


def _dangling_link_problem(
    link: Path, status: os.stat_result, folder: os.stat_result
) -> str | None:
    # The file would be made where the link says. That of a stranger has been found before.
    if folder.st_mode & stat.S_IWOTH or status.st_uid in {os.geteuid(), 0, folder.st_uid}:
        return None
    return (
        f"{link} is a link to a file that does not exist, and {_belongs(status)};"
        " chown -h or remove it"
    )


def _folder_problem(path: Path, status: os.stat_result) -> str | None:
    if not status.st_mode & stat.S_IWOTH:
        return None
    return (
        f"everybody may write to the folder {path} (mode {_octal(status)}) and put files"
        " beside the database that SQLite believes; use a folder of your own, such as"
        f" {path / 'heliograph'} with mode 0700, or chmod o-w {path}"
    )


def _file_problem(
    path: Path, status: os.stat_result, folder: os.stat_result, mode: int
) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is no file; remove it"
    if not _is_ours(status, folder, mode):
        hint = 'remove it, chown it, or share it with a group: "sqlite:///…?mode=0660"'
        if is_shared(mode):
            hint = (
                f"its group {status.st_gid} is none of that user's: chgrp it and its folder"
                " to the group that shares them, and chmod 2770 the folder"
            )
        return f"{path} {_belongs(status)}; {hint}"
    if status.st_mode & stat.S_IWOTH:
        return (
            f"everybody may write {path} (mode {_octal(status)}), so what is in it may be"
            f" anybody's; remove it or, if you know that it is not, chmod {mode:04o} it"
        )
    if _excess(status, mode) and os.geteuid() not in {status.st_uid, 0}:
        return (
            f"others may read or write {path} (mode {_octal(status)}), which"
            f" {_belongs(status)}; its owner has to chmod {mode:04o} it or, if it is meant,"
            ' you have to say so in the URL: "sqlite:///…?mode=0664"'
        )
    return None


def _is_ours(status: os.stat_result, folder: os.stat_result, mode: int) -> bool:
    user = os.geteuid()
    if status.st_uid == user:
        return True
    if folder.st_mode & stat.S_IWOTH:
        return False
    # SQLite gives what it makes as root to the owner of the database.
    if user == 0 and status.st_uid == folder.st_uid:
        return True
    groups = {os.getegid(), *os.getgroups()}
    return is_shared(mode) and (status.st_uid == 0 or status.st_gid in groups)


def _set_mode(path: Path, status: os.stat_result, mode: int) -> None:
    wanted = status.st_mode & ~0o077 | mode & _SHARED_BITS
    if wanted == status.st_mode or os.geteuid() not in {status.st_uid, 0}:
        return
    try:
        # By its name, since it must not be opened. Nobody else can exchange it here.
        path.chmod(stat.S_IMODE(wanted))
        now = os.lstat(path)
    except FileNotFoundError:
        # SQLite removes those beside the database with the last connection.
        return
    if _excess(now, mode):
        problem = (
            f"others may read or write {path} (mode {_octal(status)}), and its file system"
            " does not let that be changed; use another folder"
        )
        raise ConfigError([problem])
    if _excess(status, mode):
        _log.warning(
            "took rights of others from %s: its mode was %s and is %04o; write"
            ' "sqlite:///…?mode=0660" or the like to give them on purpose',
            path,
            _octal(status),
            stat.S_IMODE(wanted),
        )


def _excess(status: os.stat_result, mode: int) -> int:
    return status.st_mode & _SHARED_BITS & ~mode


def _files(real: Path) -> list[tuple[Path, os.stat_result]]:
    candidates = [real, *(Path(f"{real}{ending}") for ending in _BESIDE)]
    looked_at = [(path, _status(path)) for path in candidates]
    return [(path, status) for path, status in looked_at if status is not None]


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _belongs(status: os.stat_result) -> str:
    return (
        f"belongs to user {status.st_uid} and not to user {os.geteuid()}, as whom this runs"
    )


def _octal(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"
