"""Each process logs a line once, whoever causes it how often."""

import logging

import pytest

from heliograph.servers.log_once import log_unknown, warn_once


@pytest.fixture(autouse=True)
def _nothing_logged(monkeypatch):
    monkeypatch.setattr("heliograph.servers.log_once._logged", set())


def test_a_subject_is_warned_of_once(caplog):
    """By each logger; other subjects have lines of their own."""
    one, other = logging.getLogger("test.one"), logging.getLogger("test.other")
    for log in (one, one, other):
        warn_once(log, "a", "100% a")
        warn_once(log, "b", "b")

    assert caplog.messages == ["100% a", "b", "100% a", "b"]


def test_a_server_that_is_not_known(caplog):
    """The first reason counts."""
    for reason in ("one", "other"):
        log_unknown("uvicorn", "streams hold a task each", reason)

    (record,) = caplog.records
    assert record.name == "heliograph.servers"
    assert record.message == "this uvicorn is not known: streams hold a task each (one)"
