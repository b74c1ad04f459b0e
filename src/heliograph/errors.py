"""
Every exception that Heliograph raises on purpose.

::

    HeliographError
    ├── ConfigError (ValueError)             a setting is wrong; lists all of them
    │   └── CorsConfigError                  an option of CORS is wrong or unsafe
    ├── WireError (ValueError)               text/event-stream cannot carry it
    │   ├── InvalidFieldError                a local value; always the caller's bug
    │   ├── InvalidStreamIdError             an id that no stream of ours has sent
    │   └── EventTooLargeError               more bytes than the limit allows
    ├── BrokerUnavailableError               storage cannot be reached or used now
    ├── TooManySubscribersError              a cap on streams or channels is reached
    ├── ChannelEndedError                    nothing more can be published to a channel
    ├── TooManyRetainedError                 a channel retains as many events as it may
    ├── HubClosedError                       the hub has been shut down
    └── EventSourceError                     a client's stream has ended for good
        ├── StreamRefusedError               the server has answered, but not with a stream
        └── ConnectionLostError              no connection, and no further attempt is made

The facts are attributes, not only part of the message, so that callers need not parse it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BrokerUnavailableError",
    "ChannelEndedError",
    "ConfigError",
    "ConnectionLostError",
    "CorsConfigError",
    "EventSourceError",
    "EventTooLargeError",
    "HeliographError",
    "HubClosedError",
    "InvalidFieldError",
    "InvalidStreamIdError",
    "StreamRefusedError",
    "TooManyRetainedError",
    "TooManySubscribersError",
    "WireError",
]

# A message is for a log line: a value of megabytes would flood the log.
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
    One or more options of CORS are wrong, or would grant access by accident.

    Attributes:
        problems: One sentence for each mistake, never empty: the option, the value, and
            what to write instead.
    """


class WireError(HeliographError, ValueError):
    """Bytes or values that ``text/event-stream`` cannot carry."""


class InvalidFieldError(WireError):
    """
    A local value that cannot be sent. Always the caller's bug.

    Attributes:
        field: Name of the offending field, for example ``"id"``.
        value: The offending value, whole, even if the message shortens it.
        reason: The rule that the value breaks.
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
        value: The id, as the client sent it.
    """

    def __init__(self, value: str) -> None:
        self.value = value
        super().__init__(
            f"invalid Last-Event-ID {_shown(value)}:"
            " must be an id that a stream of these channels has sent"
        )


class EventTooLargeError(WireError):
    """
    An event, or a line of a stream, is larger than allowed.

    Attributes:
        size_bytes: The encoded size in bytes; of an event that is being received, what has
            arrived of it.
        limit_bytes: The limit in bytes.
        remedy: What to write instead, or where the limit is set.
    """

    def __init__(self, size_bytes: int, limit_bytes: int, remedy: str) -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        self.remedy = remedy
        super().__init__(
            f"event of {size_bytes} bytes is larger than {limit_bytes} bytes: {remedy}"
        )


class BrokerUnavailableError(HeliographError):
    """
    The storage behind the channels cannot be used now.

    Attributes:
        resource: The file or address concerned, without secrets.
        reason: The message of the storage or its driver.
    """

    def __init__(self, resource: str, reason: str) -> None:
        self.resource = resource
        self.reason = reason
        super().__init__(f"{resource}: {reason}")


class TooManySubscribersError(HeliographError):
    """
    A cap on subscribers, or on their channels, is reached.

    HTTP faces respond with :attr:`status`.

    Attributes:
        limit: The cap, as a number of ``what``.
        channel: The channel whose cap is reached; :obj:`None` if it is another cap.
        retry_after_seconds: Seconds until the client should try again.
        address: The client address whose cap is reached; :obj:`None` if it is another cap.
        what: What is counted: ``"subscribers"`` or ``"channels"``.
        setting: What sets the cap: the field of :class:`~heliograph.HubConfig`, or
            ``"ulimit -n"`` if the process may not open more files.
    """

    def __init__(
        self,
        limit: int,
        channel: str | None,
        retry_after_seconds: int,
        *,
        address: str | None = None,
        what: str = "subscribers",
        setting: str | None = None,
    ) -> None:
        self.limit = limit
        self.what = what
        self.channel = channel
        self.retry_after_seconds = retry_after_seconds
        self.address = address
        if address is not None:
            where, per = f"the address {address}", "_per_address"
        elif channel is not None:
            where, per = f"channel {channel!r}", "_per_channel"
        else:
            where, per = "this process", ""
        self.setting = setting or f"max_{what}{per}"
        super().__init__(
            f"{where} has its {limit} {what} already; {self.setting} sets the limit"
        )

    @property
    def status(self) -> int:
        """
        The status of the HTTP response.

        503 (RFC 9110 section 15.6.4) if the process or the channel is full; 429 (RFC 6585
        section 4) if the client's own address is.
        """
        return 503 if self.address is None else 429


class ChannelEndedError(HeliographError):
    """
    A channel has ended, and nothing was stored in it.

    Other channels of the same publish may have the event: repeat it with an idempotency
    key.

    Attributes:
        channel: The channel's name.
    """

    def __init__(self, channel: str) -> None:
        self.channel = channel
        super().__init__(
            f"channel {_shown(channel)} has ended: call begin({_shown(channel)}) before you"
            " publish to it again, or choose a new name for each run"
        )


class TooManyRetainedError(HeliographError):
    """
    A channel retains as many events as it may, and nothing was stored in it.

    Other channels of the same publish may have the event: repeat it with an idempotency
    key.

    Attributes:
        channel: The channel's name.
        limit: The largest number of its retained events.
    """

    def __init__(self, channel: str, limit: int) -> None:
        self.channel = channel
        self.limit = limit
        super().__init__(
            f"channel {_shown(channel)} has {limit} retained events already: forget some"
            " of their keys, or raise retained_keys (in Flask SSE_RETAINED_KEYS)"
        )


class HubClosedError(HeliographError):
    """
    The hub has been shut down, or its process is about to exit.

    A publish that waited meanwhile may or may not have stored its event.
    """


class EventSourceError(HeliographError):
    """
    A client's stream has ended for good.

    Attributes:
        url: The address, without its query, which may have a token.
    """

    def __init__(self, url: str, reason: str) -> None:
        # Credentials may be before the host.
        scheme, _, rest = url.partition("?")[0].partition("://")
        authority, slash, path = rest.partition("/")
        self.url = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
        super().__init__(f"{self.url}: {reason}")


class StreamRefusedError(EventSourceError):
    """
    The server has answered with something else than a stream.

    An EventSource closes at such an answer (WHATWG HTML section 9.2.3, "fail the
    connection").

    Attributes:
        status: The status of the response.
        content_type: Its ``Content-Type``; :obj:`None` if it has none.
        body: The beginning of its body as text, at most some thousand characters.
    """

    def __init__(self, url: str, status: int, content_type: str | None, rule: str) -> None:
        self.status = status
        self.content_type = content_type
        self.body = ""
        super().__init__(url, rule)

    def __str__(self) -> str:
        """Return the message, with what the server says."""
        message = super().__str__()
        return f"{message}: {_shown(self.body)}" if self.body else message


class ConnectionLostError(EventSourceError):
    """
    There is no connection, and no further attempt is made.

    Its ``__cause__`` is the last error, if there was one.
    """


def _shown(value: object) -> str:
    if isinstance(value, str | bytes) and len(value) > _SHOWN_CHARACTERS:
        return f"{value[:_SHOWN_CHARACTERS]!r}… ({len(value)} long)"
    text = repr(value)
    if len(text) > _SHOWN_CHARACTERS:
        return f"{text[:_SHOWN_CHARACTERS]}…"
    return text
