"""
Streams of events as an ASGI application, with what is needed to publish to them.

The hub runs on the server's own loop, so a stream costs no thread, and under uvicorn no
task either. It is opened when it is first needed, and belongs to that loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlencode

from ..brokers import check_url, with_plain_channels
from ..channels.asked import DEFAULT_CHANNEL, asked_channels, asked_position, may_listen
from ..channels.entry import id_after
from ..channels.names import check_channel, check_selection
from ..config import HubConfig
from ..cors import CorsPolicy
from ..errors import (
    ConfigError,
    HubClosedError,
    InvalidFieldError,
    TooManySubscribersError,
)
from ..event import make_event
from ..hub import open_hub
from ..servers.asgi import connection_of, expecting_stop
from .arrivals import note_arrival
from .cors import CORSMiddleware
from .messages import answer, body, refuse, start
from .task import serve

if TYPE_CHECKING:
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from ..brokers import PlainChannels
    from ..hub import Hub, HubStatistics
    from ..hub.interface import Ticket
    from ..hub.subscription import Subscription

__all__ = ["EventStreams"]

_Verdict: TypeAlias = bool | None
_Authorizer: TypeAlias = Callable[
    [tuple[str, ...], dict[str, Any]], _Verdict | Awaitable[_Verdict]
]

# When a process is about to end, another is about to begin.
_RESTART_SECONDS = 1


class EventStreams:
    """
    An ASGI application that serves streams, and publishes to them.

    Run it alone, or give it a route, in Starlette as in FastAPI:
    ``routes=[Route("/stream", streams)]``. A client names channels in the query
    (``channel``, repeated for several; ``sse`` if there is none), and may send ``token``
    and ``lastEventId``.

    The server's lifespan opens and closes it if it runs alone. Within another application
    use it as a block in that one's lifespan, ``async with streams:``. Without, it opens
    when it is first needed and ends with the process.

    Args:
        url: Where the channels live: ``"sqlite:///file"``, below the current folder,
            ``"sqlite:////folder/file"``, ``"memory:"``, ``"redis://host:6379/0"``. All
            processes of an application share one; ``memory:`` is for one process.
        config: Limits and timings.
        authorize: Called with the channels asked for (sorted, each once) and the scope,
            before a stream begins, unless the client has a valid token. May be async.
            ``False`` refuses with 403; ``True`` lets in, and so does :obj:`None` unless
            ``private`` is set.
        private: Whether only those are let in who are authorised or have a token.
        secret_key: Signs addresses of streams; or several, the newest last. Text or bytes.
        cors: Which other origins' pages may listen; :obj:`None` if CORS is handled
            elsewhere, or not at all.
        dumps: Turns data that is no str into JSON.
        take_over: Whether connections are taken over from the server where that works.
        plain_channels: See :func:`heliograph.brokers.open_broker`.

    Raises:
        ConfigError: An argument is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        config: HubConfig | None = None,
        authorize: _Authorizer | None = None,
        private: bool = False,
        secret_key: str | bytes | Sequence[str | bytes] | None = None,
        cors: CorsPolicy | None = None,
        dumps: Callable[[Any], str] | None = None,
        take_over: bool = True,
        plain_channels: PlainChannels | None = None,
    ) -> None:
        problems = [
            *_wrong("config", config, HubConfig | None, "a HubConfig"),
            *_wrong("authorize", authorize, Callable | None, "a function"),
            *_wrong("cors", cors, CorsPolicy | None, "a CorsPolicy"),
            *_wrong("dumps", dumps, Callable | None, "a function"),
            *_wrong("private", private, bool, "True or False"),
            *_wrong("take_over", take_over, bool, "True or False"),
        ]
        if problems:
            raise ConfigError(problems)
        self._url = with_plain_channels(url, plain_channels)
        check_url(self._url)
        self._config = HubConfig() if config is None else config
        self._authorizer = authorize
        self._private = private
        self._keys = _keys(secret_key)
        self._dumps = _dumps if dumps is None else dumps
        self._may_take_over = take_over
        self._app = self._serve if cors is None else CORSMiddleware(self._serve, cors)
        self._hub: Hub | None = None
        self._closed_at = 0
        # Which loop the hub belongs to, and for one at a time to open or to close it.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changing = asyncio.Lock()

    async def publish(
        self,
        data: Any,
        type: str | None = None,
        id: str | int | None = None,
        retry: int | None = None,
        channel: str | Iterable[str] = DEFAULT_CHANNEL,
    ) -> str:
        """
        Send an event to everyone who listens to a channel, now or when they are back.

        Args:
            data: A str is sent as it is; anything else as JSON.
            type: The name that ``addEventListener`` waits for; ``"message"`` if none.
            id: An id of your own, instead of the one that is given. Streams of several
                channels do not show it. An int counts as its decimal digits.
            retry: Milliseconds that clients wait before they reconnect.
            channel: A channel, or 1 to 64 of them; each takes the event on its own.

        Returns:
            The id with which a stream of just these channels goes on after the event.

        Raises:
            InvalidFieldError: A field or a channel's name cannot be sent.
            EventTooLargeError: The event is larger than ``max_event_bytes``.
            BrokerUnavailableError: The event could not be stored.
            ConfigError: Storage refuses what it was configured with.
            HubClosedError: The streams are being closed.
            RuntimeError: They are in use on another loop.
        """
        event = make_event(self._dumps, data, type, id, retry)
        names = check_selection(channel)
        hub = await self._opened()
        entries = await hub.publish(names, event)
        return id_after(entries)

    @contextlib.asynccontextmanager
    async def subscribe(
        self, *channels: str, last_event_id: str | None = None
    ) -> AsyncIterator[Subscription]:
        """
        Take the events of some channels, within a block.

        ``async with streams.subscribe("news") as events: async for event in events: …``

        Args:
            channels: 1 to 64 channels; ``sse`` if there is none.
            last_event_id: After which to begin; :obj:`None` for what is published from the
                beginning of the block on.

        Yields:
            The events as clients get them, in order and once; it knows the
            ``last_event_id``.

        Raises:
            InvalidFieldError: A channel or the ``last_event_id`` is none.
            TooManySubscribersError: A cap is reached.
            HubClosedError: The streams are being closed.
            RuntimeError: They are in use on another loop.
        """
        names = check_selection(channels or DEFAULT_CHANNEL)
        if not isinstance(last_event_id, str | None):
            raise InvalidFieldError(
                "last_event_id", last_event_id, "must be a str, or None"
            )
        hub = await self._opened()
        async with hub.subscribe(names, last_event_id=last_event_id) as subscription:
            yield subscription

    def query(self, *channels: str, expires_in: float | timedelta) -> str:
        """
        Give the query of a stream's address, signed: who has it may listen for a while.

        After that its streams end, and it opens no new one. The extension for Flask makes
        the same with the same key.

        Args:
            channels: 1 to 64 channels.
            expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`.

        Returns:
            What follows the ``?`` of the address.

        Raises:
            InvalidFieldError: A channel or ``expires_in`` is none.
            ConfigError: There is no ``secret_key``.
        """
        names = check_selection(channels)
        if not self._keys:
            raise ConfigError(["signed addresses need a secret_key"])
        from ..tokens import check_seconds, make_token  # noqa: PLC0415 - needs an extra

        seconds = check_seconds(expires_in)
        token = make_token(self._keys, names, seconds)
        return urlencode([*(("channel", name) for name in names), ("token", token)])

    async def disconnect(self, channel: str) -> None:
        """
        End the streams that have a channel in their selection, in all processes.

        Browsers reconnect by themselves, so refuse them first.

        Args:
            channel: A channel.

        Raises:
            InvalidFieldError: It is no channel's name.
            BrokerUnavailableError: Other processes could not be told.
            HubClosedError: The streams are being closed.
            RuntimeError: They are in use on another loop.
        """
        name = check_channel(channel)
        await (await self._opened()).disconnect(name)

    async def statistics(self) -> HubStatistics:
        """
        Give what this process serves, for a health check or metrics.

        Raises:
            RuntimeError: The streams are in use on another loop.
        """
        return (await self._opened()).statistics()

    async def close(self) -> None:
        """
        End the streams of this process and close the broker. Reopens when used.

        Raises:
            RuntimeError: The streams are in use on another loop.
        """
        self._enter_loop()
        async with self._changing:
            hub, self._hub = self._hub, None
            self._closed_at = time.monotonic_ns()
            if hub is not None:
                await hub.close()

    async def __aenter__(self) -> Self:
        """Open the broker, so that a mistake shows at start."""
        await self._opened()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a connection. See the ASGI specification."""
        await self._app(scope, receive, send)

    async def _opened(self) -> Hub:
        self._enter_loop()
        async with self._changing:
            if self._hub is None:
                opening = open_hub(
                    self._url,
                    self._config,
                    previous_closed_at=self._closed_at,
                )
                # Not in the context of the request that comes first: it would be kept.
                self._hub = await asyncio.create_task(
                    opening, context=contextvars.Context()
                )
            return self._hub

    def _enter_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        is_used = self._hub is not None or self._changing.locked()
        if is_used and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(
                "these streams are in use on another event loop. From one of its threads:"
                " anyio.from_thread.run(streams.publish, data). A loop of its own needs an"
                " EventStreams of its own, with the same url"
            )
        # What a loop has left open when it ended can only be dropped.
        self._loop, self._hub, self._changing = loop, None, asyncio.Lock()

    # ASGI.

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            with expecting_stop(receive):
                await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            # Before it is accepted this is answered with 403.
            await receive()
            await send({"type": "websocket.close"})
        else:
            raise ValueError(f"streams are HTTP, not {scope['type']!r}")

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            await self._opened()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            allow = (b"allow", b"GET, HEAD")
            await answer(send, 405, "streams are asked for with GET", allow)
            return
        query = parse_qs(
            scope["query_string"].decode(errors="replace"), keep_blank_values=True
        )
        try:
            channels = asked_channels(query.get("channel", []))
            after = asked_position(
                _header(scope, b"last-event-id"), query.get("lastEventId", [None])[0]
            )
        except InvalidFieldError as error:
            await answer(send, 400, str(error))
            return
        token = query.get("token", [None])[0]
        arrived_at = note_arrival(scope)
        refused, expires_at = await self._authorize(channels, token, scope)
        if refused is not None:
            await answer(send, 403, refused)
            return
        if scope["method"] == "HEAD":
            await send(start())
            await send(body(b"", more=False))
            return
        try:
            hub = await self._opened()
            client = scope.get("client")
            ticket = hub.admit(
                channels,
                last_event_id=after,
                expires_at=expires_at,
                # Empty for a Unix socket.
                address=(client[0] or None) if client else None,
                arrived_at=arrived_at,
            )
        except TooManySubscribersError as error:
            await refuse(send, error.status, error, error.retry_after_seconds)
        except HubClosedError as error:
            await refuse(send, 503, error, _RESTART_SECONDS)
        else:
            await self._stream(hub, ticket, receive, send)

    async def _authorize(
        self, channels: tuple[str, ...], token: str | None, scope: Any
    ) -> tuple[str | None, float | None]:
        """Give why a client is refused, and when its stream expires."""
        if token is not None and not self._keys:
            return "this application signs no tokens", None
        if token is not None:
            from ..tokens import InvalidTokenError, check_token  # noqa: PLC0415 - needs an extra

            try:
                return None, check_token(self._keys, token, channels)
            except InvalidTokenError as error:
                return str(error), None
        verdict = None if self._authorizer is None else self._authorizer(channels, scope)
        if isinstance(verdict, Awaitable):
            verdict = await verdict
        if may_listen(verdict, private=self._private):
            return None, None
        return "not allowed to listen to these channels", None

    async def _stream(self, hub: Hub, ticket: Ticket, receive: Any, send: Any) -> None:
        try:
            await hub.locate(ticket)
            await send(start())
            connection = connection_of(receive, send)
            sink = None
            if self._may_take_over:
                sink = await connection.take_over(self._config)
            if sink is None:
                await serve(hub, ticket, connection, receive, send)
            else:
                hub.attach(ticket, sink)
        except BaseException:
            hub.release(ticket)
            raise


def _header(scope: Any, wanted: bytes) -> bytes | None:
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return None


def _wrong(name: str, value: object, kind: Any, words: str) -> list[str]:
    if isinstance(value, kind):
        return []
    return [f"{name} must be {words}, not {value!r}"]


def _keys(
    secret_key: str | bytes | Sequence[str | bytes] | None,
) -> list[str | bytes]:
    if secret_key is None:
        return []
    single = isinstance(secret_key, str | bytes) or not isinstance(secret_key, Sequence)
    keys: list[Any] = [secret_key] if single else [*secret_key]
    for key in keys:
        if not isinstance(key, str | bytes):
            raise ConfigError(
                [f"secret_key must be text, bytes, or several of them, not {key!r}"]
            )
        if not key:
            raise ConfigError(["secret_key must not be empty"])
    try:
        from ..tokens import make_token  # noqa: F401, PLC0415 - a mistake shows at start
    except ModuleNotFoundError as error:
        raise ConfigError(
            [f"secret_key needs {error.name}: pip install 'heliograph[asgi]'"]
        ) from error
    return keys


def _dumps(data: Any) -> str:
    # NaN is no JSON: the browser's JSON.parse would throw at the other end.
    return json.dumps(data, allow_nan=False)
