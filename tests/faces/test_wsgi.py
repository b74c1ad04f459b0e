"""A WSGI response that becomes a stream, without any framework."""

import gc
import logging
import socket
import threading
import time
import zlib

import pytest

from heliograph import Event, HubConfig
from heliograph.faces import Admission, Refusal
from heliograph.faces.wsgi import serve_stream
from heliograph.hub import HubThread
from heliograph.servers.advice import Advice
from heliograph.wire.coding import Coding
from servers import until
from streams import StreamParser
from wsgis import connected, environ

ADVICE = Advice(logging.getLogger("face"), url_setting="FACE_URL")
EVENT_SOURCE = {"HTTP_ACCEPT": "text/event-stream"}
HEADERS = [("Content-Type", "text/event-stream"), ("Content-Length", "0")]


@pytest.fixture
def hub():
    hub = HubThread("memory:", HubConfig(max_subscribers=1, retry_after_seconds=9))
    yield hub
    hub.close()


class Response:
    """A response to one request, as a face has it and a server calls it."""

    def __init__(self, hub, *, may_take_over=True, headers=HEADERS, coding=Coding.IDENTITY):
        self.hub = hub
        self.coding = coding
        self.may_take_over = may_take_over
        self.headers = headers
        self.closed = 0
        self.started = []
        self.written = b""
        self.start_error = None

    def start(self, status, headers, exc_info=None):
        if self.start_error is not None:
            raise self.start_error
        self.started.append((status, headers))
        return self.write

    def write(self, data):
        """Stand for a server that has nothing to write to."""

    def close(self):
        self.closed += 1

    def serve(self, environ):
        admission = Admission(
            channels=("a",),
            last_event_id=None,
            expires_at=None,
            address=None,
            arrived_at=time.monotonic_ns(),
            coding=self.coding,
        )
        return serve_stream(
            self.hub,
            admission,
            environ,
            self.start,
            status="200 OK",
            headers=self.headers,
            on_close=self.close,
            may_take_over=self.may_take_over,
            advice=ADVICE,
        )


def events_of(blocks, count):
    parser, events = StreamParser(), []
    while len(events) < count:
        events += parser.feed(next(blocks))
    return [event.data for event in events]


def decoded(data, coding):
    if coding is Coding.IDENTITY:
        return data
    return zlib.decompressobj(wbits=31).decompress(data)


def read(client, until_bytes):
    got = b""
    while until_bytes not in got:
        data = client.recv(9999)
        assert data, got
        got += data
    return got


HEAD = b"HTTP/1.1 200 OK\r\nServer: s\r\nX-Middleware: m\r\n\r\n"


def test_taken_over(hub):
    """The hub has the connection, with the head that the server has written."""
    response = Response(hub)
    with connected() as (client, accepted):
        body = response.serve(environ("gunicorn.socket", accepted))

        # Middleware may exchange it until the server writes the head.
        assert response.started == [("200 OK", HEADERS[:1])]
        accepted.sendall(HEAD + next(body))
        assert list(body) == []
        assert response.closed == 0
        accepted.sendall(b"the end of the body")
        body.close()
        accepted.close()
        head, _, _ = read(client, b"id: ").partition(b"\r\n\r\n")
        assert head.split(b"\r\n") == [
            b"HTTP/1.1 200 OK",
            b"Server: s",
            b"X-Middleware: m",
            b"Transfer-Encoding: chunked",
            b"Connection: close",
        ]
        hub.publish(["a"], Event("x"))
        read(client, b"data: x")
        assert response.closed == 0
        client.shutdown(socket.SHUT_WR)
        until(lambda: response.closed)
        assert hub.statistics().subscribers == 0


@pytest.mark.parametrize("coding", [Coding.IDENTITY, Coding.GZIP_BLOCKS])
def test_middleware_that_changes_the_body(hub, caplog, monkeypatch, coding):
    """The server has its connection again, and its thread serves the whole stream."""
    monkeypatch.setattr("heliograph.servers.log_once._logged", set())
    response = Response(hub, coding=coding)
    with connected() as (client, accepted):
        body = response.serve(environ("gunicorn.socket", accepted))
        written = next(body)
        accepted.sendall(HEAD + b"changed" + written)

        while b"id: " not in decoded(written, coding):
            written += next(body)

        comment, _, rest = decoded(written, coding).partition(b"\n")
        assert comment.startswith(b":")
        assert rest.startswith(b":\nretry: ")
        assert hub.statistics().subscribers == 1
        assert "a middleware changes" in caplog.text
        assert read(client, b"changed").startswith(HEAD)
        body.close()
        assert response.closed == 1
        accepted.sendall(b"still the server's")
        read(client, b"still the server's")
    assert hub.statistics().subscribers == 0


@pytest.mark.parametrize("how", ["close", "drop"])
def test_middleware_that_answers_otherwise(hub, how):
    """It has asked for the first bytes, and the server has its connection again."""
    response = Response(hub)
    with connected() as (client, accepted):
        body = response.serve(environ("gunicorn.socket", accepted))
        next(body)
        accepted.sendall(b"HTTP/1.1 500 Internal Server Error")

        if how == "close":
            body.close()
        del body
        gc.collect()

        read(client, b"HTTP/1.1 500 Internal Server Error")
        until(lambda: hub.statistics().subscribers == 0)


def test_a_connection_that_is_closed_in_between(hub):
    """The server keeps it, and serves it as it can."""
    response = Response(hub)
    with connected() as (_, accepted):
        body = response.serve(environ("gunicorn.socket", accepted))
        accepted.close()

        next(body, None)
        body.close()
    assert response.closed == 1
    assert hub.statistics().subscribers == 0


@pytest.mark.parametrize("is_visible", [True, False])
def test_pulled(hub, is_visible):
    """The thread that iterates serves the client, until the response is closed."""
    response = Response(hub, may_take_over=False)
    with connected() as (client, accepted):
        key = "gunicorn.socket" if is_visible else "unknown.socket"
        body = response.serve(environ(key, accepted))

        # Nobody knows how long it will be.
        assert response.started == [("200 OK", HEADERS[:1])]
        hub.publish(["a"], Event("x"))
        assert events_of(iter(body), 1) == ["x"]
        assert hub.statistics().subscribers == 1
        body.close()
        assert response.closed == 1
        assert hub.statistics().subscribers == 0
        accepted.sendall(b"still the server's")
        assert client.recv(99) == b"still the server's"


@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_response_that_was_never_begun(hub, how):
    """It gives its slot back when it is closed, or dropped on its way to the server."""
    body = Response(hub).serve(environ())
    assert hub.statistics().subscribers == 1

    if how == "close":
        body.close()
    del body
    gc.collect()

    until(lambda: hub.statistics().subscribers == 0)


def test_middleware_that_keeps_the_iterator_only(hub):
    """What it drops is not what is served."""
    blocks = iter(Response(hub).serve(environ()))
    gc.collect()

    hub.publish(["a"], Event("x"))

    assert events_of(blocks, 1) == ["x"]


def test_a_cap(hub):
    """The response is the face's to make: nothing was started."""
    held = Response(hub).serve(environ())
    response = Response(hub)

    refusal = response.serve(environ())
    told = response.serve(environ(**EVENT_SOURCE))

    assert (refusal.status, refusal.headers[0]) == (503, ("Retry-After", "9"))
    assert "subscribers already; max_subscribers" in refusal.text
    assert (told.status, told.text) == (200, refusal.text)
    assert isinstance(told, Refusal)
    assert hub.statistics().refused == 2
    assert (response.started, response.closed) == ([], 0)
    held.close()


def test_a_hub_that_does_not_answer():
    """The client is sent away for a moment, and holds no slot afterwards."""
    # One stream may have more channels, so no slot is certain before the loop was asked.
    hub = HubThread("memory:", HubConfig(max_channels=63))
    is_held_up, going_on = threading.Event(), threading.Event()

    def stopping():
        """Hold up the hub's loop, which asks whether the server stops."""
        is_held_up.set()
        return going_on.wait()

    held = hub.pull(hub.admit(Admission(("b",))), None, is_stopping=stopping)
    thread = threading.Thread(target=lambda: list(held))
    thread.start()
    is_held_up.wait()

    refusal = Response(hub).serve(environ())
    told = Response(hub).serve(environ(**EVENT_SOURCE))

    going_on.set()
    thread.join()
    assert (refusal.status, refusal.headers[0]) == (503, ("Retry-After", "1"))
    assert (told.status, told.text) == (200, "the hub does not answer")
    assert refusal.text == told.text
    until(lambda: hub.statistics().subscribers == 0)
    hub.close()


def test_a_client_that_has_left(hub):
    """It gets no slot."""
    with connected() as (client, accepted):
        client.close()
        refusal = Response(hub).serve(environ("gunicorn.socket", accepted))
        told = Response(hub).serve(environ("gunicorn.socket", accepted, **EVENT_SOURCE))

    assert (refusal.status, told.status) == (503, 200)
    assert hub.statistics().subscribers == 0


@pytest.mark.parametrize("may_take_over", [True, False])
def test_a_header_that_cannot_be_sent(hub, may_take_over):
    """The application's mistake costs no slot, and the server has its connection."""
    response = Response(
        hub, may_take_over=may_take_over, headers=[("X-Name", "\N{SNOWMAN}")]
    )
    with connected() as (client, accepted):
        with pytest.raises(UnicodeEncodeError):
            response.serve(environ("gunicorn.socket", accepted))

        accepted.sendall(b"HTTP/1.1 500 Internal Server Error")
        assert client.recv(99) == b"HTTP/1.1 500 Internal Server Error"
    assert hub.statistics().subscribers == 0


@pytest.mark.parametrize("may_take_over", [True, False])
def test_a_server_that_refuses_to_start(hub, may_take_over):
    """It has its connection again, and can answer with an error."""
    response = Response(hub, may_take_over=may_take_over)
    response.start_error = ZeroDivisionError()
    with connected() as (client, accepted):
        with pytest.raises(ZeroDivisionError):
            response.serve(environ("gunicorn.socket", accepted))

        accepted.sendall(b"HTTP/1.1 500 Internal Server Error")
        assert client.recv(99) == b"HTTP/1.1 500 Internal Server Error"
    until(lambda: hub.statistics().subscribers == 0)


def test_no_descriptors_left(hub, monkeypatch):
    """The server's own has to do: its thread serves the client."""

    def dup(number):
        raise OSError(24, "Too many open files")

    response = Response(hub)
    with connected() as (_, accepted):
        monkeypatch.setattr("heliograph.servers.swap.duplicate", dup)
        body = response.serve(environ("gunicorn.socket", accepted))
        assert next(body).startswith(b":\nretry: ")
        monkeypatch.undo()

        hub.publish(["a"], Event("x"))
        assert events_of(body, 1) == ["x"]
        body.close()


def test_no_descriptors_left_for_a_response_that_is_as_it_should_be(
    hub, caplog, monkeypatch
):
    """The server's thread serves the client, and no middleware is blamed."""

    def connection(takeover):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("heliograph.servers.log_once._logged", set())
    monkeypatch.setattr("heliograph.servers.wsgi_connection._BySwap.connection", connection)
    response = Response(hub)
    with connected() as (client, accepted):
        body = response.serve(environ("gunicorn.socket", accepted))
        accepted.sendall(HEAD + next(body))

        assert next(body).startswith(b":\nretry: ")
        read(client, HEAD)
        hub.publish(["a"], Event("x"))
        assert events_of(body, 1) == ["x"]
        body.close()
    assert "one at a time" in caplog.text
    assert "middleware" not in caplog.text
