"""The loop of the process, in a thread of its own, and calls to it."""

import asyncio
import contextvars
import threading

import pytest

from heliograph.hub.threaded import loop
from heliograph.hub.threaded.loop import LoopThread, post, run

REQUEST = contextvars.ContextVar("request", default=None)


async def request():
    return REQUEST.get(), threading.current_thread().name


@pytest.fixture
def _in_a_request():
    token = REQUEST.set("of a framework, with everything that depends on it")
    yield
    REQUEST.reset(token)


@pytest.mark.usefixtures("_in_a_request")
def test_running():
    """The result comes back from the loop's thread, where nothing of the request is."""
    assert run(request(), 10) == (None, "heliograph-hub")


@pytest.mark.usefixtures("_in_a_request")
def test_posting():
    """A function is called soon, in that thread, with its arguments and no request."""
    called, found = threading.Event(), []

    def function(*args):
        found.append((args, REQUEST.get(), threading.current_thread().name))
        called.set()

    run(request(), 10)
    post(function, 1, 2)

    assert called.wait(10)
    assert found == [((1, 2), None, "heliograph-hub")]


def test_posting_without_a_loop(monkeypatch):
    """There is nothing to do, and none is started."""
    monkeypatch.setattr(loop, "process", loop._Process())

    post(pytest.fail)

    assert loop.process.current is None


def test_posting_to_a_loop_that_has_ended(monkeypatch):
    """There is nothing to do: the process is about to end."""
    monkeypatch.setattr(loop, "process", loop._Process())
    loop.process.current = LoopThread()
    loop.process.current.stop()

    post(pytest.fail)

    assert loop.process.current.loop.is_closed()


def test_what_takes_too_long():
    """It is cancelled, and the caller waits no longer."""
    cancelled = threading.Event()

    async def slow():
        try:
            await asyncio.sleep(600)
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        run(slow(), 0.01)

    assert cancelled.wait(10)


def test_an_error():
    """It is the caller's, as it was raised."""

    async def fail():
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(fail(), 10)


def test_when_the_process_is_about_to_end(monkeypatch):
    """No loop is started any more, and what cannot be run is closed: no warning is given."""
    from heliograph import HubClosedError

    monkeypatch.setattr(loop, "process", loop._Process())
    loop.process.has_ended = True
    coroutine = request()

    with pytest.raises(HubClosedError, match="about to end"):
        run(coroutine, 10)

    assert coroutine.cr_frame is None


def test_in_a_process_that_nobody_said_was_forked(monkeypatch):
    """The parent's loop does not run here; the error says what to do about it."""
    run(request(), 10)
    monkeypatch.setattr(loop.process.current, "process", -1)

    with pytest.raises(RuntimeError, match="lazy-apps"):
        run(request(), 10)
