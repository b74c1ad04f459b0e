"""Fixtures of the tests of the command."""

import logging

import pytest


@pytest.fixture
def _logs_are_restored(monkeypatch):
    """The command decides for its process where log lines go: here it is one of tests."""
    logger = logging.getLogger("heliograph")
    monkeypatch.setattr(logger, "handlers", list(logger.handlers))
    monkeypatch.setattr(logger, "propagate", logger.propagate)
