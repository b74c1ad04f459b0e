"""
Responses to clients that get no stream.

The ``EventSource`` of a browser never tries again after an error status, so a page would be
dead for good because a server has no room for a moment. Where trying again helps, a client
that asks for ``text/event-stream`` gets a stream that ends at once and tells it when to
reconnect. All other clients get the status.
"""

from __future__ import annotations

import logging
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import HubClosedError, TooManySubscribersError

if TYPE_CHECKING:
    from ..config import HubConfig

__all__ = ["Refusal", "log_refusal", "refusal_of", "unavailable"]

_log = logging.getLogger("heliograph.streams")

# A process that is about to end is usually replaced at once.
_RESTART_SECONDS = 1

# A client that reconnects after half of this does not keep a server busy.
_MIN_RETRY_SECONDS = 2

_ZERO = re.compile(r"[ \t]*q=0(\.0*)?[ \t]*")


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    The response to a client that gets no stream.

    Args:
        status: The status code: 400 or above, or 200 with ``retry_ms``.
        text: Why there is no stream: one line, without its line end.
        headers: Names and values, in addition to those of :attr:`all_headers`. A ``Vary``
            is to be added to the response's own.
        retry_ms: Milliseconds after which the client reconnects, sent in a stream without
            events; :obj:`None` to send the text.
    """

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()
    retry_ms: int | None = None

    @property
    def body(self) -> bytes:
        """The body: the text as UTF-8, with its line end, or the stream."""
        if self.retry_ms is None:
            return f"{self.text}\n".encode()
        # Without an empty line: some clients dispatch a block without data.
        return b":\nretry: %d\n" % self.retry_ms

    @property
    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """Names and values of all headers, those of the body first."""
        kind = "text/plain" if self.retry_ms is None else "text/event-stream"
        return (
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(self.body))),
            *self.headers,
        )


def unavailable(
    text: str,
    *,
    accept: str,
    config: HubConfig,
    status: int = 503,
    retry_after_seconds: int = _RESTART_SECONDS,
) -> Refusal:
    """
    Return the refusal of a client that should try again.

    Args:
        text: Why there is no stream now; one line.
        accept: The ``Accept`` field of the request; empty if it has none.
        config: Whether all clients get the status.
        status: The status for clients that do not ask for ``text/event-stream``.
        retry_after_seconds: Seconds after which the client may try again (RFC 9110 section
            10.2.3).
    """
    retry_after = ("Retry-After", str(retry_after_seconds))
    if config.refuse_with_status:
        return Refusal(status, text, (retry_after,))
    vary = ("Vary", "Accept")
    if not _asks_for_events(accept):
        return Refusal(status, text, (retry_after, vary))
    # Spread, so that clients that were refused together do not reconnect together.
    seconds = max(retry_after_seconds, _MIN_RETRY_SECONDS) * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, guards nothing
    return Refusal(
        200,
        text,
        (("Cache-Control", "no-store, no-transform"), vary),
        retry_ms=round(1000 * seconds),
    )


def refusal_of(
    error: TooManySubscribersError | HubClosedError, *, accept: str, config: HubConfig
) -> Refusal:
    """
    Return the refusal that a hub's error amounts to.

    Args:
        error: Raised by the hub's ``admit``.
        accept: See :func:`unavailable`.
        config: See :func:`unavailable`.

    Returns:
        429 or 503 if a cap is reached, 503 if the hub has been closed. A client that asks
        for a stream by name gets one that tells it when to reconnect.
    """
    if isinstance(error, TooManySubscribersError):
        return unavailable(
            str(error),
            accept=accept,
            config=config,
            status=error.status,
            retry_after_seconds=error.retry_after_seconds,
        )
    return unavailable(str(error), accept=accept, config=config)


def log_refusal(refusal: Refusal) -> None:
    """
    Log at ``DEBUG`` that a client gets no stream, and why.

    Args:
        refusal: What it gets. Its text quotes what the client has sent.
    """
    _log.debug("refused a stream with %d: %s", refusal.status, refusal.text)


def _asks_for_events(accept: str) -> bool:
    """
    Return whether a client asks for ``text/event-stream`` by name.

    RFC 9110 section 12.5.1. A range such as ``*/*`` does not count: curl and HTTP libraries
    send it with each request, and their users expect a status.
    """
    for media_range in accept.lower().split(","):
        name, *parameters = media_range.split(";")
        if name.strip(" \t") == "text/event-stream" and not any(
            map(_ZERO.fullmatch, parameters)
        ):
            return True
    return False
