"""Fixtures for the tests of the SQLite broker."""

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.sqlite3"
