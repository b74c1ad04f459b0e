"""How an event source ends before its stream does: closed in each phase, cancelled, or dropped."""

import asyncio
import gc
import socket
import threading

import anyio
import httpx2
import pytest
from client_reader import ALL, QUICK, Reader
from scripted import HOLD, KEPT, READ, RESET, STREAM, Server, head

from heliograph.client import (
    AsyncEventSource,
    EventSource,
    MessageEvent,
    ReadyState,
    StreamRefusedError,
)

X = b"data: x\n\n"
HURRY_X = b"retry: 1\n\n" + X
AGES = b"retry: 9999999999999999999\n\n"

# What the server does, and the callback after which the client is in that phase.
PHASES = [
    pytest.param([], [HOLD], "asked", id="waits for the head"),
    pytest.param([], [STREAM, HOLD], "on_open", id="waits for the first byte"),
    pytest.param([], [STREAM + b"data: ", READ, HOLD], "on_open", id="reads an event"),
    pytest.param([[STREAM + AGES]], [], "on_error", id="waits for the reconnect"),
    pytest.param(
        [[STREAM + HURRY_X]],
        [HOLD],
        "asked",
        id="waits for the head of a reconnect",
    ),
]
# In a loop, the next request is sent on the same connection.
KEPT_PHASE = pytest.param(
    [[KEPT % (len(HURRY_X), HURRY_X), HOLD]],
    [HOLD],
    "asked",
    id="waits for the head of a reconnect, after a connection that may be kept",
)


@pytest.fixture
def server():
    """A server of scripts."""
    with Server() as server:
        yield server


def _watchers():
    name = "heliograph-client-watch"
    return [thread for thread in threading.enumerate() if thread.name == name]


@pytest.mark.parametrize(("before", "steps", "phase"), [*PHASES, KEPT_PHASE])
def test_close_from_another_thread(before, steps, phase, server):
    """The iteration ends in the thread that iterates; the close itself does not wait."""
    url = server.add("a", [*before, *([steps] if steps else [])]) + "s"
    reached = threading.Event()
    hooks = {} if phase == "asked" else {phase: lambda *_: reached.set()}
    source = EventSource(url, **hooks)
    events = []
    thread = threading.Thread(target=lambda: events.extend(source))
    thread.start()
    if phase == "asked":
        server.wait_for_request(url, len(before) + 1)
    else:
        assert reached.wait(30)

    source.close()

    assert source.ready_state is ReadyState.CLOSED
    thread.join(30)
    assert not thread.is_alive()
    assert len(events) == (len(before) if phase == "asked" else 0)
    assert server.requests(url)[-1].ended.wait(30)
    assert _watchers() == []
    source.close()
    assert list(source) == []


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("how", ["close", "aclose", "cancel"])
@pytest.mark.parametrize(("before", "steps", "phase"), PHASES)
def test_close_from_another_task(before, steps, phase, *, how, backend, server):
    """The iteration ends in the task that iterates, and so it does if that is cancelled."""
    url = server.add("a", [*before, *([steps] if steps else [])]) + "s"
    closings = []

    async def iterate(source, scope, done):
        with scope:
            async with source:
                async for _ in source:
                    pass
        done.set()

    async def main():
        reached, done, scope = anyio.Event(), anyio.Event(), anyio.CancelScope()
        hooks = {} if phase == "asked" else {phase: lambda *_: reached.set()}
        source = AsyncEventSource(url, on_close=lambda: closings.append(1), **hooks)
        async with anyio.create_task_group() as group:
            group.start_soon(iterate, source, scope, done)
            if phase == "asked":
                await anyio.to_thread.run_sync(
                    server.wait_for_request, url, len(before) + 1
                )
            else:
                await reached.wait()
            if how == "cancel":
                scope.cancel()
            elif how == "close":
                source.close()
                assert source.ready_state is ReadyState.CLOSED
            else:
                await source.aclose()
                assert source.ready_state is ReadyState.CLOSED
            with anyio.fail_after(30):
                await done.wait()
        assert source.ready_state is ReadyState.CLOSED
        await source.aclose()
        assert [event async for event in source] == []

    if backend == "uvloop":
        anyio.run(main, backend_options={"use_uvloop": True})
    else:
        anyio.run(main, backend=backend)
    assert closings == [1]
    assert server.requests(url)[-1].ended.wait(30)


def _full():
    # A queue of connections that is full: a further one gets no answer.
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    clients = []
    for _ in range(3):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        clients.append(client)
    return listener, clients


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_close_while_it_connects(backend):
    """The attempt is given up."""
    listener, clients = _full()

    async def iterate(source, started):
        started.set()
        async with source:
            async for _ in source:
                pass

    async def main():
        source = AsyncEventSource("http://{}:{}/".format(*listener.getsockname()))
        async with anyio.create_task_group() as group:
            started = anyio.Event()
            group.start_soon(iterate, source, started)
            await started.wait()
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(5):  # an attempt takes ten seconds
                await source.aclose()
        assert source.ready_state is ReadyState.CLOSED

    with listener:
        anyio.run(main, backend=backend)
        for client in clients:
            client.close()


def test_close_between_events(server):
    """
    Of the events that have come already, none follows.

    The thread that iterates ends the generator: if another one did, the request for the next
    event would fail meanwhile.
    """
    url = server.add("a", [[STREAM + X * 3, HOLD]]) + "s"
    endings = []
    source = EventSource(url, on_close=lambda: endings.append(threading.current_thread()))
    assert next(source) == MessageEvent("x")
    thread = threading.Thread(target=source.close)
    thread.start()
    thread.join(30)

    assert server.requests(url)[0].ended.wait(30)
    assert list(source) == []
    assert endings == [threading.current_thread()]
    assert _watchers() == []


async def test_close_between_async_events(server):
    """Of the events that have come already, none follows."""
    url = server.add("a", [[STREAM + X * 3, HOLD]]) + "s"
    source = AsyncEventSource(url)
    assert await anext(source) == MessageEvent("x")

    source.close()

    assert [event async for event in source] == []
    assert await anyio.to_thread.run_sync(server.requests(url)[0].ended.wait, 30)


@pytest.mark.parametrize("name", ["on_open", "on_error", "renew"])
@pytest.mark.parametrize("face", ALL)
def test_close_in_a_callback(name, face, server):
    """No event follows, though some have come with the head."""
    url = (
        server.add("a", [*([[]] if name != "on_open" else []), [STREAM + X * 2, HOLD]])
        + "s"
    )

    reader = Reader(face, url, reconnect=QUICK, close_in=name)

    assert reader.events == []
    assert reader.error is None
    assert reader.closings == 1
    assert server.requests(url)[-1].ended.wait(30)


@pytest.mark.parametrize("face", ALL)
def test_an_idle_connection_is_closed(face, server):
    """A connection that the server keeps alive ends with the event source."""
    url = server.add("a", [[b"HTTP/1.1 204 No Content\r\n\r\n", HOLD]]) + "s"

    reader = Reader(face, url)

    assert reader.events == []
    assert server.requests(url)[0].ended.wait(30)


def test_close_before_the_first_event(server):
    """Nothing is connected to."""
    url = server.add("a", [[STREAM + X]]) + "s"
    source = EventSource(url)

    source.close()

    assert list(source) == []
    assert server.requests(url) == []


def test_a_dropped_iterator(server):
    """Its connection is closed, without a thread, a socket or a warning that stays."""
    url = server.add("a", [[STREAM + X * 2, HOLD]]) + "s"

    for event in EventSource(url):
        assert event == MessageEvent("x")
        break

    gc.collect()
    assert server.requests(url)[0].ended.wait(30)
    assert _watchers() == []


def test_a_dropped_event_source_that_never_began():
    """There is nothing to close."""
    EventSource("http://127.0.0.1:9/")
    AsyncEventSource("http://127.0.0.1:9/")
    gc.collect()


async def test_a_dropped_async_iterator(server):
    """The loop closes its connection, without a warning."""
    url = server.add("a", [[STREAM + X * 2, HOLD]]) + "s"

    async for event in AsyncEventSource(url):
        assert event == MessageEvent("x")
        break

    gc.collect()
    assert await anyio.to_thread.run_sync(server.requests(url)[0].ended.wait, 30)


@pytest.mark.parametrize("error", [ValueError, RuntimeError, LookupError])
def test_an_error_of_on_close(error, server):
    """Whoever closes gets it, whatever its class is."""
    url = server.add("a", [[STREAM + X, HOLD], [STREAM + X, HOLD]]) + "s"

    def fail():
        raise error("of the caller")

    async def main():
        source = AsyncEventSource(url, on_close=fail)
        await anext(source)
        with pytest.raises(error, match="of the caller"):
            await source.aclose()

    source = EventSource(url, on_close=fail)
    next(source)
    with pytest.raises(error, match="of the caller"):
        source.close()
    anyio.run(main)


def test_a_dropped_async_iterator_as_the_loop_ends(server, caplog):
    """A script that leaves its loop with break, and ends, prints nothing."""
    url = server.add("a", [[STREAM + X, HOLD]]) + "s"

    async def main():
        async for _ in AsyncEventSource(url):
            break

    asyncio.run(main())

    gc.collect()
    assert caplog.record_tuples == []
    assert server.requests(url)[0].ended.wait(30)


def test_a_client_of_the_caller_after_a_close(server):
    """It can be used further: its only connection is given back, however the stream ends."""
    refused = head(404, "Content-Length: 9000") + b"y" * 5000
    connections = [
        [STREAM + X, HOLD],
        [refused, HOLD],
        [STREAM + X, RESET],
        [STREAM + X, HOLD],
    ]
    url = server.add("a", connections) + "s"
    limits = httpx2.Limits(max_connections=1)
    with httpx2.Client(limits=limits) as client:
        for connection in connections:
            # Not collected before the next one connects.
            source = EventSource(url, client=client)
            if connection[0] is refused:
                with pytest.raises(StreamRefusedError):
                    next(source)
            else:
                assert next(source) == MessageEvent("x")
            source.close()
            assert server.requests(url)[-1].ended.wait(30)
        assert not client.is_closed


@pytest.mark.parametrize("face", ALL)
def test_answers_that_are_no_stream_are_closed(face, server):
    """Nobody reads a redirect or a 503: the only connection of a client is free again."""
    kind = httpx2.Client if face == "threads" else httpx2.AsyncClient
    limits = httpx2.Limits(max_connections=1)
    answers = [
        head(302, "Location: b", "Content-Length: 9000"),
        head(503, "Content-Length: 9000"),
    ]
    connections = [[answer + b"y" * 5000, HOLD] for answer in answers]
    url = server.add("a", [*connections, [STREAM + b"retry: 1\n\n" + X]]) + "s"

    reader = Reader(face, url, client=lambda: kind(limits=limits), reconnect=QUICK)

    assert reader.events == [MessageEvent("x")]
    assert reader.error is None


def test_an_error_of_the_caller(server, monkeypatch):
    """What a callback, the environment or the body of the loop raises closes all."""
    url = server.add("a", [[STREAM + X, HOLD], [STREAM + X, HOLD]]) + "s"

    def fail(_):
        raise LookupError

    source = EventSource(url, on_open=fail)
    with pytest.raises(LookupError):
        next(source)
    assert source.ready_state is ReadyState.CLOSED

    closings = []
    source = EventSource(url, on_close=lambda: closings.append(1))
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="proxy"):
        patch.setenv("ALL_PROXY", "nonsense://127.0.0.1")
        next(source)
    assert source.ready_state is ReadyState.CLOSED
    assert closings == [1]

    with pytest.raises(ZeroDivisionError), EventSource(url) as source:
        for _ in source:
            raise ZeroDivisionError
    assert source.ready_state is ReadyState.CLOSED
    assert _watchers() == []
