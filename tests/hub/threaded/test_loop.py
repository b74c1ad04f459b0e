"""The loop of the process, in a thread of its own, and calls to it."""

import asyncio
import contextvars
import gc
import sys
import threading

import pytest

import programs
from heliograph import native
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


def test_a_wait_that_an_exception_ends():
    """Ctrl-C in the caller's thread, for example: what it waited for is cancelled."""
    out = programs.run(
        """
        import asyncio, signal, threading
        from heliograph.hub.threaded.loop import run

        async def slow():
            main = threading.main_thread().ident
            signal.pthread_kill(main, signal.SIGINT)
            try:
                await asyncio.sleep(600)
            finally:
                cancelled.set()

        cancelled = threading.Event()
        try:
            run(slow(), 600)
        except KeyboardInterrupt:
            print(cancelled.wait(30))
        """
    )

    assert out == "True\n"


@pytest.mark.parametrize("kind", ["uvloop", "asyncio"])
def test_an_exception_that_ends_the_loop(kind):
    """It is logged, and the loop runs again: nothing that it was given is lost."""
    out = programs.run(
        """
        import asyncio, logging, sys
        if sys.argv[1] == "asyncio":
            sys.modules["uvloop"] = None
        from heliograph.hub.threaded.loop import post, run

        logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")

        async def wait():
            await asyncio.sleep(0.01)
            return "done"

        async def leave():
            post(sys.exit, "a reason")
            return await wait()

        print(run(leave(), 30))
        print(run(wait(), 30))
        """,
        kind,
    )

    assert out.startswith(
        "ERROR an exception has ended the loop of the hub; it is restarted"
    )
    assert "SystemExit: a reason" in out
    assert out.endswith("\ndone\ndone\n")


def test_a_loop_that_ends_while_somebody_waits(monkeypatch):
    """They are told, also who comes when it has ended."""
    from heliograph import HubClosedError

    monkeypatch.setattr(loop, "process", loop._Process())
    loop.process.current = current = LoopThread()
    waits = threading.Event()

    async def for_ever():
        waits.set()
        await asyncio.get_running_loop().create_future()

    def end():
        waits.wait(30)
        current.stop()

    threading.Thread(target=end).start()
    with pytest.raises(HubClosedError, match="closed before it could answer"):
        run(for_ever(), None)
    with pytest.raises(HubClosedError, match="closed before it could answer"):
        run(request(), None)


def test_what_is_cancelled_in_the_loop():
    """The caller is told in a word that it knows."""
    from heliograph import HubClosedError

    async def cancelled():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    with pytest.raises(HubClosedError, match="closed before it could answer"):
        run(cancelled(), 30)


def test_in_any_thread_of_the_hub():
    """The garbage collector may call ``__del__`` there: it must not wait for itself."""
    failed = native.SimpleQueue()

    def publish():
        try:
            run(request(), 30)
        except RuntimeError as error:
            failed.put(str(error))

    native.start_thread(publish, "as that of SQLite")

    assert "thread of the hub" in failed.get(timeout=30)


def test_an_error_that_nobody_waits_for(caplog):
    """Of a call that was given up: asyncio does not complain about it."""
    ended = threading.Event()

    async def fail():
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            raise ZeroDivisionError("a bug") from None
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        run(fail(), 0.01)
    assert ended.wait(30)
    run(request(), 30)
    gc.collect()

    assert "never retrieved" not in caplog.text


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


def test_a_call_that_interrupts_the_start_of_the_loop(monkeypatch):
    """At each of its steps, as a signal handler may: there is one loop for both."""

    async def running():
        return asyncio.get_running_loop()

    step = left = 0
    while left <= 0:
        monkeypatch.setattr(loop, "process", loop._Process())
        step = left = step + 1
        found = []

        def interrupt(frame, *_, found=found):
            nonlocal left
            # While Python starts a thread it holds a lock that each new thread needs.
            if frame.f_code.co_filename == threading.__file__:
                return
            left -= 1
            if not left:
                sys.setprofile(None)
                found.append(run(running(), 10))

        sys.setprofile(interrupt)
        try:
            found.append(run(running(), 10))
        finally:
            sys.setprofile(None)

        assert set(found) == {run(running(), 10)}
        loop.process.current.stop()
    assert step > 10
