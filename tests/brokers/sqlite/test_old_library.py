"""The broker works with the SQLite of older systems."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fetched

LIBRARY = fetched.FOLDER / "old-sqlite.so"
FOLDER = Path(__file__).parent


@pytest.mark.timeout(120)
def test_the_oldest_sqlite():
    """Ubuntu 20.04 has 3.31, Debian 11 and RHEL 9 have 3.34: without RETURNING and STRICT."""
    assert LIBRARY.exists(), "run `make .fetched/old-sqlite.so`"
    environment = {**os.environ, "LD_PRELOAD": str(LIBRARY)}
    version = subprocess.run(
        [sys.executable, "-c", "import sqlite3; print(sqlite3.sqlite_version)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    if version != "3.31.1":
        pytest.skip(f"this Python has its SQLite {version} inside")

    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-n", "0"),
            f"{FOLDER / 'test_broker.py'}::TestSqlite",
            *(
                f"{FOLDER / f'test_{name}.py'}"
                for name in ("schema", "reading", "inspection")
            ),
            *(
                f"{FOLDER / f'test_{name}.py'}"
                for name in ("old_release", "sweeping", "aging")
            ),
            f"{FOLDER / 'test_writing.py'}::test_sweep_without_publishing",
            f"{FOLDER / 'test_writing.py'}::test_the_file_shrinks_after_a_burst",
        ],
        cwd=FOLDER.parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
