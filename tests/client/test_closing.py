"""How an event source ends before its stream does: closed in each phase, cancelled, or dropped."""

import gc
import socket
import threading

import anyio
import httpx2
import pytest
from scripted import HOLD, READ, STREAM, Server

from heliograph.client import AsyncEventSource, EventSource, MessageEvent, ReadyState

X = b"data: x\n\n"
AGES = b"retry: 9999999999999999999\n\n"

# What the server does, and the callback after which the client is in that phase.
PHASES = [
    pytest.param([], [HOLD], "asked", id="waits for the head"),
    pytest.param([], [STREAM, HOLD], "on_open", id="waits for the first byte"),
    pytest.param([], [STREAM + b"data: ", READ, HOLD], "on_open", id="reads an event"),
    pytest.param([[STREAM + AGES]], [], "on_error", id="waits for the reconnect"),
    pytest.param(
        [[STREAM + b"retry: 1\n\n" + X]],
        [HOLD],
        "asked",
        id="waits for the head of a reconnect",
    ),
]


@pytest.fixture
def server():
    """A server of scripts."""
    with Server() as server:
        yield server


def _watchers():
    return [thread for thread in threading.enumerate() if "heliograph" in thread.name]


@pytest.mark.parametrize(("before", "steps", "phase"), PHASES)
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


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
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
    """Of the events that have come already, none follows."""
    url = server.add("a", [[STREAM + X * 3, HOLD]]) + "s"
    source = EventSource(url)
    assert next(source) == MessageEvent("x")
    thread = threading.Thread(target=source.close)
    thread.start()
    thread.join(30)

    assert list(source) == []
    assert _watchers() == []


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


def test_a_client_of_the_caller_after_a_close(server):
    """It can be used further, though a read of it was ended from outside."""
    url = server.add("a", [[STREAM + X, HOLD], [STREAM + X]]) + "s"
    with httpx2.Client() as client:
        with EventSource(url, client=client) as source:
            assert next(source) == MessageEvent("x")
        with EventSource(url, client=client) as source:
            assert next(source) == MessageEvent("x")
        assert not client.is_closed


def test_an_error_of_the_caller(server):
    """What a callback or the body of the loop raises closes the connection."""
    url = server.add("a", [[STREAM + X, HOLD], [STREAM + X, HOLD]]) + "s"

    def fail(_):
        raise LookupError

    source = EventSource(url, on_open=fail)
    with pytest.raises(LookupError):
        next(source)
    assert source.ready_state is ReadyState.CLOSED

    with pytest.raises(ZeroDivisionError), EventSource(url) as source:
        for _ in source:
            raise ZeroDivisionError
    assert source.ready_state is ReadyState.CLOSED
    assert _watchers() == []
