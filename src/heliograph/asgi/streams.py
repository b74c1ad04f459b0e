"""
Streams of events as an ASGI application, with the methods that publish to them.

The hub runs on the server's own loop, so a stream costs no thread, and under uvicorn no
task either. It is opened when it is first needed, and belongs to that loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..brokers import check_url, with_plain_channels
from ..config import HubConfig
from ..cors import CorsPolicy
from ..errors import ConfigError
from ..faces import (
    Access,
    dumps_json,
    read_keys,
    signed_parameters,
)
from ..faces.access import authorizer_problem
from ..faces.loop_hub import LoopHub
from ..faces.thread_verbs import ThreadVerbs
from .cors import CORSMiddleware
from .endpoint import StreamEndpoint
from .naming import NamedAsFunction
from .responding import ViewStream

if TYPE_CHECKING:
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from ..brokers import PlainChannels
    from ..hub import Hub
    from ..servers.asgi_types import Receive, Scope, Send
    from .endpoint import Authorizer
    from .leaving import OnLeave
    from .responding import Headers

__all__ = ["EventStreams"]


class EventStreams(NamedAsFunction, ThreadVerbs):
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
    __slots__ = ("__weakref__", "_access", "_app", "_dumps", "_hub", "_may_take_over")

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
        self._may_take_over = take_over
        endpoint = StreamEndpoint(
            self._hub, self._access, authorize, may_take_over=take_over
        )
        self._app = endpoint if cors is None else CORSMiddleware(endpoint, cors)

    def response(
        self,
        *channels: str,
        start: str | int = "retained",
        expires_in: float | timedelta | None = None,
        on_leave: OnLeave | None = None,
        headers: Headers | None = None,
    ) -> ViewStream:
        """
        Return a stream of channels that a view chooses: an ASGI application.

        Return it from a view of Starlette or Litestar, or call it from any ASGI
        application; views of FastAPI return :class:`heliograph.starlette.EventResponse`.

        The view has decided who may listen: neither ``authorize`` nor a token nor
        ``private`` counts. Of the request, which may have any method, only the last event
        id is read, from the header or the query. ``cors`` does not count, either: CORS is
        the application's.

        Args:
            channels: 1 to 64 channels.
            start: Where a stream begins whose client sends no id: ``"retained"``,
                ``"now"``, ``"start"``, or how many events of each channel come first.
            expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`, after which the
                stream ends and an ``EventSource`` requests the view again.
            on_leave: Called once with a :class:`~heliograph.hub.Leave` when the client has
                left or its stream has ended; also if it got none. An ``async`` function is
                called on the loop, another one in a thread. What it raises is logged.
            headers: Names and values to add to the response.

        Returns:
            An application, which may be called for several requests.

        Raises:
            InvalidFieldError: A channel, ``start`` or ``expires_in`` is not valid.
            TypeError: ``on_leave`` cannot be called with one argument.
        """
        return ViewStream(
            self._hub,
            channels,
            self._access.channels,
            start=start,
            expires_in=expires_in,
            on_leave=on_leave,
            headers=headers,
            may_take_over=self._may_take_over,
        )

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

    async def _opened(self) -> Hub:
        return await self._hub.opened()

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
