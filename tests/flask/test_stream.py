"""The response that is a stream."""

import gc
import re

import pytest
import werkzeug
from flask_compress import Compress
from werkzeug.wsgi import ClosingIterator

import flask
from flask_apps import Reader, make_app
from heliograph.flask import SSE
from heliograph.flask.stream import _has_callbacks, _NoBytes
from servers import until


def test_headers(app):
    """What keeps caches and proxies from holding events back, and the application's own."""

    @app.after_request
    def add(response):
        response.headers["X-Own"] = "é"
        response.vary.add("Origin")
        return response

    with app.test_client().get("/stream") as response:
        headers = response.headers
        assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert headers["Cache-Control"] == "no-store, no-transform"
        assert headers["X-Accel-Buffering"] == "no"
        assert headers["Vary"] == "Accept-Encoding, Origin"
        assert headers["X-Own"] == "é"


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [(None, None), ("", None), ("gzip;q=0", None), ("gzip", "gzip")],
)
def test_codings(tmp_path, method, accepted, encoding):
    """The one that the client accepts, if the channel may be compressed."""
    app = make_app(tmp_path, SSE_CHANNELS={"a": {"compression": "blocks"}})
    headers = {} if accepted is None else {"Accept-Encoding": accepted}

    for query, expected in [("?channel=a", encoding), ("?channel=b", None)]:
        with getattr(app.test_client(), method)(
            f"/stream{query}", headers=headers
        ) as response:
            assert response.headers.getlist("Content-Encoding") == [
                *([expected] if expected else [])
            ]
            assert response.headers["Vary"] == "Accept-Encoding"
            assert response.headers["Cache-Control"] == "no-store, no-transform"


def test_a_hook_that_names_a_coding(tmp_path):
    """It has coded nothing, so what it says of a stream or of a refusal is not sent."""
    app = make_app(
        tmp_path,
        SSE_MAX_SUBSCRIBERS_PER_CHANNEL=1,
        SSE_CHANNELS={"a": {"compression": "blocks"}},
    )

    @app.after_request
    def compress(response):
        response.headers["Content-Encoding"] = "br"
        return response

    accepting = {"Accept-Encoding": "gzip, br"}
    for query, encodings in [("?channel=a", ["gzip"]), ("?channel=b", [])]:
        with app.test_client().get(f"/stream{query}", headers=accepting) as response:
            assert response.headers.getlist("Content-Encoding") == encodings
            refused = app.test_client().get(f"/stream{query}", headers=accepting)
            assert refused.status_code == 503
            assert "Content-Encoding" not in refused.headers


def test_a_hook_that_answers_otherwise(tmp_path):
    """What it sends is not compressed, and is not said to be."""
    app = make_app(tmp_path, SSE_COMPRESSION="blocks")

    @app.after_request
    def deny(response):
        response.status_code = 403
        response.set_data("denied")
        return response

    answer = app.test_client().get("/stream", headers={"Accept-Encoding": "gzip"})

    assert answer.text == "denied"
    assert "Content-Encoding" not in answer.headers


class Own(flask.Response):
    """A class of an application, as many have one."""

    default_mimetype = "application/json"


class Changing(flask.Response):
    """One that changes what is sent when it is called."""

    def __call__(self, environ, start_response):
        self.headers["X-Own"] = "1"
        return super().__call__(environ, start_response)


def forced(response):
    return werkzeug.Response.force_type(response)


def copied(response):
    return flask.Response(response.get_data(), response.status, response.headers)


def wrapped(response):
    return flask.Response(response.iter_encoded(), headers=list(response.headers))


def replaced(response):
    response.response = [b"something else"]
    return response


CHANGES = [
    *[({"response_class": kind}, None) for kind in (Own, Changing, werkzeug.Response)],
    *[({}, hook) for hook in (forced, copied, wrapped, replaced)],
]


@pytest.mark.parametrize(("attributes", "hook"), CHANGES)
def test_what_an_application_makes_of_its_responses(app, stream, attributes, hook):
    """Whatever class a response has, and whatever body: it is the stream."""
    vars(app).update(attributes)
    if hook is not None:
        app.after_request(hook)

    reader = stream()

    app.sse.publish("x")
    assert reader.wait(1)[0].data == "x"
    assert reader.response.mimetype == "text/event-stream"
    assert ("X-Own" in reader.response.headers) is (
        attributes == {"response_class": Changing}
    )


def test_what_hooks_see(app, stream):
    """A streamed response of unknown length, which can be read without waiting."""
    seen = []

    @app.after_request
    def look(response):
        seen.append((response.is_streamed, response.content_length))
        seen.append((response.get_data(), response.headers.get("Content-Encoding")))
        return response

    stream(headers={"Accept-Encoding": "gzip"})

    assert seen == [(True, None), (b"", None)]


CONDITIONS = [
    {"If-None-Match": "*"},
    {"If-Match": '"x"'},
    {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    {"Range": "bytes=0-0", "If-Range": '"x"'},
]


@pytest.mark.parametrize("conditions", CONDITIONS)
def test_conditions(app, stream, conditions):
    """No hook answers that the client has the stream already."""

    @app.after_request
    def validate(response):
        response.add_etag()
        response.last_modified = 0
        return response.make_conditional(flask.request, True, 99)

    headers = stream(headers=conditions).response.headers

    assert not {"ETag", "Last-Modified", "Accept-Ranges", "Content-Length"} & set(
        headers.keys()
    )


@pytest.mark.parametrize("accepted", ["gzip", "br, zstd, deflate"])
def test_flask_compress(tmp_path, accepted):
    """It compresses a body that is not sent, and nothing is said of that."""
    app = make_app(tmp_path, COMPRESS_MIMETYPES=["text/event-stream"], COMPRESS_MIN_SIZE=0)
    Compress(app)

    with app.test_client().get("/stream", headers={"Accept-Encoding": accepted}) as got:
        assert "Content-Encoding" not in got.headers
        Reader(got).placed()


class Closing(werkzeug.Response):
    """One with work of its own to do when it is closed."""

    def close(self):
        super().close()


def response_with(callback=None, kind=werkzeug.Response, body=None):
    response = kind(_NoBytes() if body is None else body)
    if callback is not None:
        response.call_on_close(callback)
    return response.get_app_iter({"REQUEST_METHOD": "GET"})


CALLBACKS = [
    pytest.param(response_with(), False, id="none"),
    pytest.param(response_with(print), True, id="call_on_close"),
    pytest.param(response_with(kind=Closing), True, id="a-class"),
    pytest.param(response_with(body=(each for each in [])), True, id="a-generator"),
    pytest.param(ClosingIterator([], print), True, id="of-middleware"),
    pytest.param([], True, id="of-an-unknown-kind"),
]


@pytest.mark.parametrize(("body", "expected"), CALLBACKS)
def test_callbacks(body, expected):
    """What has none need not be kept for as long as its stream."""
    assert _has_callbacks(body) is expected


def test_an_application_without_the_blueprint():
    """The layer that serves streams is added with it, so the error says what to write."""
    app = flask.Flask(__name__)
    app.config["SSE_URL"] = "memory:"
    app.testing = True
    app.add_url_rule("/own", "own", SSE().stream)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="serves no streams: register the blueprint"):
            app.test_client().get("/own")


def test_an_application_in_another_one(tmp_path):
    """Its streams pass a response of the outer application."""
    inner = make_app(tmp_path)
    outer = flask.Flask("outer")

    @outer.get("/stream")
    def stream():
        return flask.Response.from_app(inner, flask.request.environ)

    with outer.test_client().get("/stream") as response:
        assert response.mimetype == "text/event-stream"
        Reader(response).placed()


def test_head(app):
    """The head alone, and no slot is taken."""
    response = app.test_client().head("/stream")

    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert app.sse.statistics().subscribers == 0


CHANNELS = [
    ("", ["sse"]),
    ("?channel=a,b", ["a,b"]),
    ("?channel=x+y&channel=%C3%A9", ["x y", "é"]),
]


@pytest.mark.parametrize(("query", "channels"), CHANNELS)
def test_channels(app, stream, query, channels):
    """One parameter is one channel, whatever it contains."""
    reader = stream(f"/stream{query}")

    for channel in ["sse", "a", "b", "a,b", "x y", "é"]:
        app.sse.publish(channel, channel=channel)
    app.sse.publish("end", channel=channels[0])

    got = [event.data for event in reader.wait(len(channels) + 1)]
    assert sorted(got[:-1]) == sorted(channels)


def test_last_event_id(app, stream):
    """From the header; from the query for who cannot set one; the header is newer."""
    ids = [app.sse.publish(str(n)) for n in range(4)]

    by_header = stream(headers={"Last-Event-ID": ids[1]})
    by_query = stream(f"/stream?lastEventId={ids[0]}")
    by_both = stream(f"/stream?lastEventId={ids[0]}", headers={"Last-Event-ID": ids[2]})

    assert [e.data for e in by_header.wait(2)] == ["2", "3"]
    assert [e.data for e in by_query.wait(3)] == ["1", "2", "3"]
    assert [e.data for e in by_both.wait(1)] == ["3"]


def test_last_event_id_beyond_ascii(app, stream):
    """Browsers send an id of the publisher's as UTF-8."""
    app.sse.publish("1", id="größe")
    app.sse.publish("2")

    reader = stream(headers={"Last-Event-ID": "größe".encode().decode("latin-1")})

    assert [e.data for e in reader.wait(1)] == ["2"]


@pytest.mark.parametrize(
    "junk", ["junk", "\xff\xfe", "'; DROP TABLE entry --", "x" * 8190, "1.2.3"]
)
def test_junk_last_event_id(app, stream, junk):
    """The client gets a gap event, and the stream continues."""
    reader = stream(headers={"Last-Event-ID": junk})

    assert reader.wait(1)[0].type == "heliograph.gap"
    app.sse.publish("x")
    assert reader.wait(2)[1].data == "x"


def test_caps(tmp_path):
    """Over a cap: 503, when to try again, and the application's headers."""
    app = make_app(tmp_path, SSE_MAX_SUBSCRIBERS_PER_CHANNEL=1, SSE_RETRY_AFTER_SECONDS=9)
    app.after_request(lambda response: response.headers.add("X-Own", "1") or response)
    with app.test_client().get("/stream") as held:
        Reader(held).placed()
        refused = app.test_client().get("/stream")

        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "9"
        assert refused.headers["X-Own"] == "1"
        assert refused.mimetype == "text/plain"
        assert "'sse' has its 1 subscribers" in refused.text


EVENT_SOURCE = {"Accept": "text/event-stream"}


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
def test_headers_of_a_refusal(tmp_path, accept):
    """Those of hooks stay, except for the coding of a body that is not sent."""
    app = make_app(tmp_path, SSE_MAX_SUBSCRIBERS=1)

    @app.after_request
    def add(response):
        response.headers["X-Own"] = "1"
        response.headers["Content-Encoding"] = "gzip"
        response.headers.add("Vary", "Cookie")
        response.set_cookie("a", "b")
        return response

    with app.test_client().get("/stream") as held:
        Reader(held).placed()
        headers = app.test_client().get("/stream", headers={"Accept": accept}).headers

    assert headers.getlist("Vary") == ["Accept-Encoding", "Cookie", "Accept"]
    assert "Content-Encoding" not in headers
    assert headers["X-Own"] == "1"
    assert headers["Set-Cookie"] == "a=b; Path=/"


def test_an_event_source_over_a_cap(tmp_path):
    """It is told when to come back, in a stream that ends, and counts as refused."""
    app = make_app(tmp_path, SSE_MAX_SUBSCRIBERS=1, SSE_RETRY_AFTER_SECONDS=9)
    with app.test_client().get("/stream") as held:
        Reader(held).placed()
        told = app.test_client().get("/stream", headers=EVENT_SOURCE)

        assert (told.status_code, told.mimetype) == (200, "text/event-stream")
        assert told.headers["Cache-Control"] == "no-store, no-transform"
        assert "Retry-After" not in told.headers
        assert told.content_length == len(told.data)
        assert re.fullmatch(r":\nretry: \d{4,5}\n", told.text)
        statistics = app.sse.statistics()
        assert (statistics.refused, statistics.subscribers) == (1, 1)


def test_refuse_with_status(tmp_path):
    """An application may prefer the status for all clients."""
    app = make_app(tmp_path, SSE_MAX_SUBSCRIBERS=1, SSE_REFUSE_WITH_STATUS=True)
    with app.test_client().get("/stream") as held:
        Reader(held).placed()
        refused = app.test_client().get("/stream", headers=EVENT_SOURCE)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert refused.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("query", "method", "status"),
    [("?channel=%00", "GET", 400), ("?token=x", "GET", 403), ("", "POST", 405)],
)
def test_other_refusals_of_an_event_source(app, query, method, status):
    """Trying again would not help, so it is told the status."""
    client = app.test_client()

    refused = client.open(f"/stream{query}", method=method, headers=EVENT_SOURCE)

    assert refused.status_code == status


def test_a_header_that_cannot_be_sent(app):
    """The application's mistake costs no slot."""
    app.after_request(lambda response: response.headers.add("X-Name", "Łukasz") or response)

    for _ in range(3):
        with pytest.raises(UnicodeEncodeError):
            app.test_client().get("/stream")

    assert app.sse.statistics().subscribers == 0


def test_a_response_that_is_dropped(app):
    """A hook that fails after the response was made costs no slot either."""
    app.testing = True

    @app.teardown_request
    def fail(error):
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            app.test_client().get("/stream").close()
    gc.collect()

    until(lambda: app.sse.statistics().subscribers == 0)


def test_a_frozen_response(app):
    """Frozen by a hook, it has no length all the same."""
    app.after_request(lambda response: response.freeze() or response)

    with app.test_client().get("/stream") as response:
        assert "Content-Length" not in response.headers
        Reader(response).placed()


def test_leaving_frees_the_slot(app, stream):
    """A closed response is a subscriber less, begun or not."""
    reader = stream()
    unread = app.test_client().get("/stream", buffered=False)
    assert app.sse.statistics().subscribers == 2

    reader.response.close()
    unread.close()

    assert app.sse.statistics().subscribers == 0
