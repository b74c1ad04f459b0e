"""The WSGI layer that serves what an application offers, without any framework."""

import logging

import pytest

from heliograph import HubConfig
from heliograph.faces import Admission
from heliograph.faces.stream_layer import StreamLayer, StreamOffer, offer_stream
from heliograph.hub import HubThread
from heliograph.servers.advice import Advice
from heliograph.wire.coding import Coding
from servers import until
from wsgis import environ

ADVICE = Advice(logging.getLogger("face"), url_setting="FACE_URL")


@pytest.fixture
def hub():
    hub = HubThread("memory:", HubConfig(max_subscribers=1))
    yield hub
    hub.close()


class Body:
    """A body that records whether it was closed, and that it is not read."""

    def __init__(self):
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        raise AssertionError("the stream takes its place")

    def close(self):
        self.closed += 1


class Server:
    """What a server has of a response: head, body, and what was written otherwise."""

    def __init__(self, application, **changes):
        self.started = []
        self.written = []
        self.environ = environ(**changes)
        self.body = StreamLayer(application)(self.environ, self.start)

    def start(self, status, headers, exc_info=None):
        self.started.append((status, headers, exc_info))
        return self.written.append

    @property
    def headers(self):
        ((_, headers, _),) = self.started
        return dict(headers)

    def events(self):
        """Read until the stream has begun."""
        got = b""
        for block in self.body:
            got += block
            if b"id: " in got:
                return got
        return got


def offering(hub, answer, coding=Coding.IDENTITY, on_leave=None):
    """An application that offers a stream, and starts as told."""

    def application(environ, start_response):
        offer = StreamOffer(
            hub=hub,
            admission=Admission(("a",), coding=coding),
            may_take_over=True,
            advice=ADVICE,
            has_callbacks=lambda body: True,
            on_leave=on_leave,
        )
        return answer(offer_stream(environ, offer), start_response)

    return application


OTHERS = [
    "ETag",
    "Content-MD5",
    "digest",
    "CONTENT-LENGTH",
    "Accept-Ranges",
    "Last-Modified",
]


@pytest.mark.parametrize(
    ("coding", "encoding"), [(Coding.IDENTITY, None), (Coding.GZIP_BLOCKS, "gzip")]
)
def test_served(hub, coding, encoding):
    """With the headers of the application, less those of a body that is not sent."""
    body = Body()

    def answer(headers, start_response):
        own = [
            ("X-Own", "1"),
            ("Content-Encoding", "br"),
            *((name, "x") for name in OTHERS),
        ]
        write = start_response("200 Fine", [*headers, *own])
        write(b"of the body")
        return body

    server = Server(offering(hub, answer, coding))

    assert server.started[0][0] == "200 Fine"
    assert set(server.headers) - {"Content-Encoding"} == {
        "Content-Type", "Cache-Control", "X-Accel-Buffering", "Vary", "X-Own",
    }  # fmt: skip
    assert server.headers.get("Content-Encoding") == encoding
    assert next(server.body)
    assert (server.written, body.closed) == ([], 0)
    server.body.close()
    assert body.closed == 1
    until(lambda: hub.statistics().subscribers == 0)


def test_an_application_that_starts_late(hub):
    """A generator starts its response when it is asked for its first bytes."""
    closed = []

    def answer(headers, start_response):
        try:
            start_response("200 OK", headers)
            yield b""
        finally:
            closed.append(True)

    server = Server(offering(hub, answer))

    assert server.started == []
    assert b"id: " in server.events()
    assert "X-Heliograph-Stream" not in server.headers
    server.body.close()
    assert closed == [True]
    until(lambda: hub.statistics().subscribers == 0)


def test_a_generator_that_offers_nothing():
    """Its blocks pass, and it is closed with them."""
    closed = []

    def application(environ, start_response):
        try:
            start_response("200 OK", [])
            yield from [b"1", b"2"]
        finally:
            closed.append(True)

    server = Server(application)

    assert next(server.body) == b"1"
    assert server.started == [("200 OK", [], None)]
    assert list(server.body) == [b"2"]
    server.body.close()
    assert closed == [True]


ANSWERS = [
    pytest.param("403 Forbidden", True, id="another-status"),
    pytest.param("200 OK", False, id="a-response-of-its-own"),
    pytest.param("304 Not Modified", True, id="not-modified"),
]


@pytest.mark.parametrize(("status", "is_marked"), ANSWERS)
def test_answered_otherwise(hub, status, is_marked):
    """What a hook has answered is sent, and no slot is taken."""

    def answer(headers, start_response):
        kept = headers if is_marked else []
        start_response(status, [*kept, ("ETag", "x")])(b"written")
        return [b"its own"]

    server = Server(offering(hub, answer))

    assert server.body == [b"its own"]
    assert server.started[0][0] == status
    assert server.headers["ETag"] == "x"
    assert "X-Heliograph-Stream" not in server.headers
    assert server.written == [b"written"]
    assert hub.statistics().subscribers == 0


# Status, whether the mark stays, what is logged. Add a row, not a test.
EMPTY = [
    pytest.param("201 Created", True, "its status is 201 Created", id="created"),
    pytest.param("200 OK", False, "X-Heliograph-Stream was removed", id="filtered"),
    pytest.param("204 No Content", True, "", id="ended-for-good"),
    pytest.param("403 Forbidden", True, "", id="refused"),
]


@pytest.mark.parametrize(("status", "is_marked", "logged"), EMPTY)
def test_what_would_be_an_empty_stream(hub, caplog, status, is_marked, logged):
    """It says what was done to it; a refusal says nothing."""

    def answer(headers, start_response):
        mark = "X-Heliograph-Stream"
        kept = [each for each in headers if is_marked or each[0] != mark]
        start_response(status, kept)
        return []

    Server(offering(hub, answer))

    assert [logged in text for text in caplog.messages] == ([True] if logged else [])


def test_an_error_after_the_start(hub):
    """Nothing was sent yet, so an error can still be answered (PEP 3333)."""
    info = (ZeroDivisionError, ZeroDivisionError(), None)

    def answer(headers, start_response):
        start_response("200 OK", headers)
        start_response("500 Internal Server Error", [], info)
        return [b"error"]

    server = Server(offering(hub, answer))

    assert server.started == [("500 Internal Server Error", [], info)]
    assert server.body == [b"error"]


def test_conditions():
    """They are removed, since no answer to them could be right."""
    conditions = {
        "HTTP_IF_NONE_MATCH": "*", "HTTP_IF_MATCH": "x", "HTTP_IF_MODIFIED_SINCE": "x",
        "HTTP_IF_UNMODIFIED_SINCE": "x", "HTTP_IF_RANGE": "x", "HTTP_RANGE": "bytes=0-0",
    }  # fmt: skip

    def answer(headers, start_response):
        start_response("403 Forbidden", [])
        return []

    server = Server(offering(None, answer), **conditions)

    assert not set(server.environ) & set(conditions)


def test_a_copied_environment(hub):
    """Middleware within the layer may pass on a copy."""

    def answer(headers, start_response):
        start_response("200 OK", headers)
        return []

    inner = offering(hub, answer)
    server = Server(lambda environ, start: inner(dict(environ), start))

    assert b"id: " in server.events()
    server.body.close()


def test_head(hub):
    """The head alone, with a length, so that no end of a body is framed."""

    def answer(headers, start_response):
        start_response("200 OK", headers)
        return []

    server = Server(offering(hub, answer), REQUEST_METHOD="HEAD")

    assert list(server.body) == []
    assert server.headers["Content-Length"] == "0"
    assert hub.statistics().subscribers == 0


def test_another_method(hub):
    """A request class may take a POST for a GET: its stream is served, not empty."""

    def answer(headers, start_response):
        start_response("200 OK", headers)
        return []

    server = Server(offering(hub, answer), REQUEST_METHOD="POST")

    assert b"id: " in server.events()
    server.body.close()


def test_refused(hub):
    """With the fields of hooks, and the body of the application is closed."""
    body = Body()

    def answer(headers, start_response):
        start_response("200 OK", [*headers, ("X-Own", "1"), ("retry-after", "9")])
        return body

    held = Server(offering(hub, answer))
    server = Server(offering(hub, answer))

    assert server.started[0][0] == "503 Service Unavailable"
    assert server.headers["X-Own"] == "1"
    assert server.headers["Retry-After"] == "5"
    assert "retry-after" not in server.headers
    assert b"subscribers already" in b"".join(server.body)
    assert body.closed == 1
    held.body.close()


def test_a_header_that_cannot_be_sent(hub):
    """The error is the server's to log, and the application's body is closed."""
    body = Body()

    def answer(headers, start_response):
        start_response("200 OK", [*headers, ("X-Name", "\N{SNOWMAN}")])
        return body

    with pytest.raises(UnicodeEncodeError):
        Server(offering(hub, answer))

    assert body.closed == 1
    assert hub.statistics().subscribers == 0


def test_no_layer(hub):
    """An offer would be ignored."""
    with pytest.raises(LookupError):
        offering(hub, None)(environ(), None)


# How an application answers that has offered a stream, and whether that raises.
FATES = {
    "served": (lambda headers, start: start("200 OK", headers) and [], None),
    "otherwise": (lambda headers, start: start("403 Forbidden", headers) and [], None),
    "error": (lambda headers, start: 1 / 0, ZeroDivisionError),
    "bad-header": (
        lambda headers, start: start("200 OK", [*headers, ("X", "\N{SNOWMAN}")]) and [],
        UnicodeEncodeError,
    ),
}


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("fate", FATES)
def test_on_leave(hub, fate, is_late):
    """Called once for an offer, whether it has become a stream or not, and however."""
    left = []
    answer, error = FATES[fate]
    inner = offering(hub, answer, on_leave=left.append)

    def late(environ, start_response):
        yield from inner(environ, start_response)

    def serve():
        server = Server(late if is_late else inner)
        try:
            next(iter(server.body), None)
            # A body that is streamed is closed by its server.
            assert bool(left) == (fate != "served")
        finally:
            getattr(server.body, "close", list)()

    if error is None:
        serve()
    else:
        with pytest.raises(error):
            serve()
    until(lambda: left)
    hub.close()

    (leave,) = left
    assert leave.last_event_id is None
