"""
Whether a database has other names, beside which SQLite would keep another log.

SQLite makes the ``-wal`` and the ``-shm`` beside the name by which a file was opened. Two
processes that know the file by different names, as two containers into which the single
file is mounted, write two logs, and neither sees what the other one stores.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["name_problem"]

# One line for each mount of this process. The fifth field is its path, in which space, tab,
# line feed and backslash are octal (proc_pid_mountinfo(5)).
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPES = ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\"))


def name_problem(real: Path, status: os.stat_result, folder: os.stat_result) -> str | None:
    """
    Return why other processes may know a database by another name; :obj:`None` if not.

    Args:
        real: The file, with all links followed.
        status: Its ``lstat``.
        folder: That of its folder.
    """
    if _is_mounted(real, status, folder):
        return (
            f"{real} is a file that is mounted by itself, so each container keeps a"
            " write-ahead log of its own for it and half of the events get lost; mount the"
            f" folder instead, and write the path of a file in it: {real.parent}"
        )
    if status.st_nlink > 1:
        return (
            f"{real} has {status.st_nlink} names (hard links), and SQLite keeps a"
            " write-ahead log beside each of them; remove the other names, or replace the"
            f" file by a copy: cp -p {real} {real}.new && mv {real}.new {real}"
        )
    return None


def _is_mounted(real: Path, status: os.stat_result, folder: os.stat_result) -> bool:
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        # Only without /proc: with some overlays a file has another device than its folder.
        return status.st_dev != folder.st_dev
    return os.fsencode(real) in {_mount_point(line) for line in lines}


def _mount_point(line: bytes) -> bytes:
    point = line.split(b" ")[4]
    for escaped, character in _ESCAPES:
        point = point.replace(escaped, character)
    return point
