"""Streams with which views answer: the view has decided, and is told when the client leaves."""

import functools
import logging

import pytest
from flask.testing import FlaskClient
from flask.views import MethodView

import flask
from flask import Flask, abort, current_app, request
from flask_apps import Reader, make_app
from heliograph.errors import InvalidFieldError
from heliograph.flask import SSE, ServerSentEventsBlueprint
from servers import until


def add_view(app, *channels, methods=("GET", "POST"), **options):
    """Add a view that answers with a stream at /own."""
    view = lambda: app.sse.response(*(channels or "a"), **options)  # noqa: E731
    app.add_url_rule("/own", "own", view, methods=[*methods])


@pytest.fixture
def closing():
    """Close streams, so that their clients have left."""
    responses = []
    yield responses.append
    for response in responses:
        response.close()


def login_required(view):
    @functools.wraps(view)
    def guarded(**arguments):
        if request.authorization is None:
            abort(401)
        return current_app.ensure_sync(view)(**arguments)

    return guarded


@pytest.mark.parametrize("kind", ["sync", "async", "method-view"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "QUERY"])
def test_any_view(tmp_path, closing, method, kind):
    """Behind a decorator, of a blueprint with another name, nested: its channels, no others."""
    app = make_app(tmp_path, SSE_PRIVATE=True)
    outer, inner = flask.Blueprint("outer", "o"), ServerSentEventsBlueprint("own", "own")

    @app.sse.authorizer
    def refuse(channels):
        abort(418)

    def view(name):
        return inner.response(f"user:{name}", "news")

    async def async_view(name):
        return view(name)

    class View(MethodView):
        def dispatch_request(self, name):
            return view(name)

    View.methods = [method]
    views = {"sync": view, "async": async_view, "method-view": View.as_view("view")}
    inner.add_url_rule("/of/<name>", "view", login_required(views[kind]), methods=[method])
    outer.register_blueprint(inner)
    app.register_blueprint(outer, url_prefix="/api")

    client, url = app.test_client(), "/api/of/ann?channel=secret&token=x&stat=1"
    assert client.open(url, method=method).status_code == 401
    response = client.open(url, method=method, auth=("a", "b"), data="a body")
    closing(response)
    reader = Reader(response).placed()
    for channel in ["secret", "user:ann", "news"]:
        app.sse.publish(channel, channel=channel)

    assert [event.data for event in reader.wait(2)] == ["user:ann", "news"]
    assert client.head("/stream").status_code == 418


# What a client sends -> what it is given of "1", "2", "3", of which "2" is retained. FIRST
# stands for the id of the first.
RESUMES = [
    pytest.param({}, {}, ["2"], id="retained"),
    pytest.param({"start": "now"}, {}, [], id="now"),
    pytest.param({"start": "start"}, {}, ["1", "2", "3"], id="start"),
    pytest.param({"start": 2}, {}, ["2", "3"], id="number"),
    pytest.param({}, {"headers": {"Last-Event-ID": "FIRST"}}, ["2", "3"], id="header"),
    pytest.param({}, {"query_string": {"lastEventId": "FIRST"}}, ["2", "3"], id="query"),
    pytest.param(
        {"start": "now"},
        {"headers": {"Last-Event-ID": "FIRST"}, "query_string": {"lastEventId": "x"}},
        ["2", "3"],
        id="header-first",
    ),
    pytest.param({}, {"headers": {"Last-Event-ID": "?"}}, ["gap", "2"], id="unknown"),
    pytest.param({}, {"query_string": {"start": "start"}}, ["2"], id="not-the-clients"),
]


@pytest.mark.parametrize(("options", "sent", "expected"), RESUMES)
def test_where_it_begins(app, closing, options, sent, expected):
    """Where the view says, unless the client resumes: exactly as on the blueprint's route."""
    add_view(app, **options)
    first = app.sse.publish("1", channel="a")
    app.sse.publish("2", channel="a", retain=True)
    app.sse.publish("3", channel="a")
    sent = {
        key: {name: value.replace("FIRST", first) for name, value in values.items()}
        for key, values in sent.items()
    }

    response = app.test_client().post("/own", **sent)
    closing(response)
    reader = Reader(response).placed()
    app.sse.publish("last", channel="a")
    events = reader.wait(len(expected) + 1)

    got = ["gap" if each.type == "heliograph.gap" else each.data for each in events]
    assert got == [*expected, "last"]


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"headers": {"Last-Event-ID": "x" * 9000}}, "at most 8190 characters"),
        ({"query_string": "lastEventId=" + "x" * 9000}, "at most 8190 characters"),
        ({"query_string": "&" * 1000}, "at most 1000 fields"),
    ],
)
def test_bad_requests(app, method, sent, words):
    """A clear 400."""
    add_view(app)

    response = getattr(app.test_client(), method)("/own", **sent)

    assert response.status_code == 400
    assert words in response.text


@pytest.mark.parametrize(
    ("channels", "options", "error", "words"),
    [
        ([], {}, InvalidFieldError, "1 to 64 channels"),
        (["a\n"], {}, InvalidFieldError, "control characters"),
        ([["a"]], {}, InvalidFieldError, "channel"),
        (["a"], {"start": "begin"}, InvalidFieldError, "'retained'|\"retained\""),
        (["a"], {"start": 0}, InvalidFieldError, "number of events"),
        (["a"], {"expires_in": 0}, InvalidFieldError, "above 0"),
        (["a"], {"on_leave": 7}, TypeError, "must be a function, not 7"),
        (["a"], {"on_leave": lambda: 0}, TypeError, "cannot be called as on_leave"),
    ],
)
def test_mistakes(app, channels, options, error, words):
    """They are the developer's, and say what to write; nothing is streamed instead."""
    with app.test_request_context(), pytest.raises(error, match=words):
        app.sse.response(*channels, **options)


def test_in_a_wrong_place(tmp_path):
    """It says what to do: where there is no request, no registration, and no layer."""
    app, bare = make_app(tmp_path), Flask("bare", instance_path=str(tmp_path))
    bare.config["SSE_URL"] = "memory:"
    before = bare.wsgi_app

    with app.app_context(), pytest.raises(RuntimeError, match="request context"):
        app.sse.response("a")
    with bare.test_request_context(), pytest.raises(RuntimeError, match=r"register_blue"):
        SSE().response("a")
    late = SSE(bare)
    with bare.test_request_context() as context:
        bare.add_url_rule("/", "own", lambda: late.response("a"))
        bare.testing = True
        with pytest.raises(RuntimeError, match=r"wsgi_app from before"):
            before(context.request.environ, lambda *_: None)


def test_stream_in_a_wrong_place(tmp_path):
    """It leads here: to a view that answers POST with a stream of its own choice."""
    app = make_app(tmp_path)
    app.testing = True
    app.add_url_rule("/own", "own", app.sse.stream, methods=["POST"])

    with pytest.raises(RuntimeError, match=r'return response\("channel"\)'):
        app.test_client().post("/own")


@pytest.mark.parametrize("method", ["get", "post"])
def test_looks_like_a_stream_to_hooks(tmp_path, closing, method):
    """Whatever the class of responses; it has nothing to compress, hash, or sign."""
    app = make_app(tmp_path)
    seen = []

    class Text(flask.Response):
        default_mimetype = "text/plain"

        def __init__(self, response: str = "", **options):
            super().__init__(response.upper(), **options)

    app.response_class = Text
    add_view(app)

    @app.after_request
    def look(response):
        response.set_cookie("seen", "1")
        seen.append((type(response), response.is_streamed, response.content_length))
        response.add_etag() if not response.is_streamed else None
        return response.make_conditional(request)

    # One of the test client's own class, which it makes of what it gets.
    response = getattr(FlaskClient(app, flask.Response), method)(
        "/own", headers={"If-None-Match": "*", "Range": "bytes=0-1"}
    )
    closing(response)

    assert Reader(response).placed()
    assert seen == [(Text, True, None)]
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Set-Cookie"].startswith("seen=1")
    assert "ETag" not in response.headers


def test_head(app):
    """As on the route: the headers of the stream, and no slot."""
    add_view(app, methods=["GET"])

    response = app.test_client().head("/own")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert app.sse.statistics().subscribers == 0


def test_all_has_been_seen(app):
    """204, at which an EventSource stops, with what hooks have added."""
    add_view(app)
    app.sse.end("a", "over")

    @app.after_request
    def add(response):
        response.set_cookie("seen", "1")
        response.headers["Access-Control-Allow-Origin"] = "https://page.example"
        return response

    for _ in range(2):
        response = app.test_client().post("/own", data="body")
        assert (response.status_code, response.data) == (204, b"")
        assert response.headers["Set-Cookie"].startswith("seen=1")
        assert response.headers["Access-Control-Allow-Origin"] == "https://page.example"
        assert "Content-Type" not in response.headers
    with app.test_client().get("/own?lastEventId=unknown") as gap:
        assert [event.type for event in Reader(gap).rest()][-1] == "heliograph.end"


def test_expires(tmp_path):
    """It ends, and the client is authorised again."""
    app = make_app(tmp_path)
    add_view(app, expires_in=0.05)

    with app.test_client().get("/own") as response:
        assert Reader(response).rest() == []


def served(app, _):
    with app.test_client().get("/own") as response:
        Reader(response).placed()


def of_a_head(app, _):
    app.test_client().head("/own")


def answered_otherwise(app, after):
    after.append(lambda response: flask.Response("other"))
    assert app.test_client().get("/own").text == "other"


def failed(app, after):
    app.testing = True
    after.append(lambda response: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        app.test_client().get("/own")


def refused(app, _):
    with app.test_client().get("/stream") as other:
        Reader(other).placed()
        assert app.test_client().get("/own").status_code == 503


def ended(app, _):
    app.sse.end("a")
    assert app.test_client().get("/own").status_code == 204


def not_served(app, _):
    """A header that HTTP cannot carry is found when the stream has been admitted."""
    app.testing = True
    with pytest.raises(UnicodeEncodeError):
        app.test_client().get("/own", headers={"X-Bad": "1"})


# What becomes of a response, and whether its client had got a position.
FATES = {
    served: True,
    of_a_head: False,
    answered_otherwise: False,
    failed: False,
    refused: False,
    ended: False,
    not_served: False,
}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("fate", FATES, ids=lambda fate: fate.__name__)
def test_on_leave(tmp_path, fate, is_async):
    """Called once for each response, whatever became of it, in an application context."""
    app = make_app(tmp_path, SSE_MAX_SUBSCRIBERS=1)
    left, after = [], []

    def note(leave):
        left.append((current_app.name, leave))

    async def note_later(leave):
        note(leave)

    add_view(app, on_leave=note_later if is_async else note)

    @app.after_request
    def change(response):
        if "X-Bad" in request.headers:
            response.headers["X-Bad"] = "\u2713"
        return after[0](response) if after else response

    fate(app, after)

    until(lambda: left)
    app.extensions["heliograph"].hub.close()
    ((name, leave),) = left
    assert name == app.name
    assert leave.seconds >= 0
    assert (leave.last_event_id is not None) == FATES[fate]


@pytest.mark.parametrize("fate", [served, of_a_head])
def test_on_leave_that_fails(tmp_path, fate, caplog):
    """It is logged, with its name, and changes no response."""
    app = make_app(tmp_path)

    def divide(leave):
        return 1 / 0

    add_view(app, on_leave=divide)

    with caplog.at_level(logging.ERROR):
        fate(app, None)
        until(lambda: caplog.records)

    assert "divide" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    app.extensions["heliograph"].hub.close()


def test_two_responses_of_one_view(app):
    """The one that was made last is served, the other one's client has left."""
    left = []
    app.add_url_rule(
        "/own",
        "own",
        lambda: [app.sse.response(name, on_leave=left.append) for name in "ab"][-1],
    )

    with app.test_client().get("/own") as response:
        reader = Reader(response).placed()
        assert [leave.last_event_id for leave in left] == [None]
        app.sse.publish("x", channel="b")
        assert reader.wait(1)[0].data == "x"

    until(lambda: len(left) == 2)
    assert left[1].last_event_id == reader.parser.last_event_id
