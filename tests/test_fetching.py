"""What downloads for the tests tries again, checks what it gets, and keeps it."""

import base64
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
GOOD, BAD = b"what is pinned", b"what broke off"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Return a function that puts a program in front of those of the machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("RETRY_SECONDS", "0")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))

    def program(name, *lines):
        path = folder / name
        path.write_text("\n".join(["#!/bin/sh", 'echo "$0 $*" >>"$CALLS"', *lines, ""]))
        path.chmod(0o700)
        return path

    return program


@pytest.fixture
def calls(tmp_path):
    """Return a function that returns the calls of such programs, with their names alone."""
    path = tmp_path / "calls"
    return lambda: [
        line.rpartition("/bin/")[2] if line.count("/bin/") == 1 else Path(line).name
        for line in (path.read_text().splitlines() if path.exists() else [])
    ]


def run(*command):
    return subprocess.run(
        ["sh", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def fails(times):
    """Return lines of a program that fail for its first calls."""
    return f'[ "$(grep -c "^$0 " "$CALLS")" -gt {times} ] || exit 1'


@pytest.mark.parametrize(
    ("failures", "status", "count"), [(0, 0, 1), (2, 0, 3), (4, 0, 5), (9, 1, 5)]
)
def test_retry(programs, calls, failures, status, count):
    """Until it succeeds, five times at most; each failure is said."""
    program = programs("download", fails(failures))

    done = run("tools/retry", program, "a b")

    assert (done.returncode, len(calls())) == (status, count)
    assert done.stderr.count("has failed: ") == min(failures, 5)


def test_fetch(programs, calls):
    """Pip's download of pinned files is tried again."""
    pip = programs("a-pip", fails(1))

    assert run("tools/fetch", pip, "tests/fetched.txt", "folder").returncode == 0
    assert len(calls()) == 2
    assert all("--require-hashes" in call for call in calls())


def pinned(tmp_path):
    """Return a file that pins a package, and the folder for it."""
    digest = base64.b64encode(hashlib.sha512(GOOD).digest()).decode()
    pins = tmp_path / "pins.txt"
    pins.write_text(f"# a comment\n@a/b @a/b@1.2.3 sha512-{digest}\n")
    return pins, tmp_path / "npm"


def test_fetch_npm(programs, calls, tmp_path):
    """A failure and a file that broke off are tried again; what is there is kept."""
    pins, folder = pinned(tmp_path)
    programs(
        "npm",
        fails(1),
        f'[ "$(grep -c "^$0 " "$CALLS")" -gt 2 ] && text="{GOOD.decode()}" || text="{BAD.decode()}"',
        'while [ "$1" != --pack-destination ]; do shift; done',
        'printf %s "$text" >"$2/a-b-1.2.3.tgz"',
        "echo a-b-1.2.3.tgz",
    )

    for _ in range(2):
        done = run("tools/fetch_npm", pins, folder)

        assert done.returncode == 0
        assert (folder / "a-b-1.2.3.tgz").read_bytes() == GOOD
        assert len(calls()) == 3


def test_fetch_npm_of_another_file(programs, tmp_path):
    """What stays different from what is pinned is an error, and is not kept."""
    pins, folder = pinned(tmp_path)
    programs(
        "npm",
        'while [ "$1" != --pack-destination ]; do shift; done',
        f'printf %s "{BAD.decode()}" >"$2/a-b-1.2.3.tgz"',
        "echo a-b-1.2.3.tgz",
    )

    done = run("tools/fetch_npm", pins, folder)

    assert done.returncode == 1
    assert "@a/b@1.2.3 is not the file that is pinned" in done.stderr
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize(
    ("present", "installed"), [("one two", []), ("one", ["two"]), ("", ["one", "two"])]
)
def test_debian_packages(programs, calls, present, installed):
    """The lists are read again before each attempt; nothing is asked if nothing is missing."""
    programs(
        "dpkg-query",
        f'for name in {present}; do [ "$name" != "$3" ] || echo install ok installed; done',
    )
    programs("id", "echo 0")
    programs("apt-get", fails(1) if installed else "exit 1")

    assert run("tools/debian_packages", "one", "two").returncode == 0

    asked = [call for call in calls() if call.startswith("apt-get")]
    assert [re.sub(" -[^ ]+( APT[^ ]+)?", "", call) for call in asked] == (
        ["apt-get update", "apt-get update", f"apt-get install {' '.join(installed)}"]
        if installed
        else []
    )


def test_nothing_is_downloaded_while_tests_run(tmp_path):
    """A test that wants to fails at once, on each machine."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", tmp_path]
    done = subprocess.run([*pip, "six"], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "No matching distribution found for six" in done.stderr
