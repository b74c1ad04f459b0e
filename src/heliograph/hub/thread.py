"""
The hub for synchronous programs: the process's one loop, in a thread of its own.

Nothing starts before it is needed, so an application may be imported in a gunicorn
master that never serves anything. A thread does not survive a fork: in the child
everything begins anew, and what was inherited is neither used nor finalised, because the
parent still uses it. With the process the streams are ended and the thread is joined.

What runs on the loop has a context of its own (PEP 567): in that of a request is the
request, with all that hangs on it, and a stream would keep it for as long as it is open.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import contextlib
import contextvars
import logging
import math
import os
import random
import threading
import time
import weakref
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..brokers import (
    without_password,
    worker,  # noqa: F401 - imported first: its hooks before a fork have to run after ours
)
from ..errors import BrokerUnavailableError, HubClosedError
from .hub import open_hub
from .sinks import PullSink, can_see_clients, tune_descriptor

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from ..brokers import PlainChannels
    from ..channels.entry import Entry
    from ..config import HubConfig
    from ..event import Event
    from .hub import Hub, HubStatistics
    from .subscriber import Subscriber

__all__ = ["HubThread"]

_log = logging.getLogger("heliograph.hub")

_Result = TypeVar("_Result")

# How long the end of the process waits for the hub: for commits under way, no longer.
_CLOSE_SECONDS = 5.0

# How long the hub may take to open. It never blocks, so this is only reached when the
# machine is overloaded beyond use.
_OPEN_SECONDS = 30.0

# How long a server's thread waits until the loop has looked at its request. A loop that is
# later than that has more to do than it can, and a thread that waits serves nobody: the
# client is refused, and asks again.
_ADMIT_SECONDS = 2.0

# A generator cannot see its client leave where the server does not give its socket; it
# learns of it when a write fails, usually the second. So it writes this often.
_BLIND_HEARTBEAT_SECONDS = 2.0

# And some servers take whatever is written for a client that has left. So such a stream
# ends after this, give or take a tenth; a client that is still there comes back by itself.
_BLIND_STREAM_SECONDS = 300.0


class _LoopThread:
    """An event loop that runs in a thread until it is stopped."""

    def __init__(self) -> None:
        self.loop = contextvars.Context().run(_new_loop)
        self.process = os.getpid()
        self.thread = threading.Thread(target=self._run, name="heliograph-hub", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(_CLOSE_SECONDS)


class Adapter(Protocol):
    """A client's connection that something between us and its server has."""

    def tune(self, config: HubConfig) -> None:
        """Make it prompt, bounded, and aware of a peer that has died."""
        ...

    def watch(self, on_left: Callable[[], None]) -> None:
        """Have something called, once, when the client has left."""
        ...

    def abort(self) -> None:
        """End it."""
        ...


class HubThread:
    """
    A hub that is used from other threads than its own.

    Args:
        url: Where the channels live. See :func:`heliograph.brokers.open_broker`.
        config: Limits and timings.
        plain_channels: See :func:`heliograph.brokers.open_broker`.
    """

    def __init__(
        self, url: str, config: HubConfig, *, plain_channels: PlainChannels | None = None
    ) -> None:
        self.url = url
        self.config = config
        self._plain_channels = plain_channels
        self._hub: Hub | None = None
        self._closed_at = 0
        self._lock = threading.Lock()
        # Closes the hub of a program that has dropped this object without closing it.
        self._dropped: weakref.finalize[..., HubThread] | None = None
        _all.add(self)

    def publish(self, channels: Sequence[str], event: Event) -> list[Entry]:
        """
        Store an event in each of some channels. See :meth:`.hub.Hub.publish`.

        Args:
            channels: Valid names.
            event: Any event.

        Returns:
            One entry for each channel.

        Raises:
            BrokerUnavailableError: Storage failed, or took longer than
                ``publish_timeout_seconds``; then the event may or may not be there.
            EventTooLargeError: Encoded it is larger than ``max_event_bytes``.
            InvalidFieldError: Its id looks like a position in one of the channels.
            ConfigError: Storage refuses what it was configured with.
            HubClosedError: The process is about to end.
        """
        return self._call(lambda hub: hub.publish(channels, event))

    def disconnect(self, channel: str) -> None:
        """
        End the streams of a channel in every process. See :meth:`.hub.Hub.disconnect`.

        Args:
            channel: A valid name.

        Raises:
            BrokerUnavailableError: Other processes could not be told.
            HubClosedError: The process is about to end.
        """
        self._call(lambda hub: hub.disconnect(channel))

    def statistics(self) -> HubStatistics:
        """Give what the hub of this process holds and has done."""

        async def statistics(hub: Hub) -> HubStatistics:
            return hub.statistics()

        return self._call(statistics)

    def admit(
        self,
        channels: tuple[str, ...],
        *,
        last_event_id: str | None = None,
        expires_at: float | None = None,
        address: str | None = None,
        arrived_at: int | None = None,
    ) -> Subscriber:
        """
        Give a client its place among the caps. See :meth:`.hub.Hub.admit`.

        Args:
            channels: What it asks for, sorted, each once, all valid.
            last_event_id: Where it says that it is.
            expires_at: When its stream ends, in seconds since the epoch of Unix.
            address: From where it has come.
            arrived_at: When its request arrived, as :func:`time.monotonic_ns` says it.

        Returns:
            A subscriber, to be given to :meth:`adopt` or :meth:`pull`.

        Raises:
            TooManySubscribersError: A cap is reached.
            HubClosedError: The process is about to end, or has no time to answer.
        """
        # Whoever gives up waiting gives back what he is never going to be told of.
        given_up = threading.Event()
        admitted: list[Subscriber] = []

        async def admit(hub: Hub) -> Subscriber:
            subscriber = hub.admit(
                channels,
                last_event_id=last_event_id,
                expires_at=expires_at,
                address=address,
                arrived_at=arrived_at,
            )
            admitted.append(subscriber)
            if given_up.is_set():
                hub.leave(subscriber)
            return subscriber

        def give_back() -> None:
            for subscriber in admitted:
                hub.leave(subscriber)

        hub = self._opened()
        try:
            return _run(admit(hub), _ADMIT_SECONDS)
        except TimeoutError as error:
            given_up.set()
            # It may have been admitted in this very moment.
            _later(give_back)
            raise HubClosedError("the hub does not answer") from error

    def adopt(self, subscriber: Subscriber, connection: socket.socket, head: bytes) -> None:
        """
        Serve a client over its own connection from now on. Returns at once.

        Args:
            subscriber: From :meth:`admit`.
            connection: The hub's from now on, whatever happens.
            head: Bytes to send first.
        """
        _later(subscriber.hub.adopt, subscriber, connection, head)

    def place(self, subscriber: Subscriber) -> None:
        """
        Give a client that begins now its place. See :meth:`.hub.Hub.place`.

        Args:
            subscriber: From :meth:`admit`, and for :meth:`pull`: :meth:`adopt` does it.
        """
        # If the hub has been closed, the stream ends as soon as it is served.
        with contextlib.suppress(HubClosedError, TimeoutError):
            _run(subscriber.hub.place(subscriber), _ADMIT_SECONDS)

    def pull(
        self,
        subscriber: Subscriber,
        client: int | None,
        adapter: Adapter | None = None,
        stopping: Callable[[], bool] | None = None,
    ) -> Iterator[bytes]:
        """
        Serve a client from the thread that iterates.

        Args:
            subscriber: From :meth:`admit`. It leaves when the iterator is closed.
            client: Descriptor of the client's connection. See :class:`.sinks.PullSink`.
            adapter: Another way to it. Without either the stream ends after five minutes.
            stopping: See :meth:`.hub.Hub.end_when`.

        Yields:
            Whole blocks; a comment after silence.
        """
        hub = subscriber.hub
        if stopping is not None:
            _later(hub.end_when, subscriber, stopping)
        sink = PullSink(
            on_resumed=lambda: _later(hub.on_resumed, subscriber),
            client=client,
            on_aborted=None if adapter is None else adapter.abort,
        )
        heartbeat = self.config.heartbeat_seconds or math.inf
        ends = math.inf
        if client is not None:
            tune_descriptor(client, self.config)
        if adapter is not None:
            adapter.tune(self.config)
            adapter.watch(sink.abort)
        elif client is None:
            heartbeat = min(heartbeat, _BLIND_HEARTBEAT_SECONDS)
            seconds = _BLIND_STREAM_SECONDS * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load
            ends = time.monotonic() + seconds
        elif not can_see_clients():
            heartbeat = min(heartbeat, _BLIND_HEARTBEAT_SECONDS)
        try:
            _later(hub.attach, subscriber, sink)
            while (data := sink.pull(heartbeat)) is not None:
                yield data or b":\n\n"
                if time.monotonic() > ends:
                    break
        finally:
            _later(hub.leave, subscriber)
            sink.release()

    def release(self, subscriber: Subscriber) -> None:
        """
        Give a client's place back that is not going to be served.

        Args:
            subscriber: From :meth:`admit`; one that has left is left alone.
        """
        # May be called by the garbage collector, at any moment: no lock, no opening.
        # Nor for a client of the parent, in a child.
        if subscriber.hub in _open_hubs:
            _later(subscriber.hub.leave, subscriber)

    def close(self) -> None:
        """End the streams of this process and close the broker. Reopens when used."""
        with self._lock:
            hub, self._hub = self._hub, None
            self._closed_at = time.monotonic_ns()
            if self._dropped is not None:
                self._dropped.detach()
        if hub is not None:
            _run(_close_hub(hub), _CLOSE_SECONDS)

    def _call(self, function: Callable[[Hub], Coroutine[None, None, _Result]]) -> _Result:
        hub = self._opened()
        try:
            return _run(function(hub), self.config.publish_timeout_seconds)
        except TimeoutError as error:
            raise BrokerUnavailableError(
                without_password(self.url),
                f"no answer within {self.config.publish_timeout_seconds} seconds",
            ) from error

    def _opened(self) -> Hub:
        hub = self._hub
        if hub is not None:
            return hub
        with self._lock:
            if self._hub is None:
                try:
                    self._hub = _run(self._open(), _OPEN_SECONDS)
                except TimeoutError as error:
                    raise HubClosedError("the hub does not answer") from error
                self._dropped = weakref.finalize(self, _later, _close_soon, self._hub)
                # At the end of the process all hubs are closed, dropped or not.
                self._dropped.atexit = False
            return self._hub

    async def _open(self) -> Hub:
        hub = await open_hub(
            self.url,
            self.config,
            plain_channels=self._plain_channels,
            previous_closed_at=self._closed_at,
        )
        _open_hubs.add(hub)
        return hub

    def hold_opening(self) -> None:
        """Wait for an opening under way, and let no other begin: before a fork."""
        self._lock.acquire()

    def let_opening_go_on(self) -> None:
        """Go on: after a fork, in the parent."""
        self._lock.release()

    def forget_parent(self) -> None:
        """Begin anew: after a fork, in the child."""
        # Our copies of the descriptors would keep clients from seeing the end of a
        # stream that the parent closes.
        for connection in (
            () if self._hub is None else tuple(self._hub.connections.values())
        ):
            with contextlib.suppress(OSError):
                os.close(connection.fileno())
        if self._dropped is not None:
            self._dropped.detach()
        self._hub = self._dropped = None
        self._lock = threading.Lock()


_all: weakref.WeakSet[HubThread] = weakref.WeakSet()
_open_hubs: set[Hub] = set()
_closing: set[asyncio.Task[None]] = set()
# Those that a fork holds, from the moment before to the moment after.
_held: list[HubThread] = []
# Reentrant: the collector may drop a HubThread, and so come here, at any moment.
_start_lock = threading.RLock()
_current: _LoopThread | None = None
_ended = False

# What a fork copied and must not be finalised: it is the parent's.
_inherited: list[object] = []


def _loop_thread() -> _LoopThread:
    global _current  # noqa: PLW0603 - one loop for each process is the point
    with _start_lock:
        if _ended:
            raise HubClosedError("the process is about to end")
        if _current is None:
            _current = _LoopThread()
        if _current.process != os.getpid():
            raise RuntimeError(
                "this process was forked from one that has used Heliograph, and Python was"
                " not told: start uWSGI with --lazy-apps"
            )
        return _current


def _run(coroutine: Coroutine[None, None, _Result], seconds: float | None) -> _Result:
    try:
        current = _loop_thread()
        if threading.current_thread() is current.thread:
            raise RuntimeError(  # noqa: TRY301 - all that fails here closes the coroutine
                "called from the hub's own thread, which would wait for itself"
            )
        future = contextvars.Context().run(
            asyncio.run_coroutine_threadsafe, coroutine, current.loop
        )
    except BaseException:
        coroutine.close()
        raise
    try:
        return future.result(seconds)
    except concurrent.futures.TimeoutError:
        future.cancel()
        raise


def _later(function: Callable[..., None], *args: object) -> None:
    # No lock: the garbage collector may come here in any thread, also in one that a fork
    # waits for while it holds them all. Whoever has a hub has a loop.
    current = _current
    if current is None:
        return
    # The loop is closed when the process ends; there is nothing to do then.
    with contextlib.suppress(RuntimeError):
        current.loop.call_soon_threadsafe(function, *args, context=contextvars.Context())


def _close_soon(hub: Hub) -> None:
    task = asyncio.get_running_loop().create_task(_close_hub(hub))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _close_hub(hub: Hub) -> None:
    if hub in _open_hubs:
        _open_hubs.discard(hub)
        await hub.close()


async def _close_all() -> None:
    await asyncio.gather(*(_close_hub(hub) for hub in tuple(_open_hubs)), *_closing)


def _new_loop() -> asyncio.AbstractEventLoop:
    # gevent replaces the thread by a greenlet, in which uvloop would block the worker.
    if type(threading.current_thread()).__module__.startswith("gevent"):
        return asyncio.new_event_loop()
    try:
        import uvloop  # noqa: PLC0415 - optional, and not before it is needed
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _close_with_process() -> None:
    global _ended  # noqa: PLW0603 - see above
    if _current is None or _current.process != os.getpid():
        return
    try:
        _run(_close_all(), _CLOSE_SECONDS)
    except Exception:  # noqa: BLE001 - a hub that cannot be closed must not stop the exit
        _log.exception("cannot close the hub")
    with _start_lock:
        _ended = True
    _current.stop()


def _end_streams() -> None:
    if not _others_go_on():
        _later(_end_all_streams)


def _others_go_on() -> bool:
    # A program may leave its main thread and go on in another, which the interpreter waits
    # for; a server's, perhaps.
    executors = getattr(concurrent.futures.thread, "_threads_queues", {})
    return any(
        not thread.daemon
        and thread is not threading.main_thread()
        and thread not in executors
        for thread in threading.enumerate()
    )


def _end_all_streams() -> None:
    for hub in tuple(_open_hubs):
        hub.end_streams()


def _hold_openings() -> None:
    # Whoever opens a hub imports modules; a child would inherit the locks of a half-done
    # import, and nobody there would finish it.
    for hub_thread in tuple(_all):
        hub_thread.hold_opening()
        _held.append(hub_thread)
    _start_lock.acquire()


def _let_openings_go_on() -> None:
    _start_lock.release()
    while _held:
        _held.pop().let_opening_go_on()


def _begin_anew_in_child() -> None:
    global _current, _start_lock  # noqa: PLW0603 - see above
    _inherited.extend((_current, *_open_hubs, *_closing))
    _open_hubs.clear()
    _closing.clear()
    _current = None
    _start_lock = threading.RLock()
    _held.clear()
    for hub_thread in tuple(_all):
        hub_thread.forget_parent()


atexit.register(_close_with_process)
# Threads of an executor, as gunicorn's gthread has them, are waited for before atexit hooks
# run. Those that serve a generator would wait for us to end their streams, so that is done
# first. The hub stays open for what hooks may publish. The interpreter has had this since
# 3.9; where it is gone, such a worker ends with gunicorn's time-out.
if hasattr(threading, "_register_atexit"):
    threading._register_atexit(_end_streams)  # noqa: SLF001 - see above
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_hold_openings,
        after_in_parent=_let_openings_go_on,
        after_in_child=_begin_anew_in_child,
    )
