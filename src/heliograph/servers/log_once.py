"""Log lines that each process writes once, however many requests would cause them."""

from __future__ import annotations

import logging

__all__ = ["log_unknown", "warn_once"]

_log = logging.getLogger("heliograph.servers")

# What has been logged, by logger and subject. The subjects are ours, so they are few.
_logged: set[tuple[str, str]] = set()


def warn_once(log: logging.Logger, subject: str, text: str) -> None:
    """
    Log a warning unless there has been one about the same subject.

    Args:
        log: The logger.
        subject: What the warning is about. Must not depend on what a client sends.
        text: The whole line.
    """
    if (log.name, subject) not in _logged:
        _logged.add((log.name, subject))
        log.warning("%s", text)


def log_unknown(server: str, consequence: str, reason: str) -> None:
    """
    Log, once for each server, that its private objects are not as the tests have seen them.

    Args:
        server: Its name.
        consequence: What that costs.
        reason: What was found.
    """
    warn_once(_log, server, f"this {server} is not known: {consequence} ({reason})")
