"""The connections of an event source in a thread: carry out what the machine decides."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx2

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
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Generator

    from .actions import Action
    from .carrying import Hooks
    from .events import MessageEvent
    from .settings import Settings

__all__ = ["Reading"]


class Reading:
    """
    All connections of one event source, in the thread that iterates.

    It does not refer to the event source, so that dropping that one ends the generator.

    Args:
        settings: What the caller has asked for.
        client: The caller's client; :obj:`None` for one of our own.
        hooks: The caller's functions.

    Attributes:
        machine: What decides.
        watch: What ends a read from outside.
        last_event_id: The id of the last event that was handed out.
        thread: The thread that iterates; :obj:`None` before it has begun.
    """

    def __init__(
        self, settings: Settings, client: httpx2.Client | None, hooks: Hooks
    ) -> None:
        self.machine = Machine(settings, random=random.random)
        self.watch = Watch()
        self.last_event_id = settings.last_event_id
        self.thread: threading.Thread | None = None
        self._settings = settings
        self._client = client
        self._hooks = hooks

    @property
    def is_closed(self) -> bool:
        """Whether the iteration has ended, or ends."""
        return self.watch.closed.is_set()

    def events(self) -> Generator[MessageEvent, None, None]:
        """Yield the events of all connections."""
        self.thread = threading.current_thread()
        client = self._client
        try:
            if client is None:
                # A connection that is kept for another request tells nobody of its socket.
                limits = httpx2.Limits(max_keepalive_connections=0)
                client = httpx2.Client(limits=limits)
            action: Action = self.machine.connect()
            while not (isinstance(action, Stop) or self.watch.closed.is_set()):
                if isinstance(action, Connect):
                    action = yield from self._attempt(client, action)
                elif isinstance(action, Wait):
                    action = self._wait(action)
            if isinstance(action, Stop) and action.error is not None:
                raise action.error
        finally:
            self.machine.close()
            self.watch.close()
            self.watch.join()
            if self._client is None and client is not None:
                client.close()
            if self._hooks.on_close is not None:
                self._hooks.on_close()

    def _attempt(
        self, client: httpx2.Client, connect: Connect
    ) -> Generator[MessageEvent, None, Action]:
        try:
            response, action = self._open(client, connect)
            if response is None:
                return action
            try:
                if isinstance(action, Read):
                    if self._hooks.on_open is not None:
                        self._hooks.on_open(
                            opening_of(response, self.machine.last_event_id)
                        )
                    return (yield from self._read(response))
                if isinstance(action, Stop):
                    self._read_reason(response, action.error)
                return action
            finally:
                response.close()
        finally:
            self.watch.rest()

    def _open(
        self, client: httpx2.Client, connect: Connect
    ) -> tuple[httpx2.Response | None, Action]:
        request = request_of(
            client,
            self._settings,
            connect,
            # The watch does not know a connection that the caller's client has kept.
            read_seconds=self.machine.head_seconds,
            extensions={"trace": self.watch.trace},
        )
        credentials = self._hooks.credentials(connect)
        while True:
            self.watch.expect(self.machine.head_seconds)
            try:
                response = client.send(
                    request, stream=True, follow_redirects=False, **credentials
                )
            except NETWORK_ERRORS as error:
                return None, self._failed(error)
            self.watch.attach(response.extensions.get("network_stream"))
            action = self.machine.receive_head(head_of(response), time.time())
            if not isinstance(action, Follow) or response.next_request is None:
                return response, action
            response.close()
            request = following(client, response.next_request, connect, action)
            credentials = self._hooks.credentials(action)

    def _read(self, response: httpx2.Response) -> Generator[MessageEvent, None, Action]:
        machine, watch = self.machine, self.watch
        is_closed = watch.closed.is_set
        # The HTTP library looks at it again for the body, whose silence the watch ends.
        response.request.extensions["timeout"]["read"] = None
        # Without a coding there is nothing to decode, and a layer less for each piece.
        is_coded = "content-encoding" in response.headers
        chunks = response.iter_bytes() if is_coded else response.iter_raw()
        while not is_closed():
            watch.expect(machine.silence_seconds)
            try:
                chunk = next(chunks, None)
            except NETWORK_ERRORS as error:
                return self._failed(error)
            watch.pause()
            if chunk is None:
                if watch.has_timed_out:
                    return self._failed(EOFError())
                return machine.receive_end()
            for event in machine.receive_bytes(chunk):
                if is_closed():
                    return Stop(None)
                # The id of what was handed out: a program that stops now resumes here.
                self.last_event_id = event.last_event_id
                yield event
            self.last_event_id = machine.last_event_id
        return Stop(None)

    def _read_reason(self, response: httpx2.Response, error: Exception | None) -> None:
        """Read the beginning of an answer that is no stream: it may say why."""
        if not isinstance(error, StreamRefusedError):
            return
        body = b""
        with suppress(*NETWORK_ERRORS):
            self.watch.expect(REASON_SECONDS)
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) >= MAX_BODY_BYTES:
                    break
        error.body = body[:MAX_BODY_BYTES].decode(errors="replace")

    def _failed(self, error: Exception) -> Action:
        if self.watch.closed.is_set():
            return Stop(None)
        if self.watch.has_timed_out or isinstance(error, httpx2.ReadTimeout):
            error = SilenceError.of(self.machine)
        return self.machine.receive_error(error, passes=passes(error))

    def _wait(self, action: Wait) -> Action:
        log_wait(action, self.machine, is_told=self._hooks.on_error is not None)
        if self._hooks.on_error is not None:
            self._hooks.on_error(action.error, action.seconds)
        # A server may send any number, and wait takes no more than 292 years.
        if self.watch.closed.wait(min(action.seconds, threading.TIMEOUT_MAX)):
            return Stop(None)
        if self._hooks.renew is not None:
            target = self.machine.target
            try:
                self.machine.renew(renewed(target, self._hooks.renew(target)))
            except NETWORK_ERRORS as error:
                return self.machine.receive_error(error)
        return self.machine.connect()
