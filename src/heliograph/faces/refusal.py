"""Responses to clients that get no stream."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import HubClosedError, TooManySubscribersError

__all__ = ["Refusal", "refusal_of", "unavailable"]

# A process that is about to end is usually replaced at once.
_RESTART_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    The response to a client that gets no stream.

    Args:
        status: The status code, 400 or above.
        text: One line for whoever debugs the client, without its line end.
        headers: Names and values, in addition to those of :attr:`all_headers`.
    """

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """The body: the text as UTF-8, with its line end."""
        return f"{self.text}\n".encode()

    @property
    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """Names and values of all headers, those of the body first."""
        return (
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(self.body))),
            *self.headers,
        )


def unavailable(text: str, *, retry_after_seconds: int = _RESTART_SECONDS) -> Refusal:
    """
    Return the refusal of a client that should try again soon: 503.

    Args:
        text: Why there is no stream now; one line.
        retry_after_seconds: Seconds after which the client may try again (RFC 9110 section
            10.2.3).
    """
    return _retry(503, text, retry_after_seconds)


def refusal_of(error: TooManySubscribersError | HubClosedError) -> Refusal:
    """
    Return the refusal that a hub's error amounts to.

    Args:
        error: Raised by the hub's ``admit``.

    Returns:
        429 or 503 if a cap is reached, 503 if the hub has been closed.
    """
    if isinstance(error, TooManySubscribersError):
        return _retry(error.status, str(error), error.retry_after_seconds)
    return unavailable(str(error))


def _retry(status: int, text: str, seconds: int) -> Refusal:
    return Refusal(status, text, (("Retry-After", str(seconds)),))
