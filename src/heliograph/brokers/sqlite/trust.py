"""
Who could have made or read a database: the files are checked, and nothing is changed.

Events may be private, and whoever can write the file, or a file that SQLite reads beside
it, publishes in our name. Five rules, by what ``lstat`` returns:

* In a folder that everybody may write to, only what belongs to us or root is followed. A
  link is followed if it belongs to us, to root or to the owner of its target; root follows
  only links of root.
* Only its owner and its group may write to the folder of the file. A sticky bit does not
  help: SQLite opens ``-wal`` and ``-journal`` by name and believes their contents, and
  anybody can make one just before.
* The file and those beside it are ours. Root also accepts those of the folder's owner and
  of a group that may write to it. Those of other users are accepted if the file is shared
  with a group that we are in.
* What root makes in a folder of a service is the service's, as SQLite's own files are.
* Nobody has more rights than were asked for. Files of ours are tightened
  (:mod:`.private_files`), others refused; and a file that everybody could write is refused,
  since nobody knows who did.

Nothing that exists is opened for reading or writing: closing it would drop the locks that
SQLite has on it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ...errors import ConfigError
from .names import name_problem
from .users import belongs, octal

__all__ = [
    "NO_MODES",
    "SHARED_BITS",
    "bells_problem",
    "check_files",
    "excess",
    "is_shared",
    "present_files",
]

NO_MODES = (
    "a file system without modes, as that of a Windows host in WSL or in a virtual machine,"
    " cannot keep events private; put the database on another one"
)
"""The end of messages about a file whose mode cannot be changed."""

SHARED_BITS = 0o066
"""Reading and writing by the group and by others; nothing of this is executed."""

# What SQLite puts beside a database, in the modes that it can have.
_BESIDE = ("-wal", "-shm", "-journal")


# As in Linux: a link that leads to itself has no end.
_MAX_LINKS = 40

# By WSL, VirtualBox and Docker Desktop for Windows. It cannot be changed there.
_SHOWN_WITHOUT_MODES = 0o777


def is_shared(mode: int) -> bool:
    """
    Return whether the members of a file's group publish into it.

    Args:
        mode: The mode that was asked for.
    """
    return bool(mode & stat.S_IWGRP)


def check_files(path: Path, mode: int) -> Path:
    """
    Check a database that is to be used, and change nothing.

    Args:
        path: The file, absolute. Neither it nor its folder has to exist.
        mode: The most rights that it may give.

    Returns:
        The path of the file with all links followed.

    Raises:
        ConfigError: It cannot be trusted. The message says what to do.
        OSError: The path cannot be read.
    """
    if not hasattr(os, "geteuid"):
        return Path(os.path.realpath(path))
    real, problems = _follow(path)
    folder = _status(real.parent)
    if folder is not None:
        problems.append(_folder_problem(real.parent, folder))
        problems += [_file_problem(*found, folder, mode) for found in present_files(real)]
        problems.append(_sharing_problem(real, folder, mode))
        status = _status(real)
        if status is not None and stat.S_ISREG(status.st_mode):
            problems.append(name_problem(real, status, folder))
    found_problems = [problem for problem in problems if problem is not None]
    if found_problems:
        raise ConfigError(found_problems)
    return real


def bells_problem(folder: Path, mode: int) -> str | None:
    """
    Return why doorbells must not be used in a folder; :obj:`None` if they may be.

    Whoever can put sockets there learns when something is published.

    Args:
        folder: The folder. A link is not followed.
        mode: The most rights that the database may give.

    Raises:
        OSError: There is no such folder.
    """
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is not a folder; remove it"
    if not hasattr(os, "geteuid"):
        return None
    if not _is_ours(status, folder.parent.stat(), mode):
        return f"{folder} {belongs(status)}; remove it, and it will be made again"
    if status.st_mode & stat.S_IWOTH:
        return f"everybody may write to {folder} (mode {octal(status)}); remove it"
    return None


def present_files(real: Path) -> list[tuple[Path, os.stat_result]]:
    """
    Return which of a database and the files beside it exist, with their ``lstat``.

    Args:
        real: The database, with all links followed.
    """
    candidates = [real, *(Path(f"{real}{ending}") for ending in _BESIDE)]
    found = [(path, _status(path)) for path in candidates]
    return [(path, status) for path, status in found if status is not None]


def excess(status: os.stat_result, mode: int) -> int:
    """
    Return the rights of the group and of others that were not asked for; 0 for none.

    Args:
        status: The file's.
        mode: The most rights that it may give.
    """
    return status.st_mode & SHARED_BITS & ~mode


def _follow(path: Path) -> tuple[Path, list[str | None]]:
    """Return the target of a path, and what on the way another user may have put there."""
    problems: list[str | None] = []
    here, names = Path(path.anchor), [*reversed(path.parts[1:])]
    # Links whose target is not reached yet: how many names were left before each.
    open_links: list[tuple[int, Path, os.stat_result]] = []
    links = 0
    while names:
        while open_links and len(names) <= open_links[-1][0]:
            problems.append(_link_problem(*open_links.pop()[1:], _status(here)))
        name = names.pop()
        if name == "..":
            here = here.parent
            continue
        found, folder = here / name, _status(here)
        status = _status(found)
        if folder is None or status is None:
            here = found.joinpath(*reversed(names))
            break
        if folder.st_mode & stat.S_IWOTH and status.st_uid not in {os.geteuid(), 0}:
            problems.append(
                f"{found} {belongs(status)}, and everybody may write to {here};"
                " use another folder"
            )
            is_reported = True
        else:
            is_reported = False
        if not stat.S_ISLNK(status.st_mode):
            here = found
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        if not is_reported:
            open_links.append((len(names), found, status))
        target = Path(os.readlink(found))  # noqa: PTH115 - relative ones stay so
        here = Path(target.anchor) if target.is_absolute() else here
        names += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    end = _status(here)
    problems += [_link_problem(link, status, end) for _, link, status in open_links]
    return here, problems


def _link_problem(
    link: Path, status: os.stat_result, target: os.stat_result | None
) -> str | None:
    # As fs.protected_symlinks, in every folder: otherwise the maker of a link would use the
    # rights of whoever follows it.
    trusted = {os.geteuid(), 0}
    if target is not None and os.geteuid() != 0:
        trusted.add(target.st_uid)
    if status.st_uid in trusted:
        return None
    if os.geteuid() == 0:
        return (
            f"{link} is a link and {belongs(status)}; root follows no links of others:"
            f" write where it leads, chown -h 0 it, or {_run_as(status)}"
        )
    where = "a file that does not exist" if target is None else "a file of another user"
    return (
        f"{link} is a link to {where}, and {belongs(status)}; write where it leads, or"
        f" chown -h {os.geteuid()} it"
    )


def _folder_problem(path: Path, status: os.stat_result) -> str | None:
    if not status.st_mode & stat.S_IWOTH:
        return None
    hint = f"; {NO_MODES}" if stat.S_IMODE(status.st_mode) == _SHOWN_WITHOUT_MODES else ""
    return (
        f"everybody may write to the folder {path} (mode {octal(status)}) and put files"
        " beside the database that SQLite believes; use a folder of your own, such as"
        f" {path / 'heliograph'} with mode 0700, or chmod o-w {path}{hint}"
    )


def _file_problem(
    path: Path, status: os.stat_result, folder: os.stat_result, mode: int
) -> str | None:
    if stat.S_ISDIR(status.st_mode):
        file = path / "heliograph.db"
        return f"{path} is a folder; write the path of a file, such as {file}"
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is not a file; remove it"
    if not _is_ours(status, folder, mode):
        hint = (
            "remove it, chown it, or share it: make a group of both users, chgrp the file"
            " and its folder to it, chmod 2770 the folder, chmod 0660 the file, and write"
            ' "sqlite:///…?mode=0660" for both'
        )
        if is_shared(mode):
            hint = (
                f"its group {status.st_gid} is none of that user's: chgrp it and its folder"
                " to the group that shares them, and chmod 2770 the folder"
            )
        if os.geteuid() == 0:
            # The other remedies would take the file from that user.
            hint = f"{_run_as(status)}, or use another file"
        return f"{path} (mode {octal(status)}) {belongs(status)}; {hint}"
    if status.st_mode & stat.S_IWOTH:
        return (
            f"everybody may write {path} (mode {octal(status)}), so what is in it may be"
            f" anybody's; remove it or, if you know that it is not, chmod {mode:04o} it"
        )
    if excess(status, mode) and os.geteuid() not in {status.st_uid, 0}:
        return (
            f"others may read or write {path} (mode {octal(status)}), which"
            f" {belongs(status)}; its owner has to chmod {mode:04o} it or, if it is meant,"
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
        f"{real} (mode {octal(status)}) is shared with its group {status.st_gid}, and the"
        f' URL does not ask for it; write "sqlite:///…?mode={shared:04o}" or, if nobody'
        f" else is to publish, chmod {mode:04o} it"
    )


def _is_ours(status: os.stat_result, folder: os.stat_result, mode: int) -> bool:
    user = os.geteuid()
    if status.st_uid == user:
        return True
    if folder.st_mode & stat.S_IWOTH:
        return False
    # Whoever may write to the folder decides what is in it. SQLite gives what it makes as
    # root to the owner of the database.
    of_group = folder.st_mode & stat.S_IWGRP and status.st_gid == folder.st_gid
    if user == 0 and (status.st_uid == folder.st_uid or of_group):
        return True
    groups = {os.getegid(), *os.getgroups()}
    return is_shared(mode) and (status.st_uid == 0 or status.st_gid in groups)


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _run_as(status: os.stat_result) -> str:
    return f"run this as that user: sudo -u '#{status.st_uid}' …"
