"""The event source for asyncio and trio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2

from .async_reading import AsyncReading
from .carrying import Hooks, check_client, with_params
from .observed import Observed
from .settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Self

    from .actions import Target
    from .carrying import Renewal
    from .events import MessageEvent, Opening
    from .reconnect import Reconnect
    from .settings import Timeout

__all__ = ["AsyncEventSource"]


class AsyncEventSource(Observed):
    """
    The events of a stream, for asyncio and trio.

    As :class:`~heliograph.client.EventSource`, with ``async for``::

        async with AsyncEventSource("https://app.example/stream") as source:
            async for event in source:
                print(event.json())

    It belongs to the event loop in which it is iterated over. Cancelling the task that
    iterates closes the connection. Under trio, leave it with ``async with``: a loop that
    is left with ``break`` otherwise makes trio warn of an unfinished generator.

    Args:
        url: The address of the stream.
        last_event_id: The id to begin after; :obj:`None` to begin where the server lets
            new clients begin.
        headers: Fields of each request, beside ``Accept``, ``Cache-Control`` and
            ``Last-Event-ID``.
        auth: Credentials, as the HTTP library takes them. They are not sent to another
            origin after a redirect.
        params: Parameters to add to the query.
        method: The method of each request.
        json: The body of each request, which is encoded as JSON; not with GET.
        timeout: Longest time in seconds without a byte until the server counts as lost;
            :obj:`None` for any time; ``"heartbeats"`` as for the other class.
        reconnect: Whether to reconnect, or a :class:`~heliograph.client.Reconnect` that
            also says how; :obj:`None` as for the other class.
        client: An ``httpx2.AsyncClient`` to send requests with; it is not closed.
            :obj:`None` for one of this event source's own.
        renew: As for the other class; it may be a coroutine function. So may be those
            that follow.
        max_event_bytes: Largest event in bytes.
        on_open: Called with an :class:`~heliograph.client.Opening` for each connection
            that is accepted.
        on_error: Called before each wait for a reconnect, with the error (:obj:`None`
            after the end of a stream) and the seconds until the next attempt.
        on_close: Called once when the event source has ended for good, if it was iterated
            over.

    Raises:
        ConfigError: An argument is wrong.
        InvalidFieldError: No stream can send ``last_event_id``.

    Iterating raises what iterating over the other class does.
    """

    def __init__(
        self,
        url: str,
        *,
        last_event_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Any = None,
        params: Any = None,
        method: str = "GET",
        json: Any = None,
        timeout: Timeout = "heartbeats",
        reconnect: bool | Reconnect | None = None,
        client: httpx2.AsyncClient | None = None,
        renew: Callable[[Target], Renewal | Awaitable[Renewal]] | None = None,
        max_event_bytes: int = 16 * 1024 * 1024,
        on_open: Callable[[Opening], object] | None = None,
        on_error: Callable[[Exception | None, float], object] | None = None,
        on_close: Callable[[], object] | None = None,
    ) -> None:
        check_client(client, httpx2.AsyncClient)
        settings = Settings.of(
            with_params(url, params),
            last_event_id=last_event_id,
            headers=headers,
            method=method,
            json=json,
            timeout=timeout,
            reconnect=reconnect,
            max_event_bytes=max_event_bytes,
        )
        hooks = Hooks(auth, renew, on_open, on_error, on_close)
        self._reading = AsyncReading(settings, client, hooks)
        super().__init__(self._reading)
        self._events = self._reading.events()

    def __aiter__(self) -> AsyncIterator[MessageEvent]:
        return self._events

    async def __anext__(self) -> MessageEvent:
        return await anext(self._events)

    def close(self) -> None:
        """
        End the iteration, from any task of the event loop.

        Returns at once. A task that iterates meanwhile gets no further event, and closes
        the connection. If none does, :meth:`aclose` closes it.
        """
        self._reading.close()

    async def aclose(self) -> None:
        """
        End the iteration, and close the connection.

        If another task iterates, that one closes it. Closing again does nothing. If this
        is cancelled, the connection is closed all the same.
        """
        self._reading.close()
        # Another task that is within the generator leaves it, and closes, by itself.
        if not self._events.ag_running:  # type: ignore[attr-defined]
            await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
