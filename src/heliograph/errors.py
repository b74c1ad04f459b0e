"""
Every exception that Heliograph raises on purpose.

::

    HeliographError
    ├── ConfigError (ValueError)             a setting is wrong; lists all of them
    │   └── CorsConfigError                  an option of CORS is wrong or unsafe
    ├── WireError (ValueError)               text/event-stream cannot carry it
    │   ├── InvalidFieldError                a local value; always the caller's bug
    │   ├── InvalidStreamIdError             an id that is none of ours
    │   └── EventTooLargeError               more bytes than the limit allows
    ├── BrokerUnavailableError               storage cannot be reached or used
    ├── TooManySubscribersError              a cap on streams is reached
    └── HubClosedError                       the hub has been shut down

Errors carry their facts as attributes, not only in the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BrokerUnavailableError",
    "ConfigError",
    "CorsConfigError",
    "EventTooLargeError",
    "HeliographError",
    "HubClosedError",
    "InvalidFieldError",
    "InvalidStreamIdError",
    "TooManySubscribersError",
    "WireError",
]

# A value of megabytes in a message helps nobody and floods a log.
_SHOWN_CHARACTERS = 80


class HeliographError(Exception):
    """Base of every exception that Heliograph raises on purpose."""


class ConfigError(HeliographError, ValueError):
    """
    One or more settings are wrong.

    Attributes:
        problems: One sentence for each mistake, never empty.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class CorsConfigError(ConfigError):
    """
    One or more options of CORS are wrong, or would let in whom nobody meant to let in.

    Attributes:
        problems: One sentence for each mistake: the option, the value, and what to write
            instead. Never empty.
    """


class WireError(HeliographError, ValueError):
    """Bytes or values that ``text/event-stream`` cannot carry."""


class InvalidFieldError(WireError):
    """
    A local value that cannot be sent. Always the caller's bug.

    Attributes:
        field: Name of the offending field, e.g. ``"id"``.
        value: The value as given.
        reason: The rule that it breaks.
    """

    def __init__(self, field: str, value: object, reason: str) -> None:
        self.field = field
        self.value = value
        self.reason = reason
        super().__init__(f"invalid {field} {_shown(value)}: {reason}")


class InvalidStreamIdError(WireError):
    """
    A ``Last-Event-ID`` that no stream of these channels has sent.

    Attributes:
        value: The id as received.
    """

    def __init__(self, value: str) -> None:
        self.value = value
        super().__init__(f"not an id of this selection: {_shown(value)}")


class EventTooLargeError(WireError):
    """
    An event, or a line of a stream, is larger than allowed.

    Attributes:
        limit_bytes: The limit that was passed.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(f"event is larger than {limit_bytes} bytes")


class BrokerUnavailableError(HeliographError):
    """
    The storage behind the channels cannot be used now.

    Attributes:
        resource: The file or address concerned.
        reason: What the storage said.
    """

    def __init__(self, resource: str, reason: str) -> None:
        self.resource = resource
        self.reason = reason
        super().__init__(f"{resource}: {reason}")


class TooManySubscribersError(HeliographError):
    """
    A cap on subscribers, or on their channels, is reached.

    HTTP faces answer 503; 429 if it is the client's own.

    Attributes:
        limit: The cap.
        channel: The channel that is full, if it is one.
        retry_after_seconds: When to try again, in seconds.
        address: The client's address, if that is what has too many.
        what: ``"subscribers"`` or ``"channels"``, of which there are too many.
    """

    def __init__(
        self,
        limit: int,
        channel: str | None,
        retry_after_seconds: int,
        *,
        address: str | None = None,
        what: str = "subscribers",
    ) -> None:
        self.limit = limit
        self.what = what
        self.channel = channel
        self.retry_after_seconds = retry_after_seconds
        self.address = address
        if address is not None:
            where = f"the address {address}"
        elif channel is not None:
            where = f"channel {channel!r}"
        else:
            where = "this process"
        super().__init__(f"{where} has its {limit} {what} already")

    @property
    def status(self) -> int:
        """The status of the HTTP answer (RFC 9110 section 15.6.4, RFC 6585 section 4)."""
        return 503 if self.address is None else 429


class HubClosedError(HeliographError):
    """The hub has been shut down, or its process is about to end."""


def _shown(value: object) -> str:
    if isinstance(value, str | bytes) and len(value) > _SHOWN_CHARACTERS:
        return f"{value[:_SHOWN_CHARACTERS]!r}… ({len(value)} long)"
    text = repr(value)
    if len(text) > _SHOWN_CHARACTERS:
        return f"{text[:_SHOWN_CHARACTERS]}…"
    return text
