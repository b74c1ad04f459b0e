"""
Attacks within the figures of SECURITY.md, on real servers of each way of serving.

Nothing is timed. Memory, threads, descriptors and lines of the log are held against bounds of
about twice what was measured. What is measured goes, as lines of JSON, to the file that
``HELIOGRAPH_ATTACKS`` names: the figures in SECURITY.md are from there.
"""

import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from redises import RedisServer
from servers import connect, publish, serving_with, subscribers, unmeasured, until

# At least one of each way of serving.
TAKEN_OVER = [
    "gunicorn-gthread", "gunicorn-gevent", "gunicorn-gevent-pywsgi", "werkzeug", "waitress",
    "uwsgi-http-socket", "uvicorn-uvloop",
]  # fmt: skip
FALLBACK = [
    "gunicorn-gthread-fallback", "uvicorn-fallback", "uvicorn-a2wsgi", "gunicorn-asgi",
    "hypercorn", "daphne", "granian",
]  # fmt: skip
# A thread for each stream, which these servers do not have by default.
THREADS = dict.fromkeys(["gunicorn-gthread-fallback", "uvicorn-a2wsgi"], "70")

MB = 1_000_000


@contextlib.contextmanager
def attacked(name, folder, **settings):
    """Run a server that marks what Heliograph logs, without coverage, which needs memory."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in [one for one in os.environ if one.startswith("COVERAGE_")]:
            patch.delenv(variable)
        patch.setenv("MARK_LOG", "1")
        for setting, value in settings.items():
            patch.setenv(f"APP_SSE_{setting.upper()}", str(value))
        with serving_with(name, folder, threads=THREADS.get(name)) as server:
            yield server


@pytest.fixture(scope="module", params=[*TAKEN_OVER, *FALLBACK])
def server(request, tmp_path_factory):
    """A server that has its defaults, but lets channels linger for so long that it shows."""
    folder = tmp_path_factory.mktemp(request.param)
    with attacked(request.param, folder, linger_seconds=600) as server:
        gets_an_event(server)
        # What is needed for the first streams is needed once.
        many_channels(server, 40)
        until(lambda: statistics(server)["subscribers"] == 0)
        yield server


def statistics(server):
    return json.loads(server.get("/statistics").text)


def wait_for_descriptors(server, count):
    """Wait until a server has so few, also of those that it leaves to the garbage collector."""
    for _ in range(3):
        # Not for each look: hypercorn keeps the connection of each request for five seconds.
        assert server.get("/collect", "POST").status == 200
        with contextlib.suppress(AssertionError):
            until(lambda: server.descriptors() <= count, 8)
            return
    raise AssertionError(f"{server.descriptors()} descriptors, and not {count}")


def gets_an_event(server):
    """Whoever comes is served as ever."""
    assert server.get("/ping").text == "pong"
    with server.stream() as stream:
        stream.placed()
        publish(server, "for all")
        assert stream.wait(1)[0].data == "for all"


@contextlib.contextmanager
def unmoved(server, attack, megabytes):
    """
    Let a block attack a server, which then has what it had before.

    ``megabytes``: by how much its memory may have grown.
    """
    logged = len(server.log_text())
    channels = statistics(server)["channels"]
    memory, threads = server.memory(), server.threads()
    descriptors = server.descriptors()
    yield
    gets_an_event(server)
    until(lambda: statistics(server)["subscribers"] == 0)
    # That of the event lingers, since it has had one.
    assert statistics(server)["channels"] <= max(channels, 1)
    # The server's own may stay open for a while. werkzeug has a selector for each request, and
    # leaves it to the garbage collector if the client resets the connection.
    wait_for_descriptors(server, descriptors + 5)
    grown = (server.memory() - memory) / MB
    note(server, attack, grown=grown, threads=server.threads() - threads)
    assert grown < megabytes
    if server.name in TAKEN_OVER:
        # Those of the server's own pool may all have been needed by now.
        until(lambda: server.threads() <= threads + 4)
    assert ours_in_log(server, logged) == []


def ours_in_log(server, since=0):
    """The lines by Heliograph, and those of errors on a way through it."""
    lines = server.log_text()[since:].splitlines()
    ours = [line for line in lines if "HELIOGRAPH" in line or "/heliograph/" in line]
    # The page that a warning names is among our files, too.
    return [
        line for line in ours if "HELIOGRAPH" in line or "/heliograph/docs/" not in line
    ]


def note(server, attack, **measured):
    if path := os.environ.get("HELIOGRAPH_ATTACKS"):
        with Path(path).open("a") as out:
            out.write(json.dumps({"name": server.name, "attack": attack} | measured) + "\n")


def names(count, length=10):
    return [f"{random.getrandbits(4 * length):0{length}x}" for _ in range(count)]


def query(channels):
    return "/stream?" + "&".join(f"channel={name}" for name in channels)


def request_for(path, *headers):
    lines = [f"GET {path} HTTP/1.1", "Host: test", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def in_threads(count, function):
    """Call a function with 0, 1 and so on, all at once; raise what one of them raises."""
    failures = []

    def call(n):
        try:
            function(n)
        except Exception as failure:  # noqa: BLE001 - raised below
            failures.append(failure)

    threads = [threading.Thread(target=call, args=[n]) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def many_channels(server, visits):
    """Ask for 64 new channels at each visit; leave at once, or with the first byte."""

    def visit(n):
        for _ in range(visits // 4):
            with connect(server.port) as client:
                client.sendall(request_for(query(names(64))))
                if n % 2:
                    assert client.recv(1)

    in_threads(4, visit)


def deaf(port):
    """Connect as a client that has hardly any room for what it is sent."""
    client = socket.socket()
    client.settimeout(20)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    return client


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.timeout(120)
def test_many_channels(server):
    """25,600 channels that nobody publishes to: nothing stays, though channels linger."""
    with unmoved(server, "400 visits of 64 channels", 20):
        many_channels(server, 400)


@pytest.mark.timeout(120)
def test_channels_that_are_kept(server):
    """A channel costs its name and some 2 KB while a stream has it, and then nothing."""
    with (
        unmoved(server, "after 2,560 channels were kept", 15),
        contextlib.ExitStack() as stack,
    ):
        memory, threads = server.memory(), server.threads()
        for _ in range(40):
            stack.enter_context(server.stream(query(names(64)))).placed()

        assert statistics(server)["channels"] - 40 * 64 <= 2
        grown = (server.memory() - memory) / MB
        note(server, "2,560 channels kept", grown=grown, threads=server.threads() - threads)
        assert grown < 15


# Requests that are refused, or that begin with a gap. Of what follows on the connection nothing
# is heard.
BAD = [
    request_for("/stream?channel="),
    request_for("/stream?channel=%00"),
    request_for("/stream?channel=%ff%fe"),
    request_for("/stream?channel=" + "x" * 256),
    request_for(query(names(65))),
    request_for("/stream?channel=a&token=abc.def.ghi"),
    request_for("/stream?channel=a&token=%00&token=" + "x" * 500),
    request_for("/stream", "Last-Event-ID: nobody's"),
    request_for("/stream", "Last-Event-ID: " + "9" * 3000),
    request_for("/stream", "Last-Event-ID: \xff\xfe-1-2"),
    request_for("/stream?lastEventId=%0d%0aid:%201"),
    request_for("/stream", "Origin: null", "Accept: \xff", "Range: bytes=5-1"),
    request_for("/stream") + b"\x16\x03\x01 is no HTTP\r\n\r\n" * 20,
    request_for("/stream", "Content-Length: 5") + b"abcde",
]
# These wait for ever for a client that has sent more and left.
WAIT_FOR_MORE = {"hypercorn", "uvicorn-a2wsgi"}


@pytest.mark.timeout(120)
def test_bad_requests(server):
    """None of them is worth a line in the log that is Heliograph's."""
    bad = BAD[: -2 if server.name in WAIT_FOR_MORE else None]

    def visit(n):
        for request in bad * 6:
            # A server may reset what it has not read.
            with connect(server.port) as client, contextlib.suppress(ConnectionError):
                client.sendall(request)
                client.recv(1)

    with unmoved(server, f"{4 * 6 * len(bad)} bad requests", 10):
        in_threads(4, visit)


@pytest.mark.timeout(120)
def test_clients_that_send_slowly_and_do_not_read(server):
    """Heads come byte by byte, and the streams are stuck: no thread waits for them."""
    count = 30
    with unmoved(server, "30 clients were slow", 12):
        memory, threads = server.memory(), server.threads()
        clients = [deaf(server.port) for _ in range(count)]
        for byte in request_for("/stream"):
            for client in clients:
                client.sendall(bytes([byte]))
        until(lambda: subscribers(server) == count)
        for _ in range(6):
            publish(server, "x" * 60_000)

        assert server.get("/ping").text == "pong"
        if server.name in TAKEN_OVER:
            until(lambda: server.threads() <= threads + 4)
        grown = (server.memory() - memory) / MB
        note(server, "30 clients are slow", grown=grown, threads=server.threads() - threads)
        assert subscribers(server) == count
        for client in clients:
            reset(client)


READ_NOTHING = [
    "gunicorn-gthread", "gunicorn-gevent", "waitress", "uvicorn-uvloop",
    "gunicorn-gthread-fallback", "uvicorn-fallback", "hypercorn", "daphne",
]  # fmt: skip


@contextlib.contextmanager
def deaf_clients(server, selections):
    """Open a stream of each selection, of which nothing is read."""
    clients = [deaf(server.port) for _ in selections]
    for client, selection in zip(clients, selections, strict=True):
        client.sendall(request_for(query(selection)))
    until(lambda: subscribers(server) == len(clients))
    yield
    for client in clients:
        reset(client)
    until(lambda: subscribers(server) == 0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", READ_NOTHING)
def test_clients_that_read_nothing(tmp_path, name):
    """Each with a selection of its own: they hold an event once, not once for each of them."""
    selections = [["news", own] for own in names(60)]
    with attacked(name, tmp_path, max_lag_total_bytes=8 * MB) as server:
        gets_an_event(server)
        memory, logged = server.memory(), len(server.log_text())
        with (
            deaf_clients(server, selections),
            server.stream("/stream?channel=news") as reader,
        ):
            reader.placed()
            # ``max_lag_bytes`` for each would be 60 MB in all.
            for n in range(1, 91):
                publish(server, f"{n} {'x' * 16_000}", "news")
                reader.wait(n)
            got = [int(event.data.split()[0]) for event in reader.events]
            grown = (server.memory() - memory) / MB
            note(server, "60 clients read nothing", grown=grown)

            assert got == [*range(1, 91)]
            assert grown < 30
            reader.close()
        gets_an_event(server)
        assert ours_in_log(server, logged) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "name",
    ["gunicorn-gthread", "uvicorn-uvloop", "gunicorn-gthread-fallback", "hypercorn"],
)
def test_clients_that_have_nothing_in_common(tmp_path, name):
    """Each far from what one may be behind, together over what all may: some are given up."""
    own = names(24)
    settings = {"max_lag_total_bytes": 2 * MB, "log_bytes": 100_000}
    with attacked(name, tmp_path, **settings) as server:
        gets_an_event(server)
        memory, logged = server.memory(), len(server.log_text())
        # What is held is added up once a second: memory has no bound that could be held against.
        with deaf_clients(server, [[one] for one in own]), server.stream() as reader:
            reader.placed()
            for _ in range(11):
                for channel in own:
                    publish(server, "x" * 60_000, channel)
            # Some 400 KB for each: no more than a few of them are left.
            until(lambda: subscribers(server) <= 1 + 12)
            grown = (server.memory() - memory) / MB
            given_up = statistics(server)["lagging_disconnected"]
            note(server, "24 clients lag", grown=grown, given_up=given_up)

            assert given_up >= 12
            publish(server, "for all")
            assert reader.wait(1)[0].data == "for all"
            reader.close()
        gets_an_event(server)
        assert ours_in_log(server, logged) == []


def from_address(server, number, path="/stream"):
    """Open a stream from an address of loopback."""
    return server.stream(path, source=f"127.0.0.{number}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [*TAKEN_OVER, *FALLBACK])
def test_caps(tmp_path, name):
    """One address, and all together, hold what they may; the others go on."""
    settings = {
        "max_subscribers_per_address": 5, "max_subscribers": 12,
        "max_channels_per_address": 100, "max_channels": 250,
    }  # fmt: skip
    refused = 0
    with attacked(name, tmp_path, **settings) as server, contextlib.ExitStack() as stack:

        def opens(number, *channels):
            stream = stack.enter_context(from_address(server, number, query(channels)))
            return stream.placed()

        def is_refused(number, status, *channels):
            nonlocal refused
            refused += 1
            with from_address(server, number, query(channels)) as stream:
                assert stream.status == status
                assert stream.header("retry-after") == "5"

        stays = opens(2, "a")
        # Of servers that need a thread for each stream it is said once that they do.
        logged = len(server.log_text())
        streams = [opens(number, "a") for number in [2] * 4 + [3] * 5 + [4] * 2]
        is_refused(2, 429, "a")
        is_refused(3, 429, "a")
        is_refused(4, 503, "a")
        publish(server, "to all", "a")
        for stream in [stays, *streams]:
            assert stream.wait(1)[0].data == "to all"
            if stream is not stays:
                stream.close()
        until(lambda: subscribers(server) == 1)

        greedy = opens(5, *names(64))
        opens(5, *names(36))
        is_refused(5, 429, *names(1))
        opens(6, *names(64))
        opens(6, *names(36))
        opens(7, *names(49))
        is_refused(7, 503, *names(1))
        # That adds no channel.
        opens(7, "a")
        publish(server, "still here", "a")
        assert stays.wait(2)[1].data == "still here"
        assert statistics(server)["refused"] == refused
        greedy.close()
        until(lambda: subscribers(server) == 6)
        opens(5, *names(64))
        assert ours_in_log(server, logged) == []


@pytest.fixture
def redis_server(tmp_path):
    server = RedisServer(tmp_path / "redis", "--appendonly", "no")
    yield server
    server.kill()


ON_REDIS = ["gunicorn-gthread", "uvicorn-uvloop"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ON_REDIS)
def test_channels_of_redis(tmp_path, name, redis_server):
    """7,680 channels that nobody publishes to: nothing is stored for them."""
    with (
        contextlib.closing(redis_server.client()) as client,
        attacked(name, tmp_path, url=redis_server.url, linger_seconds=600) as server,
    ):
        gets_an_event(server)
        many_channels(server, 20)
        until(lambda: subscribers(server) == 0)
        keys, used = client.dbsize(), client.info("memory")["used_memory"]

        with unmoved(server, "120 visits of 64 channels with Redis", 25):
            many_channels(server, 120)
            until(lambda: subscribers(server) == 0)
            stored = (client.info("memory")["used_memory"] - used) / MB
            note(server, "what 120 visits leave in Redis", grown=stored)
            assert client.dbsize() <= keys
            assert stored < 1


# 5,000 events.
FILL = """
import asyncio, sys
from heliograph.asgi import EventStreams

async def fill():
    streams = EventStreams(sys.argv[1])
    for _ in range(50):
        # A publish has a limit. 5,000 at once have it all together, on a busy machine.
        some = (streams.publish("x" * 100, channel="long") for _ in range(100))
        await asyncio.gather(*some)
    await streams.close()

asyncio.run(fill())
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ON_REDIS)
def test_unknown_ids_of_redis(tmp_path, name, redis_server):
    """No history is read for an id that nobody knows, however long it is."""
    subprocess.run(
        [sys.executable, "-c", FILL, redis_server.url], env=unmeasured(), check=True
    )
    with (
        contextlib.closing(redis_server.client()) as client,
        attacked(name, tmp_path, url=redis_server.url) as server,
        server.stream("/stream?channel=long") as stays,
    ):
        stays.placed()
        before = client.info("stats")["total_net_output_bytes"]
        for unknown in ("nobody's", "0-1", "x" * 200, "é", "~" * 20):
            with server.stream("/stream?channel=long", last_event_id=unknown) as stream:
                stream.placed()
                assert stream.wait(1)[0].type == "heliograph.gap"
        read = (client.info("stats")["total_net_output_bytes"] - before) / MB
        note(server, "5 unknown ids beside 5,000 events", read=read)
        # To read the history would be a megabyte for each of them.
        assert read < 0.1
