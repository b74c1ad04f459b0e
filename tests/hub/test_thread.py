"""The hub for synchronous programs: lazy, fork-safe, gone with the process."""

import asyncio
import gc
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from heliograph import BrokerUnavailableError, Event, HubClosedError, HubConfig
from heliograph.hub import HubThread, thread
from servers import unmeasured, until


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/log"


@pytest.fixture
def hub(url):
    hub = HubThread(url, HubConfig())
    yield hub
    hub.close()


def run(program, *arguments, **options):
    """Run a program of its own; its output, and that it ended well and silently."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            textwrap.dedent(program),
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        env=unmeasured(),
        **options,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


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
        from heliograph.hub import HubThread, thread
        hub = HubThread(sys.argv[1], HubConfig())
        print(hub.publish(["a"], Event("x"))[0].position.offset)
        print(type(thread._current.loop).__module__.split(".")[0])
        """,
        url,
        loop,
    )

    assert out.split() == ["1", loop]


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


def test_a_program_that_goes_on_without_its_main_thread(url):
    """A server in another thread serves new streams after the last line of the script."""
    out = run(
        """
        import sys, threading, time
        from heliograph import Event, HubConfig
        from heliograph.hub import HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        hub.publish(["a"], Event("x"))
        def serve():
            threading.main_thread().join()
            time.sleep(0.3)
            stream = hub.pull(hub.admit(("a",)), None)
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


def test_a_fork_does_not_keep_streams_open(url):
    """A stream that the parent ends has ended, although a child lives."""
    out = run(
        """
        import os, socket, sys
        from heliograph import HubConfig
        from heliograph.hub import HubThread
        hub = HubThread(sys.argv[1], HubConfig())
        ours, theirs = socket.socketpair()
        hub.adopt(hub.admit(("a",)), ours, b"head")
        while b"id:" not in theirs.recv(9999):
            pass
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(writing)
            theirs.close()
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


def test_an_answer_that_comes_too_late(url, monkeypatch):
    """Whoever gave up waiting for a place does not hold one."""
    hub = HubThread(url, HubConfig())
    hub.publish(["a"], Event("x"))
    monkeypatch.setattr("heliograph.hub.thread._ADMIT_SECONDS", 0.1)
    busy, done = threading.Event(), threading.Event()

    def block():
        busy.set()
        done.wait(10)

    thread._current.loop.call_soon_threadsafe(block)
    busy.wait()
    with pytest.raises(HubClosedError, match="does not answer"):
        hub.admit(("a",))
    done.set()

    assert hub.statistics().subscribers == 0
    hub.close()


def test_release_after_close(hub):
    """Giving back what is gone opens nothing."""
    subscriber = hub.admit(("a",))
    hub.close()

    hub.release(subscriber)

    assert hub._hub is None


def test_many_threads_start_one_loop(url):
    """Whoever comes first starts it; the others use it."""
    hub = HubThread(url, HubConfig())
    offsets, barrier = [], threading.Barrier(16)

    def publish():
        barrier.wait()
        offsets.append(hub.publish(["a"], Event("x"))[0].position.offset)

    threads = [threading.Thread(target=publish) for _ in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert sorted(offsets) == list(range(1, 17))
    assert sum(t.name == "heliograph-hub" for t in threading.enumerate()) == 1
    hub.close()


def test_close_and_use_again(hub):
    """Closing ends what is open; the next use opens it anew."""
    hub.publish(["a"], Event("x"))
    hub.close()
    hub.close()

    assert hub.publish(["a"], Event("x"))[0].position.offset == 2


def test_a_dropped_hub_is_closed(url):
    """An application that is gone leaves no stream and no thread of a broker."""
    before = threading.active_count()
    hub = HubThread(url, HubConfig())
    hub.publish(["a"], Event("x"))
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(10)
        hub.adopt(hub.admit(("a",)), ours, b"")

        del hub
        gc.collect()

        while theirs.recv(9999):
            pass
    until(lambda: threading.active_count() <= before + 1)


def test_from_its_own_thread(hub):
    """It would wait for itself; it says so."""
    hub.publish(["a"], Event("x"))
    loop = thread._current.loop

    async def publish():
        return hub.publish(["a"], Event("x"))

    with pytest.raises(RuntimeError, match="own thread"):
        asyncio.run_coroutine_threadsafe(publish(), loop).result(10)


def test_publish_that_takes_too_long(tmp_path):
    """It fails by name after the configured time."""
    import contextlib
    import sqlite3

    url = f"sqlite:///{tmp_path}/log"
    first = HubThread(url, HubConfig())
    first.publish(["a"], Event("x"))
    first.close()
    hub = HubThread(url, HubConfig(publish_timeout_seconds=0.2))
    with contextlib.closing(
        sqlite3.connect(tmp_path / "log", isolation_level=None)
    ) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerUnavailableError, match=r"no answer within 0\.2 seconds"):
            hub.publish(["a"], Event("x"))

    hub.close()


def test_a_password_is_not_shown(monkeypatch):
    """The URL in an error is without it."""
    import socket as sockets

    with sockets.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hub = HubThread(
            f"redis://user:secret@127.0.0.1:{port}/0",
            HubConfig(publish_timeout_seconds=0.2),
        )
        with pytest.raises(BrokerUnavailableError) as caught:
            hub.publish(["a"], Event("x"))
        assert "secret" not in str(caught.value)
        assert f"127.0.0.1:{port}" in str(caught.value)
        hub.close()


# The generator, where a connection cannot be taken over.


def test_pull(hub):
    """Blocks come as they are published; closing leaves."""
    stream = hub.pull(hub.admit(("a",)), None)
    got = b""
    while b"id:" not in got:
        got += next(stream)
    hub.publish(["a"], Event("hello"))
    while b"hello" not in got:
        got += next(stream)
    assert hub.statistics().subscribers == 1

    stream.close()

    assert hub.statistics().subscribers == 0


def test_no_place_while_the_broker_is_away(tmp_path):
    """The server's thread is not held for long, nor by a hub that is closed meanwhile."""
    hub = HubThread(f"sqlite:///{tmp_path}/missing/log", HubConfig(heartbeat_seconds=0.05))
    subscriber = hub.admit(("a",))

    hub.place(subscriber)
    stream = hub.pull(subscriber, None)
    assert next(stream).startswith(b":\nretry: ")
    beats = next(stream)
    assert beats
    assert beats.replace(b":\n\n", b"") == b""

    other = hub.admit(("b",))
    closing = threading.Timer(0.1, hub.close)
    closing.start()
    hub.place(other)
    closing.join()
    assert b"id:" not in b"".join(stream)


def test_pull_beats(url):
    """Where a lost client shows only by writing, it writes often."""
    hub = HubThread(url, HubConfig(heartbeat_seconds=0.05))
    stream = hub.pull(hub.admit(("a",)), None)

    got = b""
    while got.count(b":\n\n") < 5:
        got += next(stream)

    stream.close()
    hub.close()


def test_pull_without_heartbeats_still_finds_lost_clients(url, monkeypatch):
    """Turning heartbeats off does not make threads immortal."""
    monkeypatch.setattr("heliograph.hub.thread._BLIND_HEARTBEAT_SECONDS", 0.05)
    hub = HubThread(url, HubConfig(heartbeat_seconds=None))
    stream = hub.pull(hub.admit(("a",)), None)

    got = b""
    while b":\n\n:\n\n" not in got:
        got += next(stream)

    stream.close()
    hub.close()


@pytest.mark.parametrize("heartbeat_seconds", [None, 1e9])
def test_pull_without_heartbeats_of_a_client_that_is_seen(url, heartbeat_seconds):
    """Nothing comes but events."""
    hub = HubThread(url, HubConfig(heartbeat_seconds=heartbeat_seconds))
    client, server = socket.socketpair()
    with client, server:
        stream = hub.pull(hub.admit(("a",)), server.fileno())
        got = b""
        while b"id: " not in got:
            got += next(stream)
        threading.Timer(2.5, hub.publish, (["a"], Event("x"))).start()
        assert next(stream).endswith(b"data: x\n\n")
        stream.close()
    hub.close()


def test_a_server_that_wants_to_stop(hub):
    """Its generators end, and those that begin then end as they begin."""
    stops = []

    def stopping():
        return bool(stops)

    stream = hub.pull(hub.admit(("a",)), None, stopping=stopping)
    while b"id: " not in next(stream):
        pass
    hub.publish(["a"], Event("last"))
    stops.append(True)
    assert b"".join(stream).endswith(b"data: last\n\n")
    assert b"".join(hub.pull(hub.admit(("a",)), None, stopping=stopping)) == b""
    # What other servers serve goes on.
    other = hub.pull(hub.admit(("a",)), None, stopping=lambda: False)
    while b"id: " not in next(other):
        pass
    other.close()


def test_adopt_after_close(hub):
    """A client that the hub no longer serves sees the end, and no other hub is opened."""
    subscriber = hub.admit(("a",))
    hub.close()
    client, server = socket.socketpair()
    with client:
        hub.adopt(subscriber, server, b"head")
        client.settimeout(10)
        while client.recv(99):
            pass
    assert hub._hub is None


def test_a_stream_that_cannot_see_its_client_ends(hub, monkeypatch):
    """Some servers never say that it has left; one that is there comes back."""
    monkeypatch.setattr(thread, "_BLIND_STREAM_SECONDS", 0.3)
    monkeypatch.setattr(thread, "_BLIND_HEARTBEAT_SECONDS", 0.05)
    blind = hub.pull(hub.admit(("a",)), None)
    assert list(blind)
    until(lambda: hub.statistics().subscribers == 0)


def test_a_stream_that_is_told_of_its_client_ends_with_it(hub):
    """By an adapter, which has the connection, and is told to end it."""
    done = []

    class Adapter:
        def tune(self, config):
            done.append("tuned")

        def watch(self, on_left):
            self.on_left = on_left

        def abort(self):
            done.append("aborted")

    adapter = Adapter()
    stream = hub.pull(hub.admit(("a",)), None, adapter)
    next(stream)
    assert done == ["tuned"]
    adapter.on_left()
    list(stream)
    assert done == ["tuned", "aborted"]
    until(lambda: hub.statistics().subscribers == 0)
    # It may be somebody else's by now.
    adapter.on_left()
    assert done == ["tuned", "aborted"]


@pytest.mark.parametrize("end", ["close", "shutdown", "reset", "pipelined"])
def test_pull_sees_its_client_leave(hub, end):
    """A thread that waits for events is free as soon as its client has gone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    stream = hub.pull(hub.admit(("a",)), accepted.fileno())
    got = b""
    while b"id:" not in got:
        got += next(stream)

    if end == "pipelined":
        client.sendall(b"GET /another HTTP/1.1\r\n\r\n")
    if end == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    timer = (
        threading.Timer(0.1, client.shutdown, [socket.SHUT_WR])
        if end == "shutdown"
        else threading.Timer(0.1, client.close)
    )
    timer.start()

    assert list(stream) == []

    timer.join()
    client.close()
    accepted.close()
    assert hub.statistics().subscribers == 0


def test_pull_of_a_slow_server_thread(hub):
    """What a thread does not take is bounded: the hub goes on without it, then resumes."""
    stream = hub.pull(hub.admit(("a",)), None)
    got = b""
    while b"id:" not in got:
        got += next(stream)

    for n in range(40):
        hub.publish(["a"], Event(f"{n:03}" + "x" * 10_000))
    while b"data: 039" not in got:
        got += next(stream)
        assert len(got) < 1_000_000

    assert [n for n in range(40) if b"data: %03d" % n in got] == list(range(40))
    stream.close()


def test_pull_of_one_that_lags_too_far(url):
    """It is ended, and comes back with its id."""
    hub = HubThread(url, HubConfig(max_lag_bytes=100_000, max_event_bytes=50_000))
    stream = hub.pull(hub.admit(("a",)), None)
    got = b""
    while b"id:" not in got:
        got += next(stream)
    for _ in range(30):
        hub.publish(["a"], Event("x" * 20_000))
    until(lambda: hub.statistics().subscribers == 0)

    assert list(stream) == []
    hub.close()


def test_release(hub):
    """A client that is not going to be served gives its place back."""
    subscriber = hub.admit(("a",))
    assert hub.statistics().subscribers == 1

    hub.release(subscriber)

    assert hub.statistics().subscribers == 0
