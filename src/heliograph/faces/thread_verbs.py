"""Publishing on a loop from other threads, and from functions that cannot await."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING, Any

from ..errors import HubClosedError
from ..logs import Logger
from .async_verbs import AsyncVerbs
from .request import DEFAULT_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from ..hub import Hub
    from .loop_hub import LoopHub

__all__ = ["ThreadVerbs"]

_log = Logger("heliograph.events")

# How often a thread that waits looks whether the loop has ended, which tells nobody.
_LOOK_SECONDS = 0.5


class ThreadVerbs(AsyncVerbs):
    """The verbs of a loop, and those that other threads publish with."""

    __slots__ = ()

    _hub: LoopHub

    def publish_sync(
        self,
        data: Any,
        type: str | None = None,
        id: str | int | None = None,
        retry: int | None = None,
        channel: str | Iterable[str] = DEFAULT_CHANNEL,
        *,
        retain: bool = False,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """
        Publish an event from another thread than the loop's, and wait until it is stored.

        For the functions without ``async`` of FastAPI, Starlette and Litestar, and for any
        thread once the streams are open.

        Args:
            data: As for :meth:`publish`, like all that follow.
            type: The name of the event.
            id: An id of your own.
            retry: Milliseconds that clients wait before they reconnect.
            channel: A channel, or several.
            retain: Whether the event is kept.
            key: The key of the retained event.
            idempotency_key: A name of your own for this publish.

        Returns:
            The id of the event, as :meth:`publish` does.

        Raises:
            RuntimeError: This thread runs an event loop, which would stand still; or the
                streams' loop cannot be found.
            HubClosedError: The loop has ended meanwhile: the event may be stored or not.
            ChannelEndedError: As for :meth:`publish`, like all others that it raises.
        """
        publish = self._publishing(
            data,
            type,
            id,
            retry,
            channel,
            retain=retain,
            key=key,
            idempotency_key=idempotency_key,
        )
        _refuse_on_a_loop()
        loop = self._hub.loop()
        coroutine = self._published(publish)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:  # the loop has just ended
            coroutine.close()
            raise _ended() from None
        return _result(future, loop)

    def publish_soon(
        self,
        data: Any,
        type: str | None = None,
        id: str | int | None = None,
        retry: int | None = None,
        channel: str | Iterable[str] = DEFAULT_CHANNEL,
        *,
        retain: bool = False,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """
        Publish an event without waiting: from any thread, and on the loop itself.

        A wrong argument raises here. If the event cannot be stored later, that is logged as
        an error. The events of one thread are stored in the order of its calls. Closing the
        streams waits for what was published before.

        Args:
            data: As for :meth:`publish`, like all that follow. It is encoded now.
            type: The name of the event.
            id: An id of your own.
            retry: Milliseconds that clients wait before they reconnect.
            channel: A channel, or several.
            retain: Whether the event is kept.
            key: The key of the retained event.
            idempotency_key: A name of your own for this publish.

        Raises:
            RuntimeError: The streams' loop cannot be found.
            InvalidFieldError: An argument is not valid.
        """
        publish = self._publishing(
            data,
            type,
            id,
            retry,
            channel,
            retain=retain,
            key=key,
            idempotency_key=idempotency_key,
        )
        loop = self._hub.loop()
        coroutine = self._logged(publish)
        try:
            loop.call_soon_threadsafe(self._hub.tasks.start, coroutine)
        except RuntimeError:  # the loop has just ended
            coroutine.close()
            raise _ended() from None

    async def _published(self, publish: Callable[[Hub], Coroutine[Any, Any, str]]) -> str:
        return await publish(await self._opened())

    async def _logged(self, publish: Callable[[Hub], Coroutine[Any, Any, str]]) -> None:
        try:
            await self._published(publish)
        except Exception:  # noqa: BLE001 - the boundary of a task
            _log.exception("the event of a publish_soon(…) is not published")


def _refuse_on_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "publish_sync(…) was called in a thread that runs an event loop, which would stand"
        " still: write await streams.publish(…), or streams.publish_soon(…) in a function"
        " that cannot await"
    )


def _ended() -> HubClosedError:
    return HubClosedError("the event loop of these streams has ended")


def _result(future: concurrent.futures.Future[str], loop: asyncio.AbstractEventLoop) -> str:
    while not future.done():
        concurrent.futures.wait((future,), timeout=_LOOK_SECONDS)
        if loop.is_closed() and not future.done():
            # What was handed over to it is never going to run.
            raise _ended()
    try:
        return future.result()
    except concurrent.futures.CancelledError:
        raise _ended() from None
