"""
Who else can get at a database: looked at before it is used, and narrowed down.

Events may be private, and whoever can write the file, or a file that SQLite reads beside
it, publishes in our name. Five rules, by what ``lstat`` says:

* In a folder that everybody may write to, only what belongs to us or root is followed. A
  link is followed if it belongs to us, to root or to the owner of what it leads to; root
  follows only links of root.
* Nobody may write to the folder of the file but its owner and its group. A sticky bit does
  not help: SQLite opens ``-wal`` and ``-journal`` by name and believes what is in them, and
  a stranger can make one just before.
* The file and those beside it are ours. Root also takes those of the folder's owner and of
  a group that may write to it. Those of others are taken if the file is shared with a group
  that we are in.
* What root makes in a folder of a service is the service's, as SQLite's own files are.
* Nobody has more rights than were asked for. Files of ours are tightened, others refused;
  and a file that everybody could write is refused, since nobody knows who did.

A file that was there keeps its rights until SQLite has read in it that it is ours: it may
be any file. Nothing that is there is opened for reading or writing: closing it would drop
the locks that SQLite has on it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import threading
from pathlib import Path

from ...errors import ConfigError

__all__ = [
    "PRIVATE",
    "access_problem",
    "bells_problem",
    "change_mode",
    "check_files",
    "give",
    "has_more_rights",
    "is_shared",
    "limit_rights",
    "make_file",
    "make_folder",
]

PRIVATE = 0o600
"""The mode of a file that only its owner can read."""

_log = logging.getLogger("heliograph.brokers.sqlite")

# What SQLite puts beside a database, in the modes that it can have.
_BESIDE = ("-wal", "-shm", "-journal")

# Reading and writing by the group and by others; nothing of this is executed.
_SHARED_BITS = 0o066

# As Linux; a link that leads to itself has no end.
_MAX_LINKS = 40

# By WSL, VirtualBox and Docker Desktop for Windows. It cannot be changed there.
_SHOWN_WITHOUT_MODES = 0o777
_NO_MODES = (
    "a file system without modes, as that of a Windows host in WSL or in a virtual machine,"
    " cannot keep events private; put the database on another one"
)

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
        problems.append(_sharing_problem(real, folder, mode))
    found_problems = [problem for problem in problems if problem is not None]
    if found_problems:
        raise ConfigError(found_problems)
    return real


def make_file(path: Path, mode: int) -> Path:
    """
    Make a database that is missing; one that is there is only looked at.

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
            return check_files(path, mode)
        try:
            if mode != PRIVATE:
                os.fchmod(descriptor, mode)
            _give(descriptor, real.parent.stat())
            made = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    if hasattr(os, "geteuid") and _excess(made, mode):
        real.unlink()
        problem = f"{real} was made with mode {mode:04o} and has mode {_octal(made)}"
        raise ConfigError([f"{problem}; {_NO_MODES}"])
    return real


def make_folder(folder: Path) -> None:
    """
    Make a folder for a database, and those above it, if they are missing.

    They are never for everybody to write to, even if the umask says so.

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
    Give what this process has just made as root to the owner of something else.

    Args:
        path: A socket or an empty folder; others are left alone.
        like: Its owner and group get it. Links are followed.

    Raises:
        OSError: One of them is gone.
    """
    # Others may not give anything away. Without O_PATH a link could be followed.
    if not hasattr(os, "O_PATH") or os.geteuid() != 0:
        return
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        # The owner of the folder may have put something else of root's there.
        held = Path(f"/proc/self/fd/{descriptor}")
        if stat.S_ISSOCK(mode) or (stat.S_ISDIR(mode) and not any(held.iterdir())):
            _give(held, like.stat())
    finally:
        os.close(descriptor)


def has_more_rights(real: Path, mode: int) -> bool:
    """
    Return whether a database, or a file beside it, gives more rights than were asked for.

    Args:
        real: The file, with all links followed.
        mode: The rights that it may give at most.
    """
    if not hasattr(os, "geteuid"):
        return False
    return any(_excess(status, mode) for _, status in _files(real))


def limit_rights(real: Path, mode: int) -> None:
    """
    Take the rights that nobody asked for from a database that is ours by its contents.

    Rights that were asked for are given as well, if its owner asks.

    Args:
        real: The file, with all links followed.
        mode: The rights that it and the files beside it are to give.

    Raises:
        ConfigError: They cannot be taken.
        OSError: The files cannot be looked at or changed.
    """
    if not hasattr(os, "geteuid"):
        return
    folder = os.lstat(real.parent)
    for path, status in _files(real):
        _limit_rights(path, status, folder, mode)


def access_problem(path: Path, mode: int) -> str | None:
    """
    Return which right SQLite lacks to use a database; :obj:`None` if it is none of these.

    Args:
        path: The file.
        mode: The rights that it is to give.
    """
    if not hasattr(os, "geteuid"):
        return None
    real = Path(os.path.realpath(path))
    for found, status in _files(real):
        if status.st_uid != os.geteuid() and not _may_write(found):
            hint = f"that user has to chmod {mode:04o} it, or to write mode={mode:04o}, too"
            return f"{found} (mode {_octal(status)}) {_belongs(status)}; {hint}"
    if not _may_write(real.parent):
        return (
            f"user {os.geteuid()} may not write to the folder {real.parent}, where SQLite"
            " makes files beside the database"
        )
    return None


def change_mode(path: Path, status: os.stat_result, mode: int) -> None:
    """
    Change the mode of what was looked at, and not of what has taken its place since.

    Args:
        path: Where it is. A link is not followed.
        status: What ``lstat`` said of it.
        mode: The new mode.

    Raises:
        FileNotFoundError: Something else is there now, or nothing.
        OSError: The mode cannot be changed.
    """
    if not hasattr(os, "O_PATH"):
        path.chmod(mode, follow_symlinks=False)
        return
    # Unlike other descriptors, closing this one drops no locks on Linux.
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        now = os.fstat(descriptor)
        # The number of a file that was removed is given again, also to a link.
        if not os.path.samestat(now, status) or stat.S_ISLNK(now.st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
    finally:
        os.close(descriptor)


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
    if not _is_ours(status, folder.parent.stat(), mode):
        return f"{folder} {_belongs(status)}; remove it, and it is made anew"
    if status.st_mode & stat.S_IWOTH:
        return f"everybody may write to {folder} (mode {_octal(status)}); remove it"
    return None


def _give(made: int | Path, like: os.stat_result) -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or like.st_uid == 0:
        return
    # Root without CAP_CHOWN keeps it, and uses it alone.
    with contextlib.suppress(PermissionError):
        os.chown(made, like.st_uid, like.st_gid)


def _follow(path: Path) -> tuple[Path, list[str | None]]:
    """Return where a path leads, and what on the way a stranger may have put there."""
    problems: list[str | None] = []
    place, names = Path(path.anchor), [*reversed(path.parts[1:])]
    # Links whose end is not reached yet: how many names were left before each.
    open_links: list[tuple[int, Path, os.stat_result]] = []
    links = 0
    while names:
        while open_links and len(names) <= open_links[-1][0]:
            problems.append(_link_problem(*open_links.pop()[1:], _status(place)))
        name = names.pop()
        if name == "..":
            place = place.parent
            continue
        found, folder = place / name, _status(place)
        status = _status(found)
        if folder is None or status is None:
            place = found.joinpath(*reversed(names))
            break
        if folder.st_mode & stat.S_IWOTH and status.st_uid not in {os.geteuid(), 0}:
            problems.append(
                f"{found} {_belongs(status)}, and everybody may write to {place};"
                " use another folder"
            )
            is_reported = True
        else:
            is_reported = False
        if not stat.S_ISLNK(status.st_mode):
            place = found
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        if not is_reported:
            open_links.append((len(names), found, status))
        target = Path(os.readlink(found))  # noqa: PTH115 - relative ones stay so
        place = Path(target.anchor) if target.is_absolute() else place
        names += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    end = _status(place)
    problems += [_link_problem(link, status, end) for _, link, status in open_links]
    return place, problems


def _link_problem(
    link: Path, status: os.stat_result, target: os.stat_result | None
) -> str | None:
    # As fs.protected_symlinks, in every folder: the rights of whoever follows a link are
    # not for its maker to use.
    trusted = {os.geteuid(), 0}
    if target is not None and os.geteuid() != 0:
        trusted.add(target.st_uid)
    if status.st_uid in trusted:
        return None
    if os.geteuid() == 0:
        return (
            f"{link} is a link and {_belongs(status)}; root follows no links of others:"
            f" write where it leads, chown -h 0 it, or {_run_as(status)}"
        )
    where = "a file that does not exist" if target is None else "a file of another user"
    return (
        f"{link} is a link to {where}, and {_belongs(status)}; write where it leads, or"
        f" chown -h {os.geteuid()} it"
    )


def _folder_problem(path: Path, status: os.stat_result) -> str | None:
    if not status.st_mode & stat.S_IWOTH:
        return None
    hint = f"; {_NO_MODES}" if stat.S_IMODE(status.st_mode) == _SHOWN_WITHOUT_MODES else ""
    return (
        f"everybody may write to the folder {path} (mode {_octal(status)}) and put files"
        " beside the database that SQLite believes; use a folder of your own, such as"
        f" {path / 'heliograph'} with mode 0700, or chmod o-w {path}{hint}"
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
        if os.geteuid() == 0:
            # What else would help root takes the file from that user.
            hint = f"{_run_as(status)}, or use another file"
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


def _sharing_problem(real: Path, folder: os.stat_result, mode: int) -> str | None:
    # Tightening it would lock the others out. The bit that gives new files the group of
    # their folder is set by hand only, unlike the rights that a umask of 002 leaves.
    status = _status(real)
    if status is None or is_shared(mode) or not stat.S_ISREG(status.st_mode):
        return None
    shared_folder = folder.st_mode & stat.S_ISGID and folder.st_mode & stat.S_IWGRP
    if not (shared_folder and status.st_mode & stat.S_IWGRP):
        return None
    if status.st_mode & stat.S_IWOTH or not _is_ours(status, folder, mode):
        return None
    shared = 0o660 | status.st_mode & stat.S_IROTH
    return (
        f"{real} (mode {_octal(status)}) is shared with its group {status.st_gid}, and the"
        f' URL does not ask for it; write "sqlite:///…?mode={shared:04o}" or, if nobody'
        f" else is to publish, chmod {mode:04o} it"
    )


def _is_ours(status: os.stat_result, folder: os.stat_result, mode: int) -> bool:
    user = os.geteuid()
    if status.st_uid == user:
        return True
    if folder.st_mode & stat.S_IWOTH:
        return False
    # Who may write to the folder decides what is in it. SQLite gives what it makes as root
    # to the owner of the database.
    of_group = folder.st_mode & stat.S_IWGRP and status.st_gid == folder.st_gid
    if user == 0 and (status.st_uid == folder.st_uid or of_group):
        return True
    groups = {os.getegid(), *os.getgroups()}
    return is_shared(mode) and (status.st_uid == 0 or status.st_gid in groups)


def _limit_rights(
    path: Path, status: os.stat_result, folder: os.stat_result, mode: int
) -> None:
    user = os.geteuid()
    rights = stat.S_IMODE(status.st_mode)
    wanted = rights & ~0o077 | rights & mode & _SHARED_BITS
    # Root gives no rights in a folder whose owner can exchange what is in it.
    if status.st_uid == user and (user != 0 or folder.st_uid == 0):
        wanted |= mode & _SHARED_BITS
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
    if _excess(now, mode):
        raise ConfigError([_unchanged(path, status)])
    if _excess(status, mode):
        _log.warning(
            "took rights of others from %s: its mode was %s and is %04o; write"
            ' "sqlite:///…?mode=0660" or the like to give them on purpose',
            path,
            _octal(status),
            wanted,
        )


def _unchanged(path: Path, status: os.stat_result) -> str:
    return f"cannot change the mode of {path} from {_octal(status)}; {_NO_MODES}"


def _may_write(path: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.R_OK | os.W_OK, effective_ids=effective)


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


def _run_as(status: os.stat_result) -> str:
    return f"run this as that user: sudo -u '#{status.st_uid}' …"


def _octal(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"
