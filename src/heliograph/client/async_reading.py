"""The connections of an event source in a loop: carry out what the machine decides."""

from __future__ import annotations

import inspect
import random
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
from anyio.lowlevel import cancel_shielded_checkpoint

from ..errors import StreamRefusedError
from .actions import Connect, Follow, Read, Stop, Wait
from .carrying import (
    MAX_BODY_BYTES,
    NETWORK_ERRORS,
    REASON_SECONDS,
    SilenceError,
    following,
    head_of,
    log_wait,
    opening_of,
    passes,
    renewed,
    request_of,
)
from .machine import Machine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from .actions import Action
    from .carrying import Hooks
    from .events import MessageEvent
    from .settings import Settings

__all__ = ["AsyncReading"]


class AsyncReading:
    """
    All connections of one event source, in the task that iterates.

    It does not refer to the event source, so that dropping that one ends the generator.

    Args:
        settings: What the caller has asked for.
        client: The caller's client; :obj:`None` for one of our own.
        hooks: The caller's functions.

    Attributes:
        machine: What decides.
        last_event_id: The id of the last event that was handed out.
        is_closed: Whether the iteration has ended, or ends.
    """

    def __init__(
        self, settings: Settings, client: httpx2.AsyncClient | None, hooks: Hooks
    ) -> None:
        self.machine = Machine(settings, random=random.random)
        self.last_event_id = settings.last_event_id
        self.is_closed = False
        self._settings = settings
        self._hooks = hooks
        self._is_own_client = client is None
        self._client = client
        self._response: httpx2.Response | None = None
        self._chunks: AsyncGenerator[bytes, None] | None = None
        # The longest silence of the HTTP library's own.
        self._read_seconds: float | None = None
        # What ends a read that is in no scope; the loop's own kind of socket.
        self._socket: Any = None
        # What is waited for now. Scopes are never open across a yield: the task that
        # iterates next may be another one.
        self._scope: anyio.CancelScope | None = None

    def close(self) -> None:
        """End what is waited for, and the iteration."""
        self.is_closed = True
        if self._scope is not None:
            self._scope.cancel()
        elif self._socket is not None:
            # That of uvloop cannot be shut down. An error means that the peer was faster.
            with (
                suppress(OSError),
                socket.socket(fileno=socket.dup(self._socket.fileno())) as same,
            ):
                same.shutdown(socket.SHUT_RDWR)

    async def events(self) -> AsyncGenerator[MessageEvent, None]:
        """Yield the events of all connections."""
        machine = self.machine
        try:
            action: Action = machine.connect()
            while not (isinstance(action, Stop) or self.is_closed):
                if isinstance(action, Wait):
                    action = await self._wait(action)
                elif isinstance(action, Connect):
                    action = await self._open(action)
                else:
                    chunk, action = await self._next()
                    for event in machine.receive_bytes(chunk):
                        if self.is_closed:
                            return
                        # The id of what was handed out: a program that stops now resumes
                        # here.
                        self.last_event_id = event.last_event_id
                        yield event
                    self.last_event_id = machine.last_event_id
            if isinstance(action, Stop) and action.error is not None:
                raise action.error
        finally:
            await self._end()

    async def _open(self, connect: Connect) -> Action:
        self._client = self._client or httpx2.AsyncClient()
        self._read_seconds = self.machine.silence_seconds
        request = request_of(
            self._client, self._settings, connect, read_seconds=self._read_seconds
        )
        credentials = self._hooks.credentials(connect)
        while True:
            with self._limited(self.machine.head_seconds) as scope:
                try:
                    self._response = await self._client.send(
                        request, stream=True, follow_redirects=False, **credentials
                    )
                except NETWORK_ERRORS as error:
                    return self._failed(error)
            if scope.cancelled_caught or self._response is None:
                return self._failed(None)
            response = self._response
            action = self.machine.receive_head(head_of(response), time.time())
            if not isinstance(action, Follow) or response.next_request is None:
                break
            await self._release()
            request = following(self._client, response.next_request, connect, action)
            credentials = self._hooks.credentials(action)
        # Without a coding there is nothing to decode, and a layer less for each piece.
        is_coded = "content-encoding" in response.headers
        self._chunks = response.aiter_bytes() if is_coded else response.aiter_raw()
        stream = response.extensions.get("network_stream")
        # A connection of HTTP/2 that belongs to the caller has other streams.
        if stream is not None and self._is_own_client:
            self._socket = stream.get_extra_info("socket")
        if not isinstance(action, Read):
            if isinstance(action, Stop):
                await self._read_reason(action.error)
            await self._release()
        elif self._hooks.on_open is not None:
            opening = opening_of(response, self.machine.last_event_id)
            await _result(self._hooks.on_open(opening))
        return action

    async def _release(self) -> None:
        """Close the connection, or give it back to the caller's client."""
        chunks, response = self._chunks, self._response
        self._chunks = self._response = self._socket = None
        if chunks is not None:
            await _unwind(chunks)
        if response is not None:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _end(self) -> None:
        self.machine.close()
        self.is_closed = True
        # An event source that is dropped just before asyncio.run ends is cancelled while
        # it is closed. To let go at the first await is clean: the loop then closes the
        # HTTP library's generators.
        await cancel_shielded_checkpoint()
        await self._release()
        if self._is_own_client and self._client is not None:
            with anyio.CancelScope(shield=True):
                await self._client.aclose()
        if self._hooks.on_close is not None:
            await _result(self._hooks.on_close())

    async def _next(self) -> tuple[bytes, Action]:
        """Return the next bytes; none, and what to do, if no more follow."""
        silence = self.machine.silence_seconds
        # A scope costs more than a piece of a stream. The HTTP library's own limit, fixed
        # when the request is sent, is enough unless the stream has named another one since.
        if self._socket is not None and silence == self._read_seconds:
            return await self._piece()
        with self._limited(silence):
            return await self._piece()
        await self._release()
        return b"", self._failed(None)

    async def _piece(self) -> tuple[bytes, Action]:
        assert self._chunks is not None  # noqa: S101 - the stream is open
        action: Action
        try:
            return await anext(self._chunks), Read()
        except StopAsyncIteration:
            action = Stop(None) if self.is_closed else self.machine.receive_end()
        except NETWORK_ERRORS as error:
            action = self._failed(error)
        await self._release()
        return b"", action

    async def _read_reason(self, error: Exception | None) -> None:
        """Read the beginning of an answer that is no stream: it may say why."""
        if self._chunks is None or not isinstance(error, StreamRefusedError):
            return
        body = b""
        with suppress(*NETWORK_ERRORS), self._limited(REASON_SECONDS):
            async for chunk in self._chunks:
                body += chunk
                if len(body) >= MAX_BODY_BYTES:
                    break
        error.body = body[:MAX_BODY_BYTES].decode(errors="replace")

    def _failed(self, error: Exception | None) -> Action:
        """Return what to do after an error, or after silence."""
        if self.is_closed:
            return Stop(None)
        if error is None:
            error = SilenceError.of(self.machine)
        elif isinstance(error, httpx2.ReadTimeout):
            # The stream may have named another limit since, or none. This connection is
            # lost all the same, and the next one has that limit.
            error = SilenceError.after(self._read_seconds)
        return self.machine.receive_error(error, passes=passes(error))

    async def _wait(self, action: Wait) -> Action:
        log_wait(action, self.machine, is_told=self._hooks.on_error is not None)
        if self._hooks.on_error is not None:
            await _result(self._hooks.on_error(action.error, action.seconds))
        with self._limited(None):
            await anyio.sleep(action.seconds)
        if self.is_closed:
            return Stop(None)
        if self._hooks.renew is not None:
            target = self.machine.target
            try:
                answer = await _result(self._hooks.renew(target))
            except NETWORK_ERRORS as error:
                return self.machine.receive_error(error)
            self.machine.renew(renewed(target, answer))
        return self.machine.connect()

    @contextmanager
    def _limited(self, seconds: float | None) -> Iterator[anyio.CancelScope]:
        """Open a scope that is cancelled after some time, and by :meth:`close`."""
        with anyio.move_on_after(seconds) as scope:
            self._scope = scope
            try:
                # Whoever closed before this has cancelled nothing.
                if self.is_closed:
                    scope.cancel()
                yield scope
            finally:
                self._scope = None


async def _unwind(chunks: AsyncGenerator[bytes, None]) -> None:
    """
    Leave the HTTP library's generators, each of which holds another one.

    To close the outer one would leave the inner ones to the garbage collector, which makes
    trio warn. A read that is cancelled leaves all of them; what has been received before
    is dropped.
    """
    with anyio.CancelScope(shield=True) as scope, suppress(*NETWORK_ERRORS):
        scope.cancel()
        async for _ in chunks:
            pass


async def _result(value: Any) -> Any:
    """Return what a function or a coroutine function of the caller returns."""
    return await value if inspect.isawaitable(value) else value
