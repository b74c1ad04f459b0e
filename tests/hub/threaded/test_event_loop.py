"""The loop of the hub's thread."""

import asyncio
import socket
import sys
import types

import pytest

from heliograph.hub.threaded.event_loop import new_event_loop


@pytest.fixture
def loop(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    yield loop
    loop.close()


def test_names(loop):
    """They are looked up without the loop's executor; what cannot be found is an error."""

    async def look_up(name):
        return await loop.getaddrinfo(name, 80, type=socket.SOCK_STREAM)

    found = loop.run_until_complete(look_up("127.0.0.1"))
    assert found == socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    with pytest.raises(socket.gaierror):
        loop.run_until_complete(look_up("no such name"))
    assert loop._default_executor is None


def test_names_that_nobody_waits_for(loop):
    """A wait that was cancelled is over, and so is one whose loop has been closed."""

    async def cancelled():
        task = asyncio.create_task(loop.getaddrinfo("127.0.0.1", 80))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0.01)
        return task.cancelled()

    assert loop.run_until_complete(cancelled())


def test_while_the_faster_one_is_imported(monkeypatch):
    """A signal handler within its import finds a module without names: asyncio's is taken."""
    monkeypatch.setitem(sys.modules, "uvloop", types.ModuleType("uvloop"))
    loop = new_event_loop()

    assert isinstance(loop, asyncio.SelectorEventLoop)
    loop.close()


def test_the_faster_one():
    """It is taken where it is installed."""
    loop = new_event_loop()

    assert type(loop).__module__.startswith("uvloop")
    loop.close()
