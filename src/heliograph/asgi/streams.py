"""
Streams of events as an ASGI application, with the methods that publish to them.

The hub runs on the server's own loop, so a stream costs no thread, and under uvicorn no
task either. It is opened when it is first needed, and belongs to that loop.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..brokers import check_url, with_plain_channels
from ..channels.entry import id_after
from ..channels.names import check_channel, check_selection
from ..config import HubConfig
from ..cors import CorsPolicy
from ..errors import ConfigError, InvalidFieldError
from ..faces import (
    DEFAULT_CHANNEL,
    Access,
    dumps_json,
    event_for,
    read_keys,
    signed_parameters,
)
from ..faces.access import authorizer_problem
from ..servers.stopping import stopping_process
from .cors import CORSMiddleware
from .endpoint import StreamEndpoint
from .loop_hub import LoopHub
from .naming import NamedAsFunction
from .subscribing import SubscriptionBlock

if TYPE_CHECKING:
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from ..brokers import PlainChannels
    from ..hub import HubStatistics
    from ..hub.subscription import Subscription
    from ..servers.asgi_types import Receive, Scope, Send
    from .endpoint import Authorizer

__all__ = ["EventStreams"]


class EventStreams(NamedAsFunction):
    """
    An ASGI application that serves streams, with the methods that publish to them.

    Run it alone, or give it a route, in Starlette as in FastAPI:
    ``routes=[Route("/stream", streams)]``. A client names channels in the query
    (``channel``, repeated for several; ``sse`` if there is none), and may send ``token``
    and ``lastEventId``.

    The server's lifespan opens and closes it if it runs alone. Within another application
    use it as a block in that one's lifespan, ``async with streams:``. Without a lifespan it
    opens when it is first needed and ends with the process.

    Args:
        url: Where the channels live: ``"sqlite:///file"``, below the current folder,
            ``"sqlite:////folder/file"``, ``"memory:"``, ``"redis://host:6379/0"``. All
            processes of an application share one; ``memory:`` is for one process.
        config: Limits and timings.
        authorize: Called with the channels asked for (sorted, each once) and the scope,
            before a stream begins, unless the client has a valid token. May be async.
            ``False`` refuses with 403; ``True`` lets in, and so does :obj:`None` unless
            ``private`` is set.
        private: Whether a client needs a token or the ``True`` of ``authorize``.
        secret_key: The key that signs URLs of streams, text or bytes; or several, the
            newest last. :obj:`None` signs none, and refuses every token.
        cors: The origins whose pages may listen; :obj:`None` if CORS is handled elsewhere,
            or not at all.
        dumps: Encodes data that is not a str as JSON; :obj:`None` for :func:`json.dumps`
            without NaN.
        take_over: Whether connections are taken over from the server where that works.
        plain_channels: See :func:`heliograph.brokers.open_broker`.

    Raises:
        ConfigError: An argument is wrong, or ``config`` asks for a shared window although
            ``authorize`` or ``private`` guards streams.
    """

    # FastAPI answers a view that returns such an object with vars() of it, which would be
    # the keys that sign. And a setting that is assigned later would be ignored in silence.
    __slots__ = ("__weakref__", "_access", "_app", "_dumps", "_hub")

    def __init__(
        self,
        url: str,
        *,
        config: HubConfig | None = None,
        authorize: Authorizer | None = None,
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
        if callable(authorize):
            problem = authorizer_problem(authorize, "channels", "scope")
            problems += [] if problem is None else [f"authorize: {problem}"]
        if problems:
            raise ConfigError(problems)
        url = with_plain_channels(url, plain_channels)
        check_url(url)
        config = HubConfig() if config is None else config
        self._access = Access(
            keys=read_keys(secret_key, extra="asgi"),
            private=private,
            has_authorizer=authorize is not None,
            channels=config.channel_patterns,
        )
        self._dumps = dumps_json if dumps is None else dumps
        self._hub = LoopHub(url, config)
        endpoint = StreamEndpoint(
            self._hub, self._access, authorize, may_take_over=take_over
        )
        self._app = endpoint if cors is None else CORSMiddleware(endpoint, cors)

    async def publish(
        self,
        data: Any,
        type: str | None = None,
        id: str | int | None = None,
        retry: int | None = None,
        channel: str | Iterable[str] = DEFAULT_CHANNEL,
    ) -> str:
        """
        Publish an event to a channel: to its streams now, to others when they reconnect.

        If it is cancelled the event may or may not be stored.

        Args:
            data: A str is sent as it is; anything else as JSON.
            type: The name that ``addEventListener`` waits for; ``"message"`` if none.
            id: An id of your own, instead of the one that is assigned. Streams of several
                channels do not show it. An int counts as its decimal digits.
            retry: Milliseconds that clients wait before they reconnect.
            channel: A channel, or 1 to 64 of them; each stores the event separately.

        Returns:
            The id with which a stream of exactly these channels resumes after the event.

        Raises:
            InvalidFieldError: A field or a channel's name cannot be sent.
            EventTooLargeError: The event is larger than ``max_event_bytes``.
            BrokerUnavailableError: The event could not be stored.
            ConfigError: Storage refuses what it was configured with.
            HubClosedError: The streams are being closed. A publish that waited meanwhile
                may or may not have stored its event.
            RuntimeError: They are in use on another loop.
        """
        channels, event = event_for(
            channel, data, type=type, id=id, retry=retry, dumps=self._dumps
        )
        hub = await self._hub.opened()
        return id_after(await hub.publish(channels, event))

    def subscribe(
        self, *channels: str, last_event_id: str | None = None
    ) -> SubscriptionBlock:
        """
        Subscribe to channels within a block.

        ``async with streams.subscribe("news") as events: async for event in events: …``

        The iteration ends when the streams are closed, when a channel is disconnected, and
        when the server is told to stop: uvicorn waits for a response that iterates, and
        closes the streams only after that.

        Args:
            channels: 1 to 64 channels; ``sse`` if there is none.
            last_event_id: The id after which to resume; :obj:`None` for what is published
                from the beginning of the block on.

        Returns:
            A block, in which there are the events as clients get them, in order and once.
            Its ``last_event_id`` is that of the last event that was taken from it.

        Raises:
            InvalidFieldError: A channel or the ``last_event_id`` is not valid.
            TooManySubscribersError: A cap is reached.
            HubClosedError: The streams are being closed.
            RuntimeError: They are in use on another loop.
        """
        return SubscriptionBlock(self._subscribed(channels, last_event_id))

    @contextlib.asynccontextmanager
    async def _subscribed(
        self, channels: tuple[str, ...], last_event_id: str | None
    ) -> AsyncIterator[Subscription]:
        names = check_selection(channels or DEFAULT_CHANNEL)
        if not isinstance(last_event_id, str | None):
            raise InvalidFieldError(
                "last_event_id", last_event_id, "must be a str, or None"
            )
        hub = await self._hub.opened()
        async with hub.subscribe(
            names, last_event_id=last_event_id, is_stopping=stopping_process()
        ) as subscription:
            yield subscription

    def query(self, *channels: str, expires_in: float | timedelta) -> str:
        """
        Return the signed query of a stream's URL: whoever has it may listen for a while.

        After that its streams end, and it opens no new one. The extension for Flask signs
        the same with the same key.

        Args:
            channels: 1 to 64 channels.
            expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`.

        Returns:
            What follows the ``?`` of the URL.

        Raises:
            InvalidFieldError: A channel or ``expires_in`` is not valid.
            ConfigError: There is no ``secret_key``.
        """
        parameters = signed_parameters(
            self._access.keys,
            channels,
            expires_in,
            now=time.time(),
            setting="EventStreams(secret_key=…)",
        )
        return urlencode(parameters, doseq=True)

    async def disconnect(self, channel: str) -> None:
        """
        End the streams that have a channel in their selection, in all processes.

        Browsers reconnect by themselves, so refuse them first.

        Args:
            channel: The channel's name.

        Raises:
            InvalidFieldError: The name is not valid.
            BrokerUnavailableError: The command could not be sent to other processes.
            HubClosedError: The streams are being closed.
            RuntimeError: They are in use on another loop.
        """
        name = check_channel(channel)
        await (await self._hub.opened()).disconnect(name)

    async def statistics(self) -> HubStatistics:
        """
        Return what this process serves, for a health check or metrics.

        Raises:
            HubClosedError: The streams are being closed.
            RuntimeError: The streams are in use on another loop.
        """
        return (await self._hub.opened()).statistics()

    async def close(self) -> None:
        """
        End the streams of this process and close the broker. Reopens when used.

        Raises:
            RuntimeError: The streams are in use on another loop.
        """
        await self._hub.close()

    async def __aenter__(self) -> Self:
        """Open the broker, so that a mistake shows at start."""
        await self._hub.opened()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection. See the ASGI specification."""
        await self._app(scope, receive, send)


def _wrong(name: str, value: object, kind: Any, words: str) -> list[str]:
    if isinstance(value, kind):
        return []
    return [f"{name} must be {words}, not {value!r}"]
