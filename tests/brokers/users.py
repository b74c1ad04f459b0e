"""Files of several users, and programs that run as them."""

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"


as_root = pytest.mark.skipif(
    os.getuid() != 0, reason="only root can make files of others and be others"
)


STRANGER = 65534


ANN, BOB, TEAM = 40_001, 40_002, 40_100


def modes(folder):
    return {
        str(found.relative_to(folder)).replace("log", "", 1): oct(
            stat.S_IMODE(found.lstat().st_mode)
        )
        for found in folder.rglob("*")
    }


def snapshot(folder):
    return {
        found: (found.lstat().st_mode, found.lstat().st_uid) for found in folder.rglob("*")
    }


def given(path, mode=0o600):
    """A file of a stranger's."""
    path.touch()
    os.chown(path, STRANGER, STRANGER)
    path.chmod(mode)
    return path


def linked(path, target, owner=STRANGER):
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)
    return path


def with_mode(mode, name="log"):
    def prepare(folder):
        for one in {"log", name}:
            (folder / one).touch(0o600)
        (folder / name).chmod(mode)
        return folder / "log"

    return prepare


@contextlib.contextmanager
def program(user, *arguments, umask="022"):
    with subprocess.Popen(
        [
            sys.executable,
            PROGRAMS / "shared.py",
            *map(str, (user, user, TEAM, umask, *arguments)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROGRAMS.parent)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def go_on(*processes):
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def said(process):
    return process.stdout.readline().strip()
