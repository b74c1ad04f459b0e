"""The extension on real servers: nobody's thread is held, nothing is lost on the way."""

import asyncio
import contextlib
import json
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from heliograph.asgi import EventStreams
from servers import (
    APPS,
    BLIND,
    FALLBACK,
    NO_TAKE_OVER,
    TAKEN_OVER,
    connect,
    granian,
    gunicorn,
    leave_behind,
    on_unix_socket,
    publish,
    serving,
    serving_with,
    subscribers,
    until,
    uvicorn,
    uwsgi,
    waitress,
    werkzeug,
)

# Their connections are not to be seen: they wait for a client for as long as it is there.
OUT_OF_REACH = {"mod-wsgi", "granian-wsgi", "granian"}

# They end a connection after each response; uWSGI does not say so.
KEEPS_NO_CONNECTION = {
    "gunicorn-sync", "uwsgi-http-socket", "uwsgi-http", "werkzeug", "werkzeug-debug",
    "werkzeug-fallback",
}  # fmt: skip

# They write the head themselves, and send chunks to clients of HTTP/1.0 as well.
CHUNKS_FOR_ALL = {
    "uvicorn-httptools", "uvicorn-uvloop", "gunicorn-uvicorn", "uvicorn-fallback",
    "uvicorn-a2wsgi", "werkzeug-fallback",
}  # fmt: skip

# TERM kills them, or of uWSGI the process with the connection.
KILLED_BY_TERM = {
    "werkzeug",
    "werkzeug-debug",
    "werkzeug-fallback",
    "waitress",
    "uwsgi-http",
}

# It says of each request that it is HTTP/1.0, where the end of the connection is the end.
SAYS_1_0 = {"eventlet"}

# They close connections without ending the responses, or their process may end before.
CUT_BY_TERM = KILLED_BY_TERM | {
    "daphne", "granian", "granian-wsgi", "mod-wsgi", "uwsgi-http-socket",
}  # fmt: skip


@pytest.fixture(scope="module", params=[*TAKEN_OVER, *FALLBACK])
def server(request, tmp_path_factory):
    """A server that tests leave as they have found it."""
    folder = tmp_path_factory.mktemp(request.param)
    with serving_with(request.param, folder, heartbeat=0.5) as server:
        yield server


@pytest.fixture(params=[*TAKEN_OVER, *FALLBACK])
def own_server(request, tmp_path):
    """A server that a test may stop."""
    with serving_with(request.param, tmp_path, heartbeat=0.5) as server:
        yield server


def pid_of_a_worker(server):
    return json.loads(server.get("/statistics").text)["pid"]


def is_served_by_another(server, pid):
    try:
        return pid_of_a_worker(server) != pid
    except ConnectionError:
        return False  # uWSGI drops what comes while it reloads


@pytest.mark.oldest
def test_stream(server):
    """Head and place at once, then events; then the client leaves and is forgotten."""
    with server.stream("/stream?cookie=1") as stream:
        assert stream.status == 200
        stream.placed()
        assert stream.header("content-type") == "text/event-stream; charset=utf-8"
        assert stream.header("cache-control") == "no-store, no-transform"
        assert stream.header("x-accel-buffering") == "no"
        assert "Accept-Encoding" in stream.header("vary")
        assert "Cookie" in stream.header("vary")
        # The application's own, with what its hooks added last.
        assert "session=" in stream.header("set-cookie")
        assert stream.header("access-control-allow-origin") == "https://page.example"
        # Some servers send none.
        assert stream.header("date") or server.name.startswith(("daphne", "uwsgi"))

        ids = [publish(server, str(n)) for n in range(5)]
        events = stream.wait(5)

    assert [event.data for event in events] == list("01234")
    assert [event.id for event in events] == ids
    until(lambda: subscribers(server) == 0)
    with server.stream(last_event_id=ids[2]) as back:
        assert [event.data for event in back.wait(2)] == ["3", "4"]


@pytest.mark.oldest
def test_what_is_published_after_the_head_is_in_the_stream(server):
    """By another process, in the moment in which a page's ``open`` fires."""
    with asyncio.Runner() as runner:
        elsewhere = EventStreams(server.storage)
        for n in range(20):
            channel = f"moment-{n}"
            with server.stream(f"/stream?channel={channel}") as stream:
                runner.run(elsewhere.publish("x", channel=channel))
                assert stream.wait(1)[0].data == "x"
        runner.run(elsewhere.close())


@pytest.mark.oldest
def test_streams_open_while_events_come(server):
    """Each gets what is published from then on, and none is ended by it."""
    over = threading.Event()

    def publish_all_the_time():
        with asyncio.Runner() as runner:
            elsewhere = EventStreams(server.storage)
            while not over.is_set():
                runner.run(elsewhere.publish("x"))
            runner.run(elsewhere.close())

    publish(server, "makes the file")
    thread = threading.Thread(target=publish_all_the_time)
    thread.start()
    try:
        for _ in range(30):
            with server.stream() as stream:
                offsets = [int(event.id.rpartition("-")[2]) for event in stream.wait(3)]
                assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
                assert not stream.has_ended
    finally:
        over.set()
        thread.join()


@pytest.mark.oldest
def test_log(own_server):
    """One line in the access log for each stream, and none about errors."""
    server = own_server
    with server.stream() as stream:
        stream.placed()
    until(lambda: subscribers(server) == 0)
    server.get("/ping")
    server.stop()

    text = server.log_text()
    # Daphne says nothing of a request whose client has left.
    assert text.count("/stream") == (server.name != "daphne")
    assert "Traceback" not in text
    harmless = [
        "errorhandler",
        # Apache calls all that Python says an error, also our warning about its threads.
        "wsgi:error",
        # gunicorn and uvicorn both close what they listen on, and say so.
        "Error while closing socket",
    ]
    for words in harmless:
        text = text.replace(words, "")
    assert "rror" not in text


@pytest.mark.oldest
@pytest.mark.parametrize("how", ["reset", "half-closed"])
def test_a_client_that_leaves_otherwise(server, how):
    """By RST, or by closing its half of the connection only."""
    if (server.name, how) == ("mod-wsgi", "half-closed"):
        pytest.skip("Apache goes on for a client that has closed its half")
    with server.stream() as stream:
        stream.placed()
        if how == "reset":
            linger = struct.pack("ii", 1, 0)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            stream.close()
        else:
            stream.socket.shutdown(socket.SHUT_WR)
            stream.ended()
        until(lambda: subscribers(server) == 0)


@pytest.mark.oldest
def test_a_client_that_does_not_read(server):
    """It is given up when it is too far behind, and let go of; others are given everything."""
    publish(server, "opens what there is to open", "much")
    with (
        server.stream("/stream?channel=much") as stuck,
        server.stream("/stream?channel=much") as other,
    ):
        for stream in (stuck, other):
            stream.placed()
        # Clients of other tests may have yet to be noticed as gone.
        until(lambda: subscribers(server) == 2)
        # Other tests gave this server what it may complain about.
        before = len(server.log_text())
        descriptors = server.descriptors()
        leave_behind(server, "much", other)
        if server.name not in OUT_OF_REACH:
            until(lambda: server.descriptors() < descriptors)
        # What it has yet to be given is in no way the rest of its stream: that has to end.
        with contextlib.suppress(ConnectionError):
            while not stuck.has_ended and stuck.read():
                pass
    until(lambda: subscribers(server) == 0)
    assert "Traceback" not in server.log_text()[before:]


@pytest.mark.oldest
def test_head(server):
    """HEAD answers the head alone, and the connection is the server's."""
    with server.stream(method="HEAD") as stream:
        assert stream.status == 200
        assert stream.header("content-type") == "text/event-stream; charset=utf-8"
        stream.socket.shutdown(socket.SHUT_WR)
        # Nor the end of a body in chunks.
        assert (stream.body, stream.has_ended) == (b"", False)
        assert stream.socket.recv(9999) == b""
    until(lambda: subscribers(server) == 0)


@pytest.mark.oldest
def test_http_1_0(server):
    """As nginx asks its upstream by default: such a client knows no chunks."""
    with server.stream(version="1.0") as stream:
        stream.placed()
        assert server.name in CHUNKS_FOR_ALL or not stream.header("transfer-encoding")
        publish(server, "x")
        assert stream.wait(1)[0].data == "x"


@pytest.mark.oldest
def test_pipelined_request(own_server):
    """Another request on the connection is not answered into the stream."""
    # Servers that keep the connection stop reading from it then, and so do not notice that
    # the client has left.
    server = own_server
    with server.stream() as stream:
        stream.placed()
        stream.socket.sendall(b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n")
        publish(server, "x")
        assert stream.wait(1)[0].data == "x"
        assert b"pong" not in stream.body


@pytest.mark.oldest
@pytest.mark.parametrize("name", ["uvicorn-httptools", "uvicorn-h11", "uvicorn-uvloop"])
def test_requests_that_come_together(tmp_path, name):
    """Uvicorn has read the second when it serves the first, which is taken over all the same."""
    request = b"GET /stream HTTP/1.1\r\nHost: test\r\n\r\n"
    with serving_with(name, tmp_path) as server:
        with connect(server.port) as client:
            client.sendall(2 * request)
            got = b""
            while b"id: " not in got:
                got += client.recv(9999)
            assert subscribers(server) == 1
            publish(server, "x")
            while b"data: x" not in got:
                got += client.recv(9999)
            assert got.count(b"HTTP/1.1") == 1
        until(lambda: subscribers(server) == 0, 5)
        assert "is not known" not in server.log_text()


def test_a_client_that_has_left_when_its_stream_is_ended(tmp_path):
    """With a second request on its connection, uvicorn does not say so to the first."""
    command = uvicorn("streams:app", "--http", "httptools", "--loop", "uvloop")
    with serving(command, tmp_path, env=NO_TAKE_OVER) as server:
        for _ in range(5):
            with connect(server.port) as client:
                client.sendall(2 * b"GET /stream?channel=a HTTP/1.1\r\nHost: test\r\n\r\n")
                client.recv(9999)
            assert server.get("/disconnect?channel=a", "POST").status == 200
        until(lambda: subscribers(server) == 0)
        server.stop()
        assert "Traceback" not in server.log_text()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_client_that_has_left_before_it_is_taken_over(tmp_path, loop):
    """It is no fault, however long a middleware takes."""
    with serving(uvicorn("pausing:app", "--loop", loop), tmp_path) as server:
        for _ in range(3):
            server.stream().close()
        until(lambda: subscribers(server) == 0)
        server.stop()
        assert "Traceback" not in server.log_text()


def test_a_waitress_that_reads_ahead(tmp_path):
    """It would give up a request whose connection was taken, so it keeps its connections."""
    with serving(waitress("plain:app", "5"), tmp_path) as server:
        for _ in range(10):
            with server.stream() as stream:
                stream.placed()
            until(lambda: subscribers(server) == 0)
        assert "Each open stream holds a thread of waitress" in server.log_text()


@pytest.mark.parametrize(
    "name", ["waitress", "werkzeug", "uwsgi-http-socket", "uwsgi-http"]
)
def test_no_address(tmp_path, name):
    """Whatever a server says of clients over a Unix socket, they are not one client."""
    env = {"APP_SSE_MAX_SUBSCRIBERS_PER_ADDRESS": "1"}
    with serving(TAKEN_OVER[name], tmp_path, env=env) as server, server.stream() as one:
        # Those with an address are.
        assert (one.status, server.stream().status) == (200, 429)
    command = on_unix_socket(TAKEN_OVER[name])
    with (
        serving(command, tmp_path, env=env, port=tmp_path / "socket") as server,
        server.stream() as one,
        server.stream() as other,
    ):
        assert (one.status, other.status) == (200, 200)


def test_a_fork_that_python_is_not_told_of(tmp_path):
    """uWSGI's, if the application publishes before: a warning says what helps, and it does."""
    command = uwsgi("published_at_import:app", "--http-socket", "127.0.0.1:{port}")
    with serving(command, tmp_path, ready=None) as server:
        until(lambda: "Start it with --lazy-apps" in server.log_text())
    lazy = [*command, "--lazy-apps"]
    with serving(lazy, tmp_path, ready=None) as server, server.stream() as stream:
        stream.placed()
        assert "--lazy-apps" not in server.log_text()


@pytest.mark.oldest
def test_after_keep_alive(server):
    """A connection that has answered before can become a stream."""
    if server.name in KEEPS_NO_CONNECTION:
        pytest.skip("this server closes its connections")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n")
        answer = connection.recv(9999)
        while b"pong" not in answer:
            answer += connection.recv(9999)
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: test\r\n\r\n")
        got = b""
        while b"id: " not in got:
            data = connection.recv(9999)
            assert data, got
            got += data


@pytest.mark.oldest
def test_stop_ends_streams(own_server):
    """TERM ends them, with the last chunk and before another heartbeat; nobody waits for them."""
    server = own_server
    with server.stream() as stream:
        stream.placed()
        heartbeats = stream.body.count(b":\n")
        server.signal(signal.SIGTERM)
        stream.ended()
        assert server.name in BLIND or stream.body.count(b":\n") == heartbeats
        assert stream.has_ended or server.name in CUT_BY_TERM | SAYS_1_0
        if server.name != "werkzeug-debug":  # the reloader leaves its child to itself
            server.process.wait(10)
    assert "Traceback" not in server.log_text()


@pytest.mark.parametrize("name", ["uvicorn-httptools", "gunicorn-uvicorn", "hypercorn"])
def test_stop_within_middleware(tmp_path, name):
    """A stream that sees nothing of its server ends as well, or is bounded by an option."""
    command = [
        part.replace("streams:app", "in_middleware:app")
        for part in (TAKEN_OVER | FALLBACK)[name]
    ]
    if name == "hypercorn":
        command[command.index("--graceful-timeout") + 1] = "1"
    with serving(command, tmp_path) as server, server.stream() as stream:
        stream.placed()
        publish(server, "x")
        assert stream.wait(1)[0].data == "x"
        server.signal(signal.SIGTERM)
        stream.ended()
        server.process.wait(10)
        assert name == "hypercorn" or "Traceback" not in server.log_text()


@pytest.mark.parametrize(
    "name",
    [name for name in (TAKEN_OVER | FALLBACK) if name.startswith(("gunicorn", "uwsgi"))],
)
def test_reload_ends_streams(tmp_path, name):
    """HUP: new workers serve, and clients come to them by themselves."""
    with serving_with(name, tmp_path) as server:
        with server.stream() as stream:
            stream.placed()
            before = pid_of_a_worker(server)
            event_id = publish(server, "1")
            stream.wait(1)
            server.signal(signal.SIGHUP)
            stream.ended()
            # Its client comes back as soon as ever.
            assert not LAST_WORDS.search(stream.body)
        until(lambda: is_served_by_another(server, before))
        publish(server, "2")
        until(lambda: first_after(server, event_id) == "2")
        server.stop()
        assert "Traceback" not in server.log_text()


# After the empty line of an event.
LAST_WORDS = re.compile(rb"\n\nretry: \d+\n$")


@pytest.mark.parametrize(
    ("name", "take_over"),
    [
        ("gunicorn-sync", "true"),
        ("gunicorn-gthread", "false"),
        ("gunicorn-gevent", "true"),
        ("gunicorn-uvicorn", "true"),
    ],
)
def test_a_worker_that_has_had_its_requests(tmp_path, name, take_over):
    """Its clients are told to take their time, so that the next one lasts a while."""
    env = {"APP_SSE_TAKE_OVER": take_over}
    options = ["--max-requests", "20"]
    with serving_with(name, tmp_path, options=options, env=env) as server:
        streams = [server.stream().placed() for _ in range(3)]
        before = pid_of_a_worker(server)

        until(lambda: is_served_by_another(server, before))

        for stream in streams:
            assert LAST_WORDS.search(stream.ended().body)
            stream.close()


def first_after(server, event_id):
    """Give the next event; none if the worker is about to end, so that a browser would come again."""
    with server.stream(last_event_id=event_id) as stream:
        assert stream.status == 200
        while not stream.events:
            if stream.has_ended or not stream.read():
                return None
        return stream.events[0].data


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/stream?channel=%00", (), 400),
        ("/stream?channel=%0A", (), 400),
        ("/stream?" + "&".join(f"channel={n}" for n in range(65)), (), 400),
        ("/stream?token=forged", (), 403),
        ("/stream?lastEventId=" + "x" * 3000, (), 200),
        ("/stream", ("Last-Event-ID: \xff\xfe junk",), 200),
        ("/stream?channel=" + "x" * 5_000_000, (), None),
    ],
)
def test_bad_input(server, path, headers, status):
    """A clear 4xx, or a stream that says what is missing; never a 500, never silence."""
    if server.name == "granian-wsgi" and not "".join(headers).isascii():
        pytest.skip("granian gives WSGI applications an empty header instead")
    try:
        stream = server.stream(path, headers=headers)
    except (ConnectionError, AssertionError):
        assert status is None  # the server itself refuses five megabytes
    else:
        with stream:
            if status == 200:
                assert stream.wait(1)[0].type == "heliograph.gap"
            elif status is None:
                assert 400 <= stream.status < 500
            else:
                assert stream.status == status
    assert server.get("/ping").text == "pong"
    until(lambda: subscribers(server) == 0)


def test_a_lost_client_frees_its_thread(tmp_path):
    """Four generators on four threads block the site; when one leaves it is free again."""
    with serving_with("gunicorn-gthread-fallback", tmp_path) as server:
        for _ in range(3):
            streams = [server.stream().placed() for _ in range(4)]
            with connect(server.port) as waiting:
                waiting.sendall(b"GET /ping HTTP/1.0\r\nHost: test\r\n\r\n")
                waiting.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    waiting.recv(1)
                # Long before a heartbeat could tell.
                waiting.settimeout(10)
                streams.pop().close()
                assert b" 200 OK" in waiting.recv(9999)
            for stream in streams:
                stream.close()
            until(lambda: subscribers(server) == 0)


def test_caps(tmp_path):
    """Over the cap: 503 and when to come back, with the server's own framing."""
    command = TAKEN_OVER["gunicorn-gthread"]
    with serving(command, tmp_path, env={"APP_SSE_MAX_SUBSCRIBERS": "2"}) as server:
        with server.stream() as one, server.stream() as two:
            one.placed()
            two.placed()
            refused = server.get("/stream")
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "5"
        assert refused.headers["Access-Control-Allow-Origin"] == "https://page.example"
        assert "subscribers already" in refused.text


@pytest.mark.parametrize(
    ("name", "at_least"),
    [
        ("gunicorn-gthread", 100),
        ("gunicorn-gthread-fallback", 35),
        ("uvicorn-uvloop", 100),
        ("uvicorn-a2wsgi", 35),
    ],
)
def test_few_files(tmp_path, name, at_least):
    """Streams leave enough of them to the server, which would end without."""
    with (
        serving_with(name, tmp_path, threads="250") as server,
        contextlib.ExitStack() as streams,
    ):
        worker = pid_of_a_worker(server)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (256, 256))
        statuses = []
        for _ in range(200):
            stream = server.stream()
            statuses.append(stream.status)
            if stream.status == 200:
                streams.enter_context(stream)
            else:
                stream.close()
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= at_least
        assert server.get("/ping").text == "pong"
        assert server.log_text().count("may not have more than 256 files open") == 1
        assert "Traceback" not in server.log_text()
        streams.close()
        until(lambda: subscribers(server) == 0)
        time.sleep(1)  # it looks no more often
        with server.stream() as stream:
            stream.placed()
        assert pid_of_a_worker(server) == worker


@pytest.mark.parametrize("name", ["gunicorn-gthread", "uvicorn-h11", "hypercorn"])
def test_caps_per_address(tmp_path, name):
    """429, and when to come back."""
    env = {"APP_SSE_MAX_SUBSCRIBERS_PER_ADDRESS": "2"}
    with serving((TAKEN_OVER | FALLBACK)[name], tmp_path, env=env) as server:
        with server.stream() as one, server.stream() as two:
            one.placed()
            two.placed()
            refused = server.get("/stream")
        assert refused.status == 429
        assert refused.headers["Retry-After"] == "5"
        assert "127.0.0.1 has its 2" in refused.text


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["gunicorn-sync", "gunicorn-gthread"])
def test_a_thousand_streams(tmp_path, name):
    """One thread, or four, serve a thousand; afterwards all is as it was before."""
    with serving(TAKEN_OVER[name], tmp_path) as server:
        # Warm: the hub runs, both connections to the file are open, all threads are there.
        with server.stream() as warm:
            warm.placed()
            publish(server, "warm")
            warm.wait(1)
        until(lambda: subscribers(server) == 0)
        threads = 1 + 4 * ("gthread" in name) + len(["hub", "read", "write"])
        descriptors = server.descriptors()

        streams = [server.stream().placed() for _ in range(1000)]
        assert subscribers(server) == 1000
        assert server.threads() <= threads
        for _ in range(10):
            assert server.get("/ping").text == "pong"
        for n in range(20):
            publish(server, str(n))
        for stream in streams:
            assert [event.data for event in stream.wait(20)] == [str(n) for n in range(20)]
        for stream in streams:
            stream.close()

        until(lambda: subscribers(server) == 0)
        until(lambda: server.descriptors() <= descriptors)
        assert server.threads() <= threads


def test_three_workers_without_redis(tmp_path):
    """Published in any worker, or from flask shell, it reaches the streams of all."""
    command = gunicorn(
        "plain:app", "--workers", "3", "--worker-class", "gthread", "--threads", "2"
    )
    with serving(command, tmp_path) as server:
        streams, spread = [], {}
        while len(streams) < 12 or len(spread) < 3 or list(spread.values()).count(0) > 1:
            streams.append(server.stream().placed())
            found = json.loads(server.get("/statistics").text)
            spread[found["pid"]] = found["subscribers"]
        for n in range(30):
            publish(server, n)
        subprocess.run(
            [sys.executable, "-m", "flask", "--app", "plain", "shell"],
            input="from heliograph.flask import sse\nsse.publish('from the shell')\n",
            env=server_env(tmp_path),
            cwd=APPS,
            text=True,
            check=True,
            capture_output=True,
            timeout=30,
        )
        for stream in streams:
            assert [event.data for event in stream.wait(31)] == [
                *map(str, range(30)),
                "from the shell",
            ]
            stream.close()

        statistics = {}
        while len(statistics) < 3:
            found = json.loads(server.get("/statistics").text)
            statistics[found["pid"]] = found["entries"]
        assert sum(entries > 0 for entries in statistics.values()) >= 2

        streams = [server.stream("/stream?channel=a").placed() for _ in range(9)]
        server.get("/disconnect?channel=a", "POST")
        for stream in streams:
            stream.ended().close()


def server_env(tmp_path):
    import os

    return {**os.environ, "INSTANCE": str(tmp_path / "instance")}


def test_preload(tmp_path):
    """A hub that was started in the master is dead in the workers; they begin anew."""
    command = gunicorn("published_at_import:app", "--preload", "--workers", "2")
    with serving(command, tmp_path) as server:
        with server.stream("/stream?lastEventId=none") as stream:
            assert stream.wait(1)[0].type == "heliograph.gap"
            publish(server, "x")
            assert stream.wait(2)[1].data == "x"
        # A worker that is just beginning does not hear the signal to end.
        pids = set()
        until(lambda: pids.add(pid_of_a_worker(server)) or len(pids) == 2)
        server.stop()
        assert "Traceback" not in server.log_text()


@pytest.mark.oldest
@pytest.mark.parametrize("worker", ["sync", "gthread"])
@pytest.mark.parametrize("take_over", ["true", "false"])
def test_headers_of_middleware(tmp_path, worker, take_over):
    """What middleware adds on the way to the server is in the head of the stream."""
    command = gunicorn("middleware:app", "--worker-class", worker)
    env = {"APP_SSE_TAKE_OVER": take_over}
    with serving(command, tmp_path, env=env) as server, server.stream() as stream:
        assert stream.header("x-middleware") == "added"
        assert stream.header("server") == "gunicorn"
        assert stream.header("date")
        stream.placed()


@pytest.mark.parametrize("take_over", ["true", "false"])
def test_a_header_that_cannot_be_sent(tmp_path, take_over):
    """The application's mistake is answered with 500, and costs no place."""
    command = gunicorn("bad_header:app", "--worker-class", "gthread")
    with serving(command, tmp_path, env={"APP_SSE_TAKE_OVER": take_over}) as server:
        for _ in range(3):
            with server.stream() as stream:
                assert stream.status == 500
        assert subscribers(server) == 0


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_a_stream_that_does_not_begin(tmp_path, worker):
    """The server has its connection again, and answers what it can: an error."""
    command = gunicorn("refusing:app", "--worker-class", worker)
    with serving(command, tmp_path) as server:
        for _ in range(3):
            with server.stream() as stream:
                assert stream.status == 500
        assert subscribers(server) == 0


def test_the_reloader(tmp_path):
    """A change of the code ends streams; clients come back to the new code."""
    changing = tmp_path / "changing.py"
    changing.write_text("from plain import app\n")
    with serving(werkzeug(str(changing), "--debug"), tmp_path) as server:
        with server.stream() as stream:
            stream.placed()
            before = pid_of_a_worker(server)
            event_id = publish(server, "1")
            stream.wait(1)
            changing.write_text("from plain import app  # changed\n")
            stream.ended()
        until(lambda: is_served_by_another(server, before))
        publish(server, "2")
        with server.stream(last_event_id=event_id) as stream:
            assert stream.wait(1)[0].data == "2"


@pytest.mark.parametrize("worker", ["sync", "gthread", "gevent"])
def test_a_request_is_over_when_its_stream_is_taken_over(tmp_path, worker):
    """Nothing that it had is kept, neither by the stream nor by what it was the first to use."""
    command = gunicorn("keeping:app", "--worker-class", worker)
    env = {"APP_SSE_MAX_STREAM_SECONDS": "600"}
    with serving(command, tmp_path, env=env) as server:
        streams = [server.stream().placed() for _ in range(5)]
        publish(server, "x")
        until(lambda: server.get("/loaded").text == "0")
        streams.append(server.stream(last_event_id="unknown").placed())
        until(lambda: server.get("/loaded").text == "0")
        for stream in streams:
            stream.close()
        until(lambda: subscribers(server) == 0)
        assert server.get("/loaded").text == "0"


@pytest.mark.oldest
@pytest.mark.parametrize("why", ["told", "limit"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("take_over", ["true", "false"])
@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_uvicorn_stops_before_its_first_stream(tmp_path, http, take_over, version, why):
    """One whose request is on its way: it begins, ends, and is not waited for."""
    env = {"APP_SSE_TAKE_OVER": take_over}
    command = uvicorn("slow:app", "--http", http)
    if why == "limit":
        # The first was the one that asked whether the server is ready.
        command += ["--limit-max-requests", "2"]
    with serving(command, tmp_path, env=env) as server:
        with connect(server.port) as client:
            client.sendall(f"GET /stream HTTP/{version}\r\nHost: test\r\n\r\n".encode())
            until(lambda: "on its way" in server.log_text())
            if why == "told":
                server.signal(signal.SIGTERM)
            else:
                server.get("/ping")
            got = b""
            while data := client.recv(9999):
                got += data
        server.process.wait(10)
        assert b" 200 OK\r\n" in got
        assert "Traceback" not in server.log_text()


def test_a_default_time_out(tmp_path):
    """That of an application is none of its server's: a thread waits for a slow client."""
    env = NO_TAKE_OVER
    command = gunicorn("timing_out:app", "--worker-class", "gthread", "--threads", "4")
    with serving(command, tmp_path, env=env) as server, server.stream() as stream:
        stream.placed()
        for n in range(15):
            publish(server, f"{n} {'x' * 60_000}")
        time.sleep(1)
        assert [event.data.split()[0] for event in stream.wait(15)] == [
            *map(str, range(15))
        ]


def test_gevent_with_preload(tmp_path):
    """What was imported before gevent's patches works after them."""
    command = gunicorn("published_at_import:app", "--preload", "--worker-class", "gevent")
    env = {"APP_SSE_URL": f"sqlite:///{tmp_path}/log"}
    with serving(command, tmp_path, env=env) as server:
        streams = [server.stream().placed() for _ in range(20)]
        publish(server, "x")
        for stream in streams:
            assert stream.wait(1)[0].data == "x"
            stream.close()
        until(lambda: subscribers(server) == 0)


def test_a_worker_that_is_recycled(tmp_path):
    """Its generators end with it; nobody has to kill it."""
    command = gunicorn("plain:app", "--worker-class", "gthread", "--threads", "4", "--max-requests", "6")  # fmt: skip
    with serving(command, tmp_path, env=NO_TAKE_OVER) as server:
        stream = server.stream().placed()
        (before,) = server.workers()
        for _ in range(6):
            server.get("/ping")
        stream.ended()
        until(lambda: before not in server.workers())
        with server.stream() as again:
            again.placed()
        assert "WORKER TIMEOUT" not in server.log_text()


def test_a_server_that_forks_for_each_request(tmp_path):
    """Werkzeug with processes: the generator serves, in the child that stays for it."""
    command = [sys.executable, "forking.py", "{port}"]
    with serving(command, tmp_path) as server, server.stream() as stream:
        stream.placed()
        publish(server, "x")
        assert stream.wait(1)[0].data == "x"


@pytest.mark.oldest
def test_flask_beside_event_streams(tmp_path):
    """Under ASGI, Flask publishes and signs; streams hold no thread of its adapter."""
    command = uvicorn("mixed:app")
    with serving(command, tmp_path) as server:
        assert server.get("/stream").status == 403
        path = server.get("/address").text
        streams = [server.stream(path).placed() for _ in range(20)]
        server.get("/publish", "POST")
        for stream in streams:
            assert stream.wait(1)[0].data == "x"
        assert server.get("/ping").text == "pong"


@pytest.mark.parametrize("name", [*TAKEN_OVER, *FALLBACK])
def test_unix_socket(tmp_path, name):
    """A connection that is no TCP serves as well, and can be taken over."""
    if name == "mod-wsgi":
        pytest.skip("Apache listens on no Unix socket")
    with serving_with(name, tmp_path, heartbeat=0.5, port=tmp_path / "socket") as server:
        with server.stream() as stream:
            stream.placed()
            publish(server, "x")
            assert stream.wait(1)[0].data == "x"
        until(lambda: subscribers(server) == 0)
        assert name not in TAKEN_OVER or "Each open stream" not in server.log_text()


ADVICE = {
    "a-thread-each": (
        granian("plain:app", "--interface", "wsgi", "--blocking-threads", "4", "--workers-kill-timeout", "1"),
        None,
        "Each open stream holds a thread of Granian",
    ),
    "one-request": (
        [sys.executable, "simple.py", "{port}"], None, "Requests are answered one at a time",
    ),
    "uwsgi": (
        [part for part in TAKEN_OVER["uwsgi-http-socket"] if part not in {"--enable-threads", "--threads", "4"}],
        "never",
        "Start it with --enable-threads",
    ),
    "adapter": (
        FALLBACK["uvicorn-a2wsgi"], None, "Each open stream holds a thread of this server",
    ),
    "told-to": (FALLBACK["gunicorn-gthread-fallback"], None, None),
}  # fmt: skip


def test_advice_about_connections(tmp_path):
    """The sixth stream of a browser without a proxy: its next request would wait."""
    browser, proxy = "User-Agent: Mozilla/5.0 (X11)", "X-Forwarded-For: 192.0.2.1"
    with serving(TAKEN_OVER["gunicorn-gthread"], tmp_path) as server:
        for _ in range(6):
            server.stream().placed()
        for headers in ([browser, proxy], [proxy], []):
            server.stream(headers=headers).placed()
        assert "six connections" not in server.log_text()
        for _ in range(2):
            server.stream(headers=[browser]).placed()
        assert server.log_text().count("opens no more than six connections") == 1


@pytest.mark.parametrize("name", ADVICE)
def test_advice(tmp_path, name):
    """A set-up that will hurt is named, once, in words; one that was asked for is not."""
    command, works, text = ADVICE[name]
    env = NO_TAKE_OVER if name == "told-to" else None
    with serving(command, tmp_path, env=env) as server:
        if works != "never":
            for _ in range(2):
                with server.stream() as stream:
                    stream.placed()
        if text is None:
            assert "heliograph" not in server.log_text()
        else:
            assert server.log_text().count(text) == 1


def test_advice_about_memory(tmp_path):
    """Processes that do not hear each other: each of them says so once, with its first stream."""
    command = gunicorn("plain:app", "--workers", "2", "--env", "APP_SSE_URL=memory:")
    with serving(command, tmp_path) as server:
        for _ in range(10):
            with server.stream() as stream:
                stream.placed()
        said = server.log_text().count(
            "SSE_URL is memory:, and there are several processes here"
        )
        assert said in {1, 2}  # the second process may not have been given one
