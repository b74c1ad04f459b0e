"""Fixtures for the tests of the SQLite broker."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from sqlite_steps import File
from users import ANN, TEAM


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.sqlite3"


@pytest.fixture
def file(path):
    """One that nobody else has open, without threads."""
    made = File(path)
    yield made
    made.connection.close()


@pytest.fixture
def folder():
    """A folder that others can reach, which those of pytest are not."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def shared(folder):
    made = folder / "shared"
    made.mkdir()
    os.chown(made, ANN, TEAM)
    made.chmod(0o2770)
    return made
