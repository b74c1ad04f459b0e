"""Views that answer with streams, on real servers: whatever the method, and what was read."""

import contextlib
import itertools
import json

import pytest

from servers import (
    ASGI,
    FALLBACK,
    WSGI,
    Stream,
    connect,
    publish,
    serving_with,
    subscribers,
    until,
)

TEXT = b'{"question": "what is new?"}'
LENGTH = [f"Content-Length: {len(TEXT)}"]
BIG = b"x" * 200_000

# How a body is sent: header lines, and what comes after them.
BODIES = {
    "length": (LENGTH, TEXT),
    "chunked": (
        ["Transfer-Encoding: chunked"],
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(TEXT), TEXT),
    ),
    "expected": ([*LENGTH, "Expect: 100-continue"], TEXT),
    "big": ([f"Content-Length: {len(BIG)}"], BIG),
}

# They never ask for a body that a client holds back, which sends it then on its own.
ASK_FOR_NOTHING = {"uwsgi-http-socket", "uwsgi-http"}

# They do not decode chunks: uWSGI has calls of its own for that, eventlet counts its clients
# as those of HTTP/1.0. Apache answers 411.
READ_NO_CHUNKS = {*ASK_FOR_NOTHING, "eventlet", "uvicorn-a2wsgi"}


def used(server):
    """A connection on which a request was answered before, if the server keeps it."""
    connection = connect(server.port)
    connection.sendall(b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n")
    answer = b""
    with contextlib.suppress(ConnectionError):
        while b"pong" not in answer and (data := connection.recv(4096)):
            answer += data
    head = answer.lower()
    if b"connection: close" in head or server.name.startswith(("uwsgi", "gunicorn-sync")):
        connection.close()
        connection = connect(server.port)
    return connection


def ask(server, channel, how="", *, port=None, method="POST", **options):
    path = f"/ask?channel={channel}{how}"
    return Stream(port or server.port, path, method=method, **options)


# What they cannot do with a body. Apache wants a length, and passes a body on as a whole, for
# which the view has to read it.
CANNOT = {
    ("mod-wsgi", "chunked", ""),
    ("mod-wsgi", "chunked", "&unread"),
    ("mod-wsgi", "big", "&unread"),
}

# uWSGI's router reads no more of a client that has sent a large body: heartbeats find out.
HEARTBEAT = {"APP_SSE_HEARTBEAT_SECONDS": "0.5"}


@pytest.mark.oldest
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [*WSGI, *ASGI])
def test_whatever_was_read(tmp_path, name):
    """All are open together, with fewer threads where connections are taken over."""
    threads = "20" if name in FALLBACK else None
    with serving_with(name, tmp_path, threads=threads, env=HEARTBEAT) as server:
        with contextlib.ExitStack() as streams:
            opened = [("get", ask(server, "get", method="GET"))]
            for kind, how in itertools.product(BODIES, ["", "&unread"]):
                if (name, kind, how) not in CANNOT:
                    opened.append((kind, ask_with_body(server, kind, how)))
            for _, stream in opened:
                streams.enter_context(stream).placed()
                assert stream.status == 200
                assert stream.header("set-cookie").startswith("asked=yes")
            for kind in [*BODIES, "get"]:
                publish(server, f"of {kind}", kind)
            for kind, stream in opened:
                assert stream.wait(1)[0].data == f"of {kind}"
            assert subscribers(server) == len(opened)
            assert told(server)["left"] == told(server)["closed"] == []
            ids = [stream.parser.last_event_id for _, stream in opened]

        until(lambda: len(told(server)["closed"]) >= len(opened))
        until(lambda: len(told(server)["left"]) >= len(opened))
        said = told(server)
        assert sorted(leave["last_event_id"] for leave in said["left"]) == sorted(ids)
        assert all(leave["seconds"] > 0 for leave in said["left"])
        assert sorted(said["closed"]) == sorted(kind for kind, _ in opened)
        check_the_end(server)
        # No server stumbles over a body that it cannot read any more.
        assert "Traceback" not in server.log_text()


def ask_with_body(server, kind, how):
    headers, body = BODIES[kind]
    if server.name in ASK_FOR_NOTHING:
        headers = headers[:1]
    connection = used(server)
    stream = ask(server, kind, how, port=lambda: connection, headers=headers, body=body)
    if not how and (kind != "chunked" or server.name not in READ_NO_CHUNKS):
        assert stream.header("x-body") == str(len(BIG if kind == "big" else TEXT))
    return stream


def told(server):
    return json.loads(server.get("/left").text)


def check_the_end(server):
    """A stream of which all was seen is 204, with the cookies and the fields of hooks."""
    assert server.get("/end?channel=length", "POST").status == 200
    headers, body = BODIES["length"]
    for how, options in [
        ("", {"method": "GET"}),
        ("", {"headers": headers, "body": body}),
        ("&unread", {"headers": headers, "body": body}),
    ]:
        with ask(server, "length", how, **options) as stream:
            assert stream.status == 204
            assert stream.header("set-cookie").startswith("asked=yes")
            assert stream.header("access-control-allow-origin") == "https://page.example"
            assert not stream.header("content-type")
            assert not stream.chunked
    with ask(server, "get", method="HEAD") as head:
        assert head.status == 200
        assert head.header("content-type") == "text/event-stream; charset=utf-8"
    until(lambda: subscribers(server) == 0)
