"""Log lines that others can cause are written once."""

import logging

from heliograph.brokers.once import OnceLog


def test_foreign_messages_are_logged_once(caplog):
    """However many there are, of however many channels, the log and its memory are bounded."""
    log = OnceLog(logging.getLogger("heliograph.brokers.once"))
    for _ in range(3):
        for n in range(2_000):
            log.skipped(f"c{n}", "a message", "is odd")

    assert len(caplog.records) == 1_001
    assert "c0" in caplog.records[0].message
    assert "more channels than are logged" in caplog.records[-1].message
    assert len(log._channels) == 1_001
