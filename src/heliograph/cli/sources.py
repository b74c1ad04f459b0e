"""Where ``heliograph listen`` gets its events: a stream of a server, or a broker."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import click

from ..brokers.url import without_password
from ..channels.names import check_selection
from ..errors import ConfigError, InvalidFieldError, StreamRefusedError
from ..event import check_text
from .output import note, note_to_person

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from ..client import EventSource, MessageEvent, Opening
    from ..hub import Subscribed

__all__ = ["BrokerSource", "Since", "Source", "WebSource", "header_fields"]

# A quiet channel looks like a command that hangs.
_LISTENING = "listening; Ctrl-C ends it"

_STARTS = {"start": "start", "last": "1", "now": "now"}


class Since(NamedTuple):
    """
    Where listening begins.

    Attributes:
        id: The id after which to resume; :obj:`None` for no position.
        start: The ``start`` of a stream without a position; :obj:`None` for the default.
    """

    id: str | None
    start: str | None

    @classmethod
    def parse(cls, text: str | None) -> Since:
        """
        Return what the option ``--since`` means.

        Args:
            text: ``start``, ``last``, ``now`` or an id; :obj:`None` if it is not given.
        """
        if text is None or text in _STARTS:
            return cls(None, _STARTS.get(text or ""))
        return cls(text, None)


class Source(Protocol):
    """A block and an iterator of events, each a triple of type, data and id."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels, sorted; none if they are not known."""
        ...

    @property
    def position(self) -> str:
        """The id before the first event, if none was taken; ``""`` if there is none."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Self: ...

    def __next__(self) -> tuple[str, str, str]: ...

    def close(self) -> None:
        """End the iteration. May be called in any thread."""
        ...


class BrokerSource:
    """
    The events of a broker's channels.

    Args:
        url: For :class:`~heliograph.Publisher`.
        channels: 1 to 64 of them.
        since: Where to begin.
    """

    def __init__(self, url: str, channels: Sequence[str], since: Since) -> None:
        self.channels = tuple(sorted({*channels}))
        self.position = ""
        self._url = url
        self._since = since
        self._stack = ExitStack()
        self._events: Subscribed | None = None

    def __enter__(self) -> Self:
        from ..publisher import Publisher  # noqa: PLC0415 - with it comes the hub

        with ExitStack() as stack:
            publisher = stack.enter_context(Publisher(self._url))
            # A subscription waits for storage that is unavailable, as it has to later. At
            # first that is more likely a wrong URL: this raises.
            publisher.position(*self.channels)
            self._events = stack.enter_context(
                publisher.subscribe(
                    *self.channels,
                    last_event_id=self._since.id,
                    start=self._since.start or "retained",
                )
            )
            self._stack = stack.pop_all()
        self.position = self._events.opening_id
        note_to_person(_LISTENING)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[str, str, str]:
        assert self._events is not None  # noqa: S101 - in the block
        event = next(self._events)
        return event.type or "message", event.data, self._events.last_event_id

    def close(self) -> None:
        """End the iteration."""
        if self._events is not None:
            self._events.close()


class WebSource:
    """
    The events of a stream.

    Args:
        url: Its address.
        channels: What is added to the query; none if the address says all.
        since: Where to begin.
        headers: Of each request.

    Raises:
        InvalidFieldError: A channel's name cannot be sent.
        click.UsageError: Both the address and the headers have credentials.
    """

    def __init__(
        self, url: str, channels: Sequence[str], since: Since, headers: dict[str, str]
    ) -> None:
        for name in channels:
            check_text("channel", name)
        added = [("channel", name) for name in dict.fromkeys(channels)]
        if any(name.lower() == "authorization" for name in headers) and "@" in (
            urlsplit(url).netloc
        ):
            raise click.UsageError(
                "the URL has a user, and --header has Authorization; leave one of them out"
            )
        if since.start is not None:
            added.append(("start", since.start))
        self._url = _with_query(url, added)
        named = [v for n, v in parse_qsl(urlsplit(self._url).query) if n == "channel"]
        self._channels: tuple[str, ...] = tuple(sorted({*named}))
        self._opening: MessageEvent | None = None
        self._since = since
        self._headers = headers
        self._was_open = False
        self._is_interrupted = False
        self._source: EventSource | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """Those that the server has named; of another server those of the address."""
        opening = None if self._source is None else self._source.opening_event
        if opening is not self._opening:
            self._opening = opening
            self._channels = _channels_of(opening) if opening else self._channels
        return self._channels

    @property
    def position(self) -> str:
        """The id that the server has sent before the first event."""
        opening = None if self._source is None else self._source.opening_event
        return opening.last_event_id if opening else ""

    def __enter__(self) -> Self:
        from ..client import EventSource  # noqa: PLC0415 - needs the extra client

        try:
            source = EventSource(
                self._url,
                last_event_id=self._since.id,
                headers=self._headers,
                on_open=self._on_open,
                on_error=self._on_error,
            )
        except ConfigError as error:
            raise click.UsageError("; ".join(error.problems)) from error
        self._source = source.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._source is not None:
            self._source.__exit__(kind, error, traceback)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[str, str, str]:
        assert self._source is not None  # noqa: S101 - in the block
        try:
            event = next(self._source)
        except StreamRefusedError as error:
            raise click.ClickException(f"{error}{_remedy(error.status)}") from error
        return event.type, event.data, event.last_event_id

    def close(self) -> None:
        """End the iteration."""
        if self._source is not None:
            self._source.close()

    def _on_open(self, opening: Opening) -> None:  # noqa: ARG002 - the client's signature
        if self._is_interrupted:
            note("connected again")
        elif not self._was_open:
            note_to_person(_LISTENING)
        self._was_open, self._is_interrupted = True, False

    def _on_error(self, error: Exception | None, retry_seconds: float) -> None:
        if not self._was_open:
            # Later it is an interruption; at first it is more likely a wrong URL.
            what = f"{error}"
            if not what.startswith(("http:", "https:")):
                what = f"{without_password(self._url)}: {what}"
            raise click.ClickException(
                f"cannot connect to {what}; check the address, and that the server runs"
            )
        self._is_interrupted = True
        what = "the server has closed the stream" if error is None else f"{error}"
        note(f"{what}; connecting again in {retry_seconds:.1f} s")


def _channels_of(opening: MessageEvent) -> tuple[str, ...]:
    """Return the channels that an opening names; none if it is not one of ours."""
    try:
        return check_selection(opening.json()["channels"])
    except (ValueError, KeyError, TypeError, InvalidFieldError):
        return ()


def _remedy(status: int) -> str:
    match status:
        case 401 | 403:
            return (
                "; write --header 'Authorization: …' or a signed address, if it needs one"
            )
        case 200 | 404 | 405:
            return "; check the path: this is not the address of a stream"
        case status if status >= 500:  # noqa: PLR2004 - RFC 9110 section 15.6
            return "; the log of the server shows why"
    return ""


def _with_query(url: str, added: list[tuple[str, str]]) -> str:
    parts = urlsplit(url)
    query = "&".join(text for text in (parts.query, urlencode(added)) if text)
    return parts._replace(query=query, fragment="").geturl()


def header_fields(texts: Sequence[str]) -> dict[str, str]:
    """
    Return the fields that the option ``--header`` names.

    Args:
        texts: Each as ``Name: value``.

    Raises:
        click.UsageError: One has no colon or no name, or its name occurs twice.
    """
    fields: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            # Not the text: it may be a token that was given without its name.
            raise click.UsageError(
                "a header has no name; write --header 'Name: value', for example"
                " --header 'Authorization: Bearer …'"
            )
        name = name.strip()
        if name.lower() in (other.lower() for other in fields):
            raise click.UsageError(
                f"the header {name!r} is given twice; write one with all its values"
            )
        fields[name] = value.strip()
    return fields
