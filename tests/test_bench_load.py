"""The load generator of the bench counts what it is sent: it finds what is wrong, and only that."""

import contextlib
import importlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.server,
    pytest.mark.once,
    pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler"),
]

_GET = b"GET /a HTTP/1.1\r\nHost: bench\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def _module(name):
    folder = str(Path(__file__).parents[1] / "bench")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def load():
    """The module of the bench."""
    return _module("load")


@pytest.fixture
def floor(load):
    """The port of a floor server."""
    with subprocess.Popen([load.native("floor"), "0"], stdout=subprocess.PIPE) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@pytest.fixture
def scripted():
    """Serve, at a port, each connection what a script says: a function of its socket."""
    listeners, threads = [], []

    def serve(*scripts):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run():
            # Kept open until the end: a stream that closes is another matter.
            connections = []
            for script in scripts:
                connection, _ = listener.accept()
                connections.append(connection)
                connection.recv(65536)
                # The generator closes when it has seen enough.
                with contextlib.suppress(OSError):
                    script(connection)
            done.wait(20)
            for connection in connections:
                connection.close()

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return listener.getsockname()[1]

    done = threading.Event()
    yield serve
    done.set()
    for thread in threads:
        thread.join(20)
    for listener in listeners:
        listener.close()


def event(number):
    """One event as a hub sends it."""
    stamp = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    return f'id: {number}\ndata: {{"m": "~n{number:012}t{stamp:016}~"}}\n\n'.encode()


def publish_request(load, padding=40, path=b"/a"):
    body = b'{"m": "%s", "p": "%s"}' % (load.MARK, b"x" * padding)
    head = b"POST %s HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n"
    return head % (path, len(body)) + body


def numbers(*wanted, pieces=None):
    """A script: a stream that sends these numbers, in pieces of so many bytes."""

    def script(connection):
        # Else the kernel would join the pieces.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(_HEAD)
        go.wait(10)
        data = b"".join(map(event, wanted)) + b"id: end\n\n"
        for at in range(0, len(data), pieces or len(data)):
            connection.sendall(data[at : at + (pieces or len(data))])
            if pieces:
                time.sleep(0.001)

    go = threading.Event()
    script.go = go
    return script


def answer(data):
    """A script: read one request after the other, each has this answer."""

    def script(connection):
        connection.sendall(data)
        connection.settimeout(2)
        while connection.recv(65536):
            connection.sendall(data)

    return script


def test_flood(load, floor):
    """Each event comes to each stream, in the order of its publishes."""
    with load.Load(floor) as generator:
        opening = generator.open(50, _GET)
        run = generator.run(0.5, publish=publish_request(load), connections=8)

        assert (opening.opened, opening.refused) == (50, {})
        assert run.published == run.sent > 0
        assert run.deliveries == 50 * run.published >= run.reads > 0
        assert (run.holes, run.repeats, run.disorders, run.silent) == (0, 0, 0, 0)
        assert run.publish_errors == {}
        assert 0 < run.latency["a"].p50 <= run.latency["a"].p99 <= run.latency["a"].max
        assert generator.last_id() == str(run.published)


def test_rate_and_groups(load, floor):
    """So many a second are published as asked for; each group has its latency."""
    with load.Load(floor) as generator:
        generator.open(3, _GET, group="few")
        generator.open(5, [_GET, _GET], group="some")
        run = generator.run(30, publish=publish_request(load), rate=200, count=100)

    assert run.published == 100
    assert 0.45 < run.publishing_seconds < 5
    assert {group: latency.count for group, latency in run.latency.items()} == {
        "few": 300,
        "some": 500,
    }


def test_large_events(load, floor):
    """Requests and events that no single call sends or reads come whole."""
    with load.Load(floor) as generator:
        generator.open(4, _GET)
        large = publish_request(load, padding=4_000_000)
        run = generator.run(30, publish=large, connections=2, count=6)

    assert (run.published, run.deliveries, run.holes) == (6, 24, 0)
    assert run.bytes > 24 * 4_000_000


def test_runs_continue_their_numbers(load, floor):
    """A stream that is open for several runs has no holes between them, nor do channels mix."""
    a, b = publish_request(load), publish_request(load, path=b"/b")
    with load.Load(floor) as generator:
        generator.open(1, _GET)
        first = generator.run(10, publish=a, count=7)
        generator.run(10, publish=[a, b], count=5, check=False)
        second = generator.run(10, publish=a, count=2)

        assert (first.holes, second.holes, second.repeats) == (0, 0, 0)
        assert (generator.last_number(a), generator.last_number(b)) == (12, 2)


def test_opening_during_a_run(load, floor):
    """Streams can be opened while others are published to."""
    with load.Load(floor) as generator:
        generator.open(10, _GET)
        generator.begin(20, publish=publish_request(load), rate=500)
        opening = generator.open(30, _GET, group="late", until=5)
        run = generator.end()

    assert (opening.opened, opening.caught_up) == (30, 30)
    assert opening.caught_up_seconds >= 0
    assert (run.holes, run.repeats, run.disorders) == (0, 0, 0)
    assert run.latency["late"].count >= 30


@pytest.mark.parametrize(
    ("sent", "wrong"),
    [
        pytest.param((1, 2, 3), (0, 0, 0), id="right"),
        pytest.param((7, 8, 9), (0, 0, 0), id="joined-late"),
        pytest.param((1, 2, 5, 6), (2, 0, 0), id="a-hole"),
        pytest.param((1, 2, 2, 3, 1), (0, 2, 0), id="repeats"),
        pytest.param((1, 3, 2, 4), (0, 0, 1), id="disorder"),
        pytest.param((1, 6, 3, 5, 2, 7), (1, 0, 3), id="a-hole-in-pieces"),
        pytest.param((1, *range(3, 301, 2)), (149, 0, 0), id="many-holes"),
    ],
)
@pytest.mark.parametrize("pieces", [None, 13])
def test_what_is_wrong(load, scripted, sent, wrong, pieces):
    """Numbers that are missing, come again or too late are found, however they are read."""
    script = numbers(*sent, pieces=pieces)
    with load.Load(scripted(script)) as generator:
        generator.open(1, _GET)
        generator.begin(20)
        script.go.set()
        deadline = time.monotonic() + 10
        while generator.last_id() != "end":
            assert time.monotonic() < deadline
        run = generator.end()

    assert run.deliveries == len(sent)
    assert (run.holes, run.repeats, run.disorders) == wrong


def test_resuming(load, scripted):
    """What a resumed stream lacks behind its last event is a hole."""
    whole, torn = numbers(4, 5, 6), numbers(5, 6)
    whole.go.set()
    torn.go.set()
    with load.Load(scripted(whole, torn)) as generator:
        generator.begin(20)
        opening = generator.open(2, _GET, until=6, after=3)
        run = generator.end()

    assert (opening.caught_up, run.deliveries, run.holes) == (2, 5, 1)


def test_refused_streams(load, scripted):
    """Each refusal is counted by its name."""
    port = scripted(
        answer(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
        lambda connection: connection.shutdown(socket.SHUT_RDWR),
        answer(_HEAD),
    )
    with load.Load(port) as generator:
        opening = generator.open(4, _GET, at_once=1, seconds=3)

    assert opening.opened == 1
    assert opening.refused == {"503": 1, "closed before its head": 1, "timed out": 1}


def test_nobody_listens(load):
    """A port without a server refuses all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with load.Load(port) as generator:
        opening = generator.open(3, _GET)

    assert opening.refused == {"Connection refused": 3}


@pytest.mark.parametrize(
    ("response", "errors"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", {}, id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", {}, id="length"),
        pytest.param(
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;x=1\r\na\r\n\r\n0A\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n", {}, id="chunks",
        ),
        pytest.param(b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", {"429": 3}, id="refused"),
    ],
)  # fmt: skip
def test_answers_to_publishes(load, scripted, response, errors):
    """An answer ends where its framing says, and another one follows on the connection."""
    with load.Load(scripted(answer(response))) as generator:
        run = generator.run(10, publish=publish_request(load), count=3, settle=0.05)

    assert (run.sent, run.published, run.publish_errors) == (3, 0 if errors else 3, errors)
    assert run.reopened == 0


def test_connections_that_are_closed(load, scripted):
    """A connection is opened again: an error if an answer was lost, none if the server said so."""

    def close(connection):
        connection.shutdown(socket.SHUT_RDWR)

    def say_it(connection):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        close(connection)

    port = scripted(say_it, close, answer(b"HTTP/1.1 204 No Content\r\n\r\n"))
    with load.Load(port) as generator:
        run = generator.run(10, publish=publish_request(load), count=4, settle=0.05)

    assert run.published == 3
    assert run.publish_errors == {"closed before its answer": 1}
    assert run.reopened == 2


def test_late_answers(load, scripted):
    """What was due while an answer was awaited is late by that, too."""

    def answer_late(connection):
        done = b"HTTP/1.1 204 No Content\r\n\r\n"
        time.sleep(0.3)
        answer(done)(connection)

    with load.Load(scripted(answer_late)) as generator:
        run = generator.run(
            10, publish=publish_request(load), rate=100, count=10, settle=0.05
        )

    assert run.published == 10
    assert run.publish_latency.p50 > 200


@pytest.mark.parametrize("rate", [None, 200])
def test_disorder_of_what_was_due(load, scripted, rate):
    """Events of one connection that come in another order are found, also if all are late."""
    streams = []

    def stream(connection):
        connection.sendall(_HEAD)
        streams.append(connection)

    def swap(connection):
        held = b""
        while request := connection.recv(65536):
            time.sleep(0.02)
            block = b"id: 1\ndata: " + request.partition(b"\r\n\r\n")[2] + b"\n\n"
            if held:
                streams[0].sendall(block + held)
            held = b"" if held else block
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    # The first request has been read by then.
    def swap_all(connection):
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        swap(connection)

    with load.Load(scripted(stream, swap_all)) as generator:
        generator.open(1, _GET)
        run = generator.run(10, publish=publish_request(load), rate=rate, count=21)

    # A stream may begin between the two of its first pair.
    assert (run.published, run.deliveries, run.disorders) == (21, 20, 9)


def test_after_an_error(load, floor):
    """What a command lacks is said, and the generator goes on."""
    with load.Load(floor) as generator:
        with pytest.raises(RuntimeError, match="without a mark"):
            generator.run(1, publish=b"POST / HTTP/1.1\r\n\r\n")
        generator.open(2, _GET)
        generator.close_streams(reset=True)
        generator.open(1, _GET)

        assert generator.run(5, publish=publish_request(load), count=1).deliveries == 1


def test_usage(load, floor):
    """What processes use includes their children."""
    measuring = _module("measuring")
    before = measuring.usage([os.getpid()])
    with load.Load(floor) as generator:
        generator.open(100, _GET)
        generator.run(5, publish=publish_request(load), rate=1000, count=200)
        spent = measuring.usage([os.getpid()]) - before

        assert generator.pid in measuring.with_children([os.getpid()])
        assert spent.descriptors > 100
        assert spent.anonymous_bytes > 100_000
        assert 0.001 < measuring.cpu_seconds([generator.pid]) <= spent.cpu_seconds
