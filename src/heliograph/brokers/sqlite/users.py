"""Users and groups as messages show them: a number, and a name where there is one."""

from __future__ import annotations

import os
import stat

try:
    import grp
    import pwd
except ImportError:
    # Other systems than Unix have no owners, so none of this is called there.
    pass

__all__ = ["belongs", "octal", "owned", "this_user"]


def octal(status: os.stat_result) -> str:
    """
    Return a mode as messages show it.

    Args:
        status: The file's.
    """
    return f"{stat.S_IMODE(status.st_mode):04o}"


def this_user() -> str:
    """Return as whom this process runs, with its groups."""
    groups = sorted({os.getegid(), *os.getgroups()})
    return f"user {_user(os.geteuid())} of {_plural(groups)}"


def owned(status: os.stat_result) -> str:
    """
    Return whose a file is, and its mode.

    Args:
        status: The file's.
    """
    return (
        f"owner {_user(status.st_uid)}, group {_group(status.st_gid)}, mode {octal(status)}"
    )


def belongs(status: os.stat_result) -> str:
    """
    Return to whom a file belongs, for one that is not ours.

    Args:
        status: The file's.
    """
    return (
        f"belongs to user {_user(status.st_uid)} and not to user {_user(os.geteuid())},"
        " as whom this runs"
    )


def _user(number: int) -> str:
    try:
        return f"{number} ({pwd.getpwuid(number).pw_name})"
    except KeyError:  # as in containers that are given a number only
        return str(number)


def _group(number: int) -> str:
    try:
        return f"{number} ({grp.getgrgid(number).gr_name})"
    except KeyError:
        return str(number)


def _plural(groups: list[int]) -> str:
    return ("group " if len(groups) == 1 else "groups ") + ", ".join(map(_group, groups))
