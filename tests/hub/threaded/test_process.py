"""Lazy, fork-safe, closed with the process."""

from pathlib import Path

import pytest

from programs import run
from redises import RedisServer

# Each runs a program of its own.
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path / "redis")
    yield server
    server.kill()


def test_nothing_starts_before_it_is_needed(url):
    """Importing and making cost no thread and no file."""
    out = run(
        """
        import sys, threading
        from heliograph import HubConfig
        from heliograph.hub import HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        print(threading.active_count())
        """,
        url,
    )

    assert out == "1\n"
    assert not Path(url.removeprefix("sqlite:///")).exists()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_the_process_ends_with_its_hub(url, loop):
    """A script that has published ends at once, cleanly, with either loop."""
    out = run(
        """
        import sys
        if sys.argv[2] == "asyncio":
            sys.modules["uvloop"] = None
        from heliograph import Event, HubConfig
        from heliograph.hub import HubThread
        from heliograph.hub.threaded import loop
        hub = HubThread(sys.argv[1], HubConfig())
        print(hub.publish(["a"], Event("x"))[0].position.offset)
        kinds = type(loop.process.current.loop).__mro__
        print(any(kind.__module__.startswith(sys.argv[2]) for kind in kinds))
        """,
        url,
        loop,
    )

    assert out.split() == ["1", "True"]


def test_publish_at_exit(url):
    """A program's own hook may publish a last event."""
    out = run(
        """
        import atexit, sys
        from heliograph import Event, HubConfig
        from heliograph.hub import HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        hub.publish(["a"], Event("x"))
        atexit.register(lambda: print(hub.publish(["a"], Event("x"))[0].position.offset))
        """,
        url,
    )

    assert out == "2\n"


def test_a_first_publish_at_exit(redis):
    """The name of a host is looked up then, when executors take nothing more."""
    out = run(
        """
        import atexit, sys
        sys.modules["uvloop"] = None
        from heliograph import Event, HubConfig
        from heliograph.hub import HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        atexit.register(lambda: print(hub.publish(["a"], Event("x"))[0].position.offset))
        """,
        redis.url.replace("127.0.0.1", "localhost"),
    )

    assert out == "1\n"


def test_a_program_that_goes_on_without_its_main_thread(url):
    """A server in another thread serves new streams after the last line of the script."""
    out = run(
        """
        import sys, threading, time
        from heliograph import Event, HubConfig
        from heliograph.hub import Admission, HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        hub.publish(["a"], Event("x"))
        def serve():
            threading.main_thread().join()
            time.sleep(0.3)
            stream = hub.pull(hub.admit(Admission(("a",))), None)
            print(next(stream)[:2])
            stream.close()
        threading.Thread(target=serve).start()
        """,
        url,
    )

    assert out == "b':\\n'\n"


def test_after_a_fork(url):
    """The child begins anew, the parent goes on; both end cleanly."""
    out = run(
        """
        import os, sys
        from heliograph import Event, HubConfig
        from heliograph.hub import HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        print(hub.publish(["a"], Event("parent"))[0].position.offset, flush=True)
        child = os.fork()
        if not child:
            print(hub.publish(["a"], Event("child"))[0].position.offset, flush=True)
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        print(hub.publish(["a"], Event("parent"))[0].position.offset)
        """,
        url,
    )

    assert out == "1\n2\n3\n"


def test_what_is_called_when_streams_have_ended(url):
    """By the process that has them, when it ends, and not by its child."""
    out = run(
        """
        import os, socket, sys
        from heliograph import Event, HubConfig
        from heliograph.hub import Admission, HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        pairs = [socket.socketpair() for _ in range(2)]
        for n, (ours, theirs) in enumerate(pairs):
            ticket = hub.admit(Admission(("a",)))
            hub.when_left(ticket, lambda _, n=n: os.write(1, b"%d %d\\n" % (os.getpid() == parent, n)))
            hub.adopt(ticket, ours, b"head")
            while b"id:" not in theirs.recv(9999):
                pass
        parent = os.getpid()
        if not (child := os.fork()):
            hub.publish(["a"], Event("x"))
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        pairs[1][1].close()
        while hub.statistics().subscribers == 2:
            pass
        pairs[0][1].detach()
        os.write(1, b"end\\n")
        """,
        url,
    )

    assert sorted(out.splitlines()) == ["1 0", "1 1", "end"]


def test_a_fork_does_not_keep_streams_open(url):
    """A stream that the parent ends has ended, although a child lives."""
    out = run(
        """
        import os, socket, sys
        from heliograph import HubConfig
        from heliograph.hub import Admission, HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        ours, theirs = socket.socketpair()
        hub.adopt(hub.admit(Admission(("a",))), ours, b"head")
        while b"id:" not in theirs.recv(9999):
            pass
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(writing)
            theirs.close()
            # The number may be of another file by now, which this object must not close.
            assert ours.fileno() == -1
            os.read(reading, 1)
            sys.exit()
        hub.disconnect("a")
        theirs.settimeout(10)
        while theirs.recv(9999):
            pass
        print("ended")
        theirs.close()
        os.close(writing)
        os.waitpid(child, 0)
        """,
        url,
    )

    assert out == "ended\n"


def test_a_fork_while_a_hub_closes(url):
    """Its streams end for their clients, and the child has none of their descriptors."""
    out = run(
        """
        import os, socket, sys, threading
        from heliograph import Event, HubConfig
        from heliograph.hub import Admission, HubThread
        from heliograph.hub.timings import Timings
        hub = HubThread(sys.argv[1], HubConfig(), timings=Timings(last_bytes_seconds=1))
        ours, theirs = socket.socketpair()
        number = ours.fileno()
        hub.adopt(hub.admit(Admission(("a",))), ours, b"head")
        while b"id:" not in theirs.recv(9999):
            pass
        for _ in range(9):
            hub.publish(["a"], Event("x" * 100_000))
        closing = threading.Thread(target=hub.close)
        closing.start()
        while hub._hub is not None:
            pass
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(writing)
            theirs.close()
            try:
                os.fstat(number)
            except OSError:
                print("closed", flush=True)
            os.read(reading, 1)
            sys.exit()
        closing.join()
        theirs.settimeout(10)
        while theirs.recv(9999):
            pass
        print("ended")
        theirs.close()
        os.close(writing)
        os.waitpid(child, 0)
        """,
        url,
    )

    assert out == "closed\nended\n"


def test_a_child_that_closes_a_stream_of_its_parent(redis):
    """The parent still hears the channel: the child has said nothing on its connection."""
    out = run(
        """
        import os, signal, sys
        from heliograph import Event, HubConfig
        from heliograph.hub import Admission, HubThread
        hub = HubThread(sys.argv[1], HubConfig(linger_seconds=0))
        stream = hub.pull(hub.admit(Admission(("a",))), None)
        while b"id:" not in next(stream):
            pass
        child = os.fork()
        if not child:
            hub.publish(["b"], Event("the child has a loop of its own"))
            stream.close()
            hub.publish(["b"], Event("and that loop has done what it was given"))
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        signal.alarm(15)
        hub.publish(["a"], Event("for the parent"))
        while b"for the parent" not in next(stream):
            pass
        print("heard")
        """,
        redis.url,
    )

    assert out == "heard\n"


def test_a_fork_while_a_broker_is_imported():
    """The child finds all of the module, and a lock that somebody opens."""
    out = run(
        """
        import logging, os, signal, sys, threading
        from heliograph import Event, HeliographError, HubConfig
        from heliograph.hub import HubThread
        logging.disable()
        hub = HubThread("redis://127.0.0.1:1/0", HubConfig())
        def publish():
            try:
                hub.publish(["a"], Event("x"))
            except HeliographError as error:
                return type(error).__name__
        thread = threading.Thread(target=publish)
        thread.start()
        while not any(name.startswith("redis.") for name in tuple(sys.modules)):
            pass
        child = os.fork()
        if not child:
            signal.alarm(15)
            print(publish(), flush=True)
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
        thread.join()
        """,
    )

    assert out == "BrokerUnavailableError\n"


# What interrupts a thread that opens the hub, and publishes. Add a row, not a test.
INTERRUPTIONS = {
    "a signal handler": "publish()",
    "a finaliser": """
class Finalised:
    def __del__(self):
        publish()
Finalised()
""",
}


@pytest.mark.parametrize("how", INTERRUPTIONS)
def test_publishing_while_the_same_thread_opens_the_hub(tmp_path, how):
    """Both events are stored: whoever waits for the hub to open holds no lock."""
    out = run(
        """
        import logging, os, signal, sys, threading
        from heliograph import Event, HubConfig
        from heliograph.hub import HubThread
        logging.disable()
        folder, interruption = sys.argv[1:]
        config = HubConfig(publish_waits=True, publish_timeout_seconds=10)
        hub = HubThread(f"sqlite:///{folder}/log", config)
        offsets = []
        def publish():
            os.mkdir(folder)
            offsets.append(hub.publish(["a"], Event("x"))[0].position.offset)
        def interrupt():
            while not any("sqlite" in thread.name for thread in threading.enumerate()):
                pass
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, lambda *_: exec(interruption, {"publish": publish}))
        threading.Thread(target=interrupt).start()
        offsets.append(hub.publish(["a"], Event("x"))[0].position.offset)
        print(sorted(offsets))
        """,
        tmp_path / "missing",
        INTERRUPTIONS[how],
    )

    assert out == "[1, 2]\n"


def test_publishing_while_the_same_thread_forks(url):
    """It fails at once and by name: the fork holds what storage needs, until this returns."""
    out = run(
        """
        import os, sys
        offsets = []
        # As a signal handler would at this moment: hooks of a fork run from the last to the
        # first that was registered.
        os.register_at_fork(before=lambda: publish())
        from heliograph import BrokerUnavailableError, Event, HubConfig
        from heliograph.hub import HubThread
        hub = HubThread(sys.argv[1], HubConfig(publish_timeout_seconds=10))
        hub.publish(["a"], Event("x"))
        def publish():
            try:
                hub.publish(["a"], Event("x"))
            except BrokerUnavailableError as error:
                print(str(error).partition(": ")[2].partition(":")[0], flush=True)
        child = os.fork()
        if not child:
            sys.exit()
        os.waitpid(child, 0)
        print(hub.publish(["a"], Event("x"))[0].position.offset)
        """,
        url,
    )

    assert out.splitlines()[1] == "2"
    assert "is forking the process" in out


def test_the_process_ends_while_storage_is_locked(url):
    """One line says what that means; the process does not wait for long."""
    out = run(
        """
        import contextlib, logging, sqlite3, sys, threading
        from heliograph import Event, HubClosedError, HubConfig
        from heliograph.hub import HubThread
        from heliograph.hub.threaded import loop
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        loop.CLOSE_SECONDS = 0.2
        hub = HubThread(sys.argv[1], HubConfig())
        hub.publish(["a"], Event("x"))
        holder = sqlite3.connect(sys.argv[1].removeprefix("sqlite:///"), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        def publish():
            with contextlib.suppress(HubClosedError):
                hub.publish(["a"], Event("x"))
        threading.Thread(target=publish, daemon=True).start()
        while hub._hub._broker._appends._storing is None:
            pass
        """,
        url,
    )

    assert "not all hubs were closed 0.2 seconds after" in out
    assert "Traceback" not in out


def test_a_fork_takes_no_log_away(url):
    """What a child publishes after its parent has closed is on the disk."""
    out = run(
        """
        import os, signal, sys
        from heliograph import Event, HubConfig
        from heliograph.hub import HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        hub.publish(["a"], Event("parent"))
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            hub.publish(["a"], Event("child"))
            os.close(writing)
            os.read(reading, 1)
            hub.publish(["a"], Event("child, after its parent has closed"))
            os.kill(os.getpid(), signal.SIGKILL)
        while hub.publish(["b"], Event("wait"))[0].position.offset < 50:
            pass
        hub.close()
        os.close(writing)
        os.waitpid(child, 0)
        print(hub.publish(["a"], Event("parent"))[0].position.offset)
        """,
        url,
    )

    assert out == "4\n"


def test_forks_in_the_middle_of_publishing(url):
    """A child inherits no mutex that nobody opens."""
    out = run(
        """
        import os, sys, threading
        from heliograph import Event, HubConfig
        from heliograph.hub import HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        stop = threading.Event()
        def publish():
            while not stop.is_set():
                hub.publish(["a"], Event("x"))
        threads = [threading.Thread(target=publish) for _ in range(3)]
        for thread in threads: thread.start()
        for _ in range(30):
            child = os.fork()
            if not child:
                hub.publish(["a"], Event("child"))
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        print("all")
        """,
        url,
    )

    assert out == "all\n"


def test_a_hub_that_cannot_be_closed(url):
    """The others of the process are closed before it ends."""
    out = run(
        """
        import asyncio, logging, sys
        from heliograph import Event, HubConfig
        from heliograph.hub import HubThread
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        first, second = HubThread("memory:", HubConfig()), HubThread(sys.argv[1], HubConfig())
        for hub in (first, second):
            hub.publish(["a"], Event("x"))

        async def fail():
            raise ZeroDivisionError("a bug of a broker")

        async def close(broker=second._hub._broker):
            await asyncio.sleep(0.2)
            await type(broker).close(broker)
            print("closed")

        first._hub._broker.close = fail
        second._hub._broker.close = close
        """,
        url,
    )

    assert "a bug of a broker" in out
    assert "closed\n" in out
