"""Streams that a thread of the server serves."""

import socket
import sys
import threading

import pytest

from heliograph import Event, HubConfig
from heliograph.hub import Admission, HubThread
from heliograph.hub.timings import Timings
from servers import until


def test_pull(hub):
    """Blocks come as they are published; closing leaves."""
    stream = hub.pull(hub.admit(Admission(("a",))), None)
    got = b""
    while b"id:" not in got:
        got += next(stream)
    hub.publish(["a"], Event("hello"))
    while b"hello" not in got:
        got += next(stream)
    assert hub.statistics().subscribers == 1

    stream.close()

    assert hub.statistics().subscribers == 0


def test_pull_beats(url):
    """Where a lost client shows only by writing, it writes often."""
    hub = HubThread(url, HubConfig(heartbeat_seconds=0.05))
    stream = hub.pull(hub.admit(Admission(("a",))), None)

    got = b""
    while got.count(b":\n") < 5:
        got += next(stream)

    stream.close()
    hub.close()


def test_pull_without_heartbeats_still_finds_lost_clients(url):
    """Turning heartbeats off does not make threads immortal."""
    timings = Timings(blind_heartbeat_seconds=0.05)
    hub = HubThread(url, HubConfig(heartbeat_seconds=None), timings=timings)
    stream = hub.pull(hub.admit(Admission(("a",))), None)

    got = b""
    while b":\n:\n" not in got:
        got += next(stream)

    stream.close()
    hub.close()


@pytest.mark.parametrize("heartbeat_seconds", [None, 1e9])
def test_pull_without_heartbeats_of_a_client_that_is_seen(url, heartbeat_seconds):
    """Nothing comes but events."""
    hub = HubThread(url, HubConfig(heartbeat_seconds=heartbeat_seconds))
    client, server = socket.socketpair()
    with client, server:
        stream = hub.pull(hub.admit(Admission(("a",))), server.fileno())
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

    stream = hub.pull(hub.admit(Admission(("a",))), None, is_stopping=stopping)
    while b"id: " not in next(stream):
        pass
    hub.publish(["a"], Event("last"))
    stops.append(True)
    assert b"".join(stream).endswith(b"data: last\n\n")
    assert (
        b"".join(hub.pull(hub.admit(Admission(("a",))), None, is_stopping=stopping)) == b""
    )
    # What other servers serve goes on.
    other = hub.pull(hub.admit(Admission(("a",))), None, is_stopping=lambda: False)
    while b"id: " not in next(other):
        pass
    other.close()


def test_a_stream_that_cannot_see_its_client_ends(url):
    """Some servers never say that it has left; one that is there comes back."""
    timings = Timings(blind_stream_seconds=0.3, blind_heartbeat_seconds=0.05)
    hub = HubThread(url, HubConfig(), timings=timings)
    blind = hub.pull(hub.admit(Admission(("a",))), None)
    assert list(blind)
    until(lambda: hub.statistics().subscribers == 0)
    hub.close()


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
    stream = hub.pull(hub.admit(Admission(("a",))), None, adapter)
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
    stream = hub.pull(hub.admit(Admission(("a",))), accepted.fileno())
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
    stream = hub.pull(hub.admit(Admission(("a",))), None)
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
    stream = hub.pull(hub.admit(Admission(("a",))), None)
    got = b""
    while b"id:" not in got:
        got += next(stream)
    for _ in range(30):
        hub.publish(["a"], Event("x" * 20_000))
    until(lambda: hub.statistics().subscribers == 0)

    assert list(stream) == []
    hub.close()


def test_a_stream_that_its_server_closes(hub):
    """The connection is the server's then, and is not ended: it may have another request."""
    done = []

    class Adapter:
        def tune(self, config):
            pass

        def watch(self, on_left):
            pass

        def abort(self):
            done.append("aborted")

    client, server = socket.socketpair()
    with client, server:
        for stream in (
            hub.pull(hub.admit(Admission(("a",))), None, Adapter()),
            hub.pull(hub.admit(Admission(("a",))), server.fileno()),
        ):
            next(stream)
            stream.close()
        until(lambda: hub.statistics().subscribers == 0)
        server.send(b"next response")
        assert client.recv(99) == b"next response"
    assert done == []


def test_an_adapter_that_raises(hub):
    """Whoever iterates is told; the slot is given back."""

    class Adapter:
        def tune(self, config):
            raise ZeroDivisionError("a bug of an adapter")

        def abort(self):
            raise AssertionError("it is the server's")

    stream = hub.pull(hub.admit(Admission(("a",))), None, Adapter())

    with pytest.raises(ZeroDivisionError):
        next(stream)

    assert hub.statistics().subscribers == 0


@pytest.mark.parametrize("call", ["begin", "next", "close"])
def test_a_publish_that_interrupts_the_servers_thread(call):
    """At each of its steps, as a signal handler may: the loop never waits for the thread."""
    config = HubConfig(publish_timeout_seconds=10, history_events=1)
    step = left = 0
    while left <= 0:
        hub = HubThread("memory:", config)
        stream = hub.pull(hub.admit(Admission(("a",))), None)
        if call != "begin":
            while b"id:" not in next(stream):
                pass
        hub.publish(["a"], Event("x"))
        step = left = step + 1

        def interrupt(*_, hub=hub):
            nonlocal left
            left -= 1
            if not left:
                sys.setprofile(None)
                # The later ones wait until the first has been written for the thread.
                for _ in range(3):
                    hub.publish(["a"], Event("x"))

        sys.setprofile(interrupt)
        try:
            stream.close() if call == "close" else next(stream)
        finally:
            sys.setprofile(None)
        stream.close()
        hub.close()
    assert step > 10
