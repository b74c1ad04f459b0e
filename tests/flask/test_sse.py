"""The extension in one process: publishing, the view, who is let in."""

import datetime
import gc
import json
import os
import stat
import threading
import time
import uuid

import pytest
from flask.json.provider import JSONProvider
from flask.sessions import SecureCookieSessionInterface

from flask import Blueprint, Flask, abort, g
from heliograph import (
    BrokerUnavailableError,
    ConfigError,
    EventStreamParser,
    EventTooLargeError,
    InvalidFieldError,
)
from heliograph.flask import SSE, ServerSentEventsBlueprint
from heliograph.flask import sse as module_sse
from servers import unmeasured, until


def make_app(tmp_path, extension=None, **config):
    app = Flask(__name__, instance_path=str(tmp_path / "instance"))
    app.config.update(SECRET_KEY="key", SSE_URL="memory:", **config)
    extension = extension or SSE()
    extension.init_app(app)
    app.sse = extension
    return app


@pytest.fixture
def app(tmp_path):
    app = make_app(tmp_path)
    yield app
    app.extensions["heliograph"].hub.close()


class Reader:
    """Reads a stream from Flask's test client, which runs the generator."""

    def __init__(self, response):
        assert response.status_code == 200, response.text
        self.response = response
        self.parser = EventStreamParser()
        self.events = []
        self.chunks = response.iter_encoded()

    def wait(self, count):
        while len(self.events) < count:
            self.events += self.parser.feed(next(self.chunks))
        return self.events

    def placed(self):
        while not self.parser.last_event_id:
            self.events += self.parser.feed(next(self.chunks))
        return self

    def rest(self):
        for chunk in self.chunks:
            self.events += self.parser.feed(chunk)
        return self.events


@pytest.fixture
def stream(app):
    readers = []

    def open_stream(url="/stream", **options):
        reader = Reader(app.test_client().get(url, **options))
        readers.append(reader)
        return reader.placed()

    yield open_stream
    for reader in readers:
        reader.response.close()


# Publishing.


def test_publish_and_stream(app, stream):
    """What is published without a request and without a context arrives."""
    reader = stream()

    returned = app.sse.publish({"message": "Hello!"}, type="greeting", retry=7)

    (event,) = reader.wait(1)
    assert (event.data, event.type) == ('{"message": "Hello!"}', "greeting")
    assert event.id == returned
    assert reader.parser.reconnection_time_ms == 7


DATA = [
    ("text", "text"),
    ("", ""),
    (None, "null"),
    (5, "5"),
    ([1, "é"], '[1, "\\u00e9"]'),
    ({"b": 1, "a": 2}, '{"a": 2, "b": 1}'),
    (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    (datetime.date(2020, 1, 2), '"Thu, 02 Jan 2020 00:00:00 GMT"'),
]


@pytest.mark.parametrize(("data", "sent"), DATA)
def test_data(app, stream, data, sent):
    """A str as it is, anything else as Flask's JSON."""
    reader = stream()

    app.sse.publish(data)

    assert reader.wait(1)[0].data == sent


def test_json_provider_of_the_application(app, stream):
    """JSON is what the application says it is."""

    class Shouting(JSONProvider):
        def dumps(self, obj, **kwargs):
            return json.dumps(obj).upper()

        def loads(self, s, **kwargs):
            return json.loads(s)

    app.json = Shouting(app)
    reader = stream()

    app.sse.publish({"a": "b"})

    assert reader.wait(1)[0].data == '{"A": "B"}'


loop = []
loop.append(loop)


@pytest.mark.parametrize(
    "data", [object(), b"x", {1, 2}, float("nan"), {"a": float("inf")}, loop, {(1, 2): 3}]
)
def test_data_that_is_no_json(app, data):
    """The error names the field; nothing is sent."""
    with pytest.raises(InvalidFieldError) as caught:
        app.sse.publish(data)

    assert caught.value.field == "data"
    assert app.sse.statistics().published == 0


@pytest.mark.parametrize(
    "fields",
    [{"type": "a\nb"}, {"id": "a\nb"}, {"id": 1.5}, {"id": True}, {"retry": -1}, {"retry": "5"}, {"channel": ""}, {"channel": "a\n"},
     {"channel": []}, {"channel": [f"c{n}" for n in range(65)]}, {"channel": 5}, {"channel": ["a", 5]}],
)  # fmt: skip
def test_bad_fields(app, fields):
    """Each is refused by name."""
    with pytest.raises(InvalidFieldError) as caught:
        app.sse.publish("x", **fields)

    assert [caught.value.field] == [*fields]
    assert app.sse.statistics().published == 0


def test_too_large(tmp_path):
    """An event over the limit is refused."""
    app = make_app(tmp_path, SSE_MAX_EVENT_BYTES=100)

    with pytest.raises(EventTooLargeError):
        app.sse.publish("x" * 100)


def test_returned_ids(app, stream):
    """The id returned is where a stream of just these channels goes on."""
    own = app.sse.publish("1", id=5)
    one = app.sse.publish("2", channel="a")
    several = app.sse.publish("3", channel=["b", "a"])
    app.sse.publish("4", channel="a")

    assert own == "5"
    assert [e.data for e in stream(f"/stream?channel=a&lastEventId={one}").wait(2)] == [
        "3",
        "4",
    ]
    assert [
        e.data for e in stream(f"/stream?channel=a&channel=b&lastEventId={several}").wait(1)
    ] == ["4"]


# Which application.


def test_without_a_context_and_with_several_applications(tmp_path):
    """It must be clear which one is meant."""
    extension = SSE()
    with pytest.raises(RuntimeError, match="exactly one, not none"):
        extension.publish("x")
    one, two = make_app(tmp_path, extension), make_app(tmp_path, extension)

    with pytest.raises(RuntimeError, match="exactly one, not"):
        extension.publish("x")

    for app in (one, two):
        with app.app_context():
            extension.publish("x")
            assert extension.statistics().published == 1


def test_applications_that_are_gone_do_not_count(tmp_path):
    """The extension does not keep an application alive."""
    extension = SSE()
    make_app(tmp_path, extension)
    gc.collect()

    app = make_app(tmp_path, extension)

    extension.publish("x")
    assert app.extensions["heliograph"].hub.statistics().published == 1


def test_publish_from_an_application_without_the_blueprint(tmp_path):
    """A worker needs the configuration only, as with Flask-SSE."""
    app = Flask(__name__)
    app.config["SSE_URL"] = "memory:"

    with app.app_context():
        assert SSE().publish("x")


def test_several_blueprints_in_one_application(app, stream):
    """They share the channels; each has its own route and its own authoriser."""
    other = SSE(app, url_prefix="/closed", name="closed")

    @other.authorizer
    def nobody(channels):
        return False

    reader = stream()
    other.publish("x")

    assert reader.wait(1)[0].data == "x"
    assert app.test_client().get("/closed").status_code == 403


def test_own_instance_has_no_route(tmp_path):
    """As in Flask-SSE: who makes a blueprint adds its route."""
    app = Flask(__name__)
    app.config["SSE_URL"] = "memory:"
    blueprint = ServerSentEventsBlueprint("events", __name__)
    blueprint.add_url_rule(rule="", endpoint="stream", view_func=blueprint.stream)
    app.register_blueprint(blueprint, url_prefix="/events")

    assert app.test_client().head("/events").status_code == 200
    with app.test_request_context():
        assert app.url_for("events.stream", channel="x y") == "/events?channel=x+y"


def test_configured_after_registering(tmp_path):
    """What is configured before the first use counts."""
    app = Flask(__name__)
    app.register_blueprint(module_sse, url_prefix="/stream")
    app.config["SSE_URL"] = f"sqlite:///{tmp_path}/late"

    with app.app_context():
        module_sse.publish("x")

    assert (tmp_path / "late").exists()


def test_default_needs_no_preparation(tmp_path):
    """The instance folder is made when it is needed, and not before."""
    app = Flask(__name__, instance_path=str(tmp_path / "deep" / "instance"))
    extension = SSE(app)
    assert not (tmp_path / "deep").exists()

    extension.publish("x")

    assert (tmp_path / "deep" / "instance" / "heliograph.sqlite3").exists()
    app.extensions["heliograph"].hub.close()


def test_default_whatever_the_umask(tmp_path):
    """A folder that we make is not for everybody to write to: its file would be refused."""
    app = Flask(__name__, instance_path=str(tmp_path / "deep" / "er" / "instance"))

    old = os.umask(0)
    try:
        SSE(app).publish("x")
    finally:
        os.umask(old)

    assert {
        str(made.relative_to(tmp_path)): oct(stat.S_IMODE(made.stat().st_mode))
        for made in (tmp_path / "deep").rglob("**")
    } == {
        "deep": "0o755",
        "deep/er": "0o755",
        "deep/er/instance": "0o775",
        "deep/er/instance/heliograph.sqlite3-bells": "0o700",
    }
    app.extensions["heliograph"].hub.close()


def test_default_in_a_folder_of_everybody(tmp_path):
    """The error says which folder it is, and where the file may be instead."""
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance").chmod(0o777)
    app = Flask(__name__, instance_path=str(tmp_path / "instance"))

    with pytest.raises(ConfigError, match="instance/heliograph with mode 0700"):
        SSE(app).publish("x")


def test_default_where_nothing_can_be_written(tmp_path):
    """The error names the folder and what to set."""
    (tmp_path / "file").write_text("")
    app = Flask(__name__, instance_path=str(tmp_path / "file" / "instance"))

    with pytest.raises(BrokerUnavailableError, match="SSE_URL"):
        SSE(app).publish("x")


# The view.


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


def test_head(app):
    """The head alone, and no place among the caps."""
    response = app.test_client().head("/stream")

    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert app.sse.statistics().subscribers == 0


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_other_methods(app, method):
    """A stream is asked for with GET."""
    assert getattr(app.test_client(), method)("/stream").status_code == 405


CHANNELS = [
    ("", ["sse"]),
    ("?channel=", ["sse"]),
    ("?channel=a", ["a"]),
    ("?channel=a&channel=b", ["a", "b"]),
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


BAD_QUERIES = [
    ("?channel=a%00", {}, "control characters"),
    ("?channel=a%0Ab", {}, "control characters"),
    ("?channel=%1B", {}, "control characters"),
    ("?channel=a&channel=", {}, "empty"),
    ("?" + "&".join(f"channel=c{n}" for n in range(65)), {}, "1 to 64 channels"),
    ("?channel=" + "x" * 5_000_000, {}, "at most 255 bytes"),
    ("?lastEventId=" + "x" * 9000, {}, "at most 8190 characters"),
    ("", {"Last-Event-ID": "x" * 9000}, "at most 8190 characters"),
]


@pytest.mark.parametrize(("query", "headers", "words"), BAD_QUERIES)
def test_bad_queries(app, query, headers, words):
    """A clear 400, and not the client's megabytes back."""
    response = app.test_client().get(f"/stream{query}", headers=headers)

    assert response.status_code == 400
    assert words in response.text
    assert len(response.text) < 1000
    assert app.sse.statistics().subscribers == 0


def test_markup_in_a_bad_channel_is_escaped(app):
    """What a client sends is not reflected as HTML."""
    response = app.test_client().get("/stream?channel=%00<script>")

    assert response.status_code == 400
    assert "<script>" not in response.text


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
    """The client is told, and the stream goes on."""
    reader = stream(headers={"Last-Event-ID": junk})

    assert reader.wait(1)[0].type == "heliograph.gap"
    app.sse.publish("x")
    assert reader.wait(2)[1].data == "x"


def test_caps(tmp_path):
    """Over a cap: 503, when to come back, and the application's headers."""
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


def test_a_header_that_cannot_be_sent(app):
    """The application's mistake costs no place."""
    app.after_request(lambda response: response.headers.add("X-Name", "Łukasz") or response)

    for _ in range(3):
        with pytest.raises(UnicodeEncodeError):
            app.test_client().get("/stream")

    assert app.sse.statistics().subscribers == 0


def test_a_response_that_is_dropped(app):
    """A hook that fails after the response was made costs no place either."""
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


def test_leaving_frees_the_place(app, stream):
    """A closed response is a subscriber less, begun or not."""
    reader = stream()
    unread = app.test_client().get("/stream", buffered=False)
    assert app.sse.statistics().subscribers == 2

    reader.response.close()
    unread.close()

    assert app.sse.statistics().subscribers == 0


# Who is let in.


def test_authorizer_sees_the_selection(app):
    """It is asked within the request, for all channels at once, sorted."""
    asked = []

    @app.sse.authorizer
    def remember(channels):
        asked.append((channels, g.get("user")))
        return True

    app.before_request(lambda: setattr(g, "user", "alice"))

    app.test_client().head("/stream?channel=b&channel=a&channel=b")

    assert asked == [(("a", "b"), "alice")]


@pytest.mark.parametrize(
    ("private", "verdict", "status"),
    [
        (True, True, 200),
        (True, None, 403),
        (True, False, 403),
        (False, True, 200),
        (False, None, 200),
        (False, False, 403),
    ],
)
def test_verdicts(tmp_path, verdict, status, private):
    """False refuses, True lets in; nothing does too, unless everything is private."""
    app = make_app(tmp_path, SSE_PRIVATE=private)
    app.sse.authorizer(lambda channels: verdict)

    assert app.test_client().head("/stream").status_code == status


def test_authorizer_that_aborts(app):
    """It may say itself how it refuses."""

    @app.sse.authorizer
    def refuse(channels):
        abort(401)

    assert app.test_client().get("/stream").status_code == 401


@pytest.mark.parametrize("verdict", [0, "", 1, "no", []])
def test_a_verdict_that_is_none(app, verdict):
    """Something in between is a mistake in the application, and lets nobody in."""
    app.testing = True
    app.sse.authorizer(lambda channels: verdict)

    with pytest.raises(TypeError, match="True, False or None"):
        app.test_client().get("/stream")


def test_before_request_of_the_blueprint(tmp_path):
    """Flask-SSE's way of access control."""
    extension = SSE()

    @extension.before_request
    def check():
        from flask import request

        if request.args.get("channel") == "firehose":
            abort(403)

    app = make_app(tmp_path, extension)

    assert app.test_client().get("/stream?channel=firehose").status_code == 403
    assert app.test_client().head("/stream?channel=users").status_code == 200


def test_private(tmp_path):
    """Nothing unsigned gets in."""
    app = make_app(tmp_path, SSE_PRIVATE=True)
    with app.test_request_context():
        url = app.sse.url_for("user:42", "news", expires_in=60)

    assert app.test_client().get("/stream?channel=user:42").status_code == 403
    assert app.test_client().head(url).status_code == 200


def signed(app, *channels, expires_in=60):
    with app.test_request_context():
        return app.sse.url_for(*channels, expires_in=expires_in)


FORGERIES = [
    pytest.param(lambda url: url + "x", id="signature"),
    pytest.param(lambda url: url.replace("channel=a&", "channel=b&"), id="another-channel"),
    pytest.param(
        lambda url: url.replace("channel=a&", "channel=a&channel=b&"), id="one-more-channel"
    ),
    pytest.param(lambda url: url.split("token=")[0] + "token=", id="empty"),
    pytest.param(lambda url: url.split("token=")[0] + "token=" + "A" * 100_000, id="long"),
    pytest.param(lambda url: url.split("token=")[0] + "token=%00%FF", id="junk"),
]


@pytest.mark.parametrize("forge", FORGERIES)
@pytest.mark.parametrize("private", [True, False])
def test_forged_tokens(tmp_path, forge, private):
    """A token that is wrong is refused even where none is needed, and no authoriser is asked."""
    app = make_app(tmp_path, SSE_PRIVATE=private)
    app.sse.authorizer(lambda channels: True)

    response = app.test_client().get(forge(signed(app, "a")))

    assert response.status_code == 403
    assert "token" in response.text


def test_a_token_without_a_key(tmp_path):
    """Where nothing is signed a token opens nothing, and is no error of ours."""
    app = make_app(tmp_path)
    app.config["SECRET_KEY"] = None

    response = app.test_client().get("/stream?token=x")

    assert (response.status_code, "signs no tokens" in response.text) == (403, True)


def test_private_after_registering(tmp_path):
    """What was configured before the first request holds for the first request."""
    app = make_app(tmp_path)
    app.config["SSE_PRIVATE"] = True

    assert app.test_client().get("/stream").status_code == 403


def test_several_channels_where_a_hook_guards(tmp_path):
    """A hook that looks at the first channel does not let a second one slip by."""
    extension = SSE()
    extension.before_request(lambda: None)
    app = make_app(tmp_path, extension)

    assert app.test_client().head("/stream?channel=a").status_code == 200
    refused = app.test_client().get("/stream?channel=a&channel=b")
    assert (refused.status_code, "authorizer" in refused.text) == (403, True)
    assert app.test_client().head(signed(app, "a", "b")).status_code == 200
    extension.authorizer(lambda channels: True)
    assert app.test_client().head("/stream?channel=a&channel=b").status_code == 200


def test_tokens_spare_the_authorizer(app):
    """Whoever was given the URL need not be asked again."""
    app.sse.authorizer(lambda channels: False)

    assert app.test_client().head(signed(app, "a")).status_code == 200


def test_expired_token(app, monkeypatch):
    """It opens nothing any more."""
    url = signed(app, "a")
    monkeypatch.setattr("heliograph.tokens.time.time", lambda: 9e9)

    response = app.test_client().get(url)

    assert (response.status_code, "expired" in response.text) == (403, True)


def test_expiry_ends_the_stream(app):
    """A stream does not outlive its permission."""
    reader = Reader(app.test_client().get(signed(app, "a", expires_in=2)))

    assert reader.rest() == []
    assert app.sse.statistics().subscribers == 0
    reader.response.close()


@pytest.mark.parametrize(
    "expires_in", [0, -1, "60", None, True, float("nan"), float("inf"), 1e300]
)
def test_bad_expiry(app, expires_in):
    """A time that is none is refused."""
    with pytest.raises(InvalidFieldError, match="expires_in"):
        signed(app, "a", expires_in=expires_in)


def test_url_for(app):
    """A timedelta will do; channels are checked; a key and a route are needed."""
    assert signed(app, "user:42", expires_in=datetime.timedelta(hours=1)).startswith(
        "/stream?channel=user:42&token="
    )
    with pytest.raises(InvalidFieldError):
        signed(app, "a\n")
    with pytest.raises(InvalidFieldError):
        signed(app)
    with (
        app.test_request_context(),
        pytest.raises(RuntimeError, match="register_blueprint"),
    ):
        SSE(name="other").url_for("a", expires_in=5)
    app.config["SECRET_KEY"] = None
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        signed(app, "a")


def test_url_for_a_nested_blueprint(tmp_path):
    """The address is that of the blueprint where it was registered."""
    app = Flask(__name__)
    app.config.update(SECRET_KEY="key", SSE_URL="memory:")
    extension = SSE()
    api = Blueprint("api", __name__, url_prefix="/api")
    api.register_blueprint(extension, name="events")
    app.register_blueprint(api)
    app.sse = extension

    url = signed(app, "a")

    assert url.startswith("/api/stream?")
    assert app.test_client().head(url).status_code == 200


def test_disconnect(app, stream):
    """Streams of the channel end, others go on."""
    ended, spared = stream("/stream?channel=a&channel=b"), stream("/stream?channel=b")

    app.sse.disconnect("a")

    assert ended.rest() == []
    app.sse.publish("x", channel="b")
    assert spared.wait(1)
    with pytest.raises(InvalidFieldError):
        app.sse.disconnect("")


def test_an_authorizer_that_is_async(app, stream):
    """As Flask's views may be."""

    @app.sse.authorizer
    async def authorize(channels):
        return channels != ("secret",)

    assert app.test_client().get("/stream?channel=secret").status_code == 403
    stream("/stream?channel=a")


def test_disconnect_while_a_client_is_authorised(app, stream):
    """What it was authorised by is no longer true, so it has to come again."""
    revoked = []

    @app.sse.authorizer
    def authorize(channels):
        if not revoked:
            revoked.append(channels)
            app.sse.disconnect("a")

    assert Reader(app.test_client().get("/stream?channel=a")).rest() == []
    assert app.sse.statistics().subscribers == 0
    stream("/stream?channel=a")


WITHDRAWN = [
    "before_request",
    "blueprint",
    "url_value_preprocessor",
    "session",
    "middleware",
]


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("where", WITHDRAWN)
def test_a_permission_is_withdrawn_when_a_hook_has_looked_at_it(tmp_path, where, is_first):
    """Whatever let the client in, and even if nothing has used the streams before."""
    permitted, extension = {"a"}, SSE()

    def look():
        if "a" not in permitted:
            abort(403)
        # Somebody else, in that moment.
        permitted.clear()
        extension.disconnect("a")

    class Sessions(SecureCookieSessionInterface):
        def open_session(self, app, request):
            look()
            return super().open_session(app, request)

    if where == "blueprint":
        extension.before_request(look)
    app = make_app(tmp_path, extension)
    if where == "before_request":
        app.before_request(look)
    elif where == "url_value_preprocessor":
        app.url_value_preprocessor(lambda endpoint, values: look())
    elif where == "session":
        app.session_interface = Sessions()
    elif where == "middleware":
        wsgi_app = app.wsgi_app

        def middleware(environ, start_response):
            environ["heliograph.arrived"] = time.monotonic_ns()
            with app.app_context():
                look()
            return wsgi_app(environ, start_response)

        app.wsgi_app = middleware
    if not is_first:
        extension.publish("earlier", channel="b")

    try:
        assert Reader(app.test_client().get("/stream?channel=a")).rest() == []
        assert extension.statistics().subscribers == 0
    finally:
        app.extensions["heliograph"].hub.close()


def test_forks_while_the_application_is_used(tmp_path):
    """A child inherits no lock that somebody held."""
    import subprocess
    import sys
    import textwrap

    program = """
        import os, signal, sys, threading
        from flask import Flask
        from heliograph.flask import SSE
        sys.setswitchinterval(1e-5)
        sse = SSE()
        app = Flask("app", instance_path=sys.argv[1])
        sse.init_app(app)
        stop = threading.Event()
        def use():
            while not stop.is_set():
                sse.statistics()
        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads: thread.start()
        ended = []
        for _ in range(40):
            child = os.fork()
            if not child:
                signal.alarm(30)
                sse.statistics()
                os._exit(0)
            ended.append(os.waitpid(child, 0)[1])
        stop.set()
        for thread in threads: thread.join()
        print(set(ended))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), tmp_path],
        capture_output=True,
        text=True,
        timeout=50,
        env=unmeasured(),
        check=False,
    )

    assert (done.stdout, done.stderr) == ("{0}\n", "")


def test_publish_from_many_threads(app, stream):
    """Nothing is lost, and each channel keeps its order."""
    reader = stream()

    def publish(me):
        for n in range(50):
            app.sse.publish([me, n])

    threads = [threading.Thread(target=publish, args=[me]) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    got = [json.loads(event.data) for event in reader.wait(400)]
    for me in range(8):
        assert [n for who, n in got if who == me] == list(range(50))


@pytest.mark.parametrize("name", ["flask", "itsdangerous"])
def test_missing_extra(name):
    """Without Flask the error says which extra to install."""
    import subprocess
    import sys

    program = f"import sys; sys.modules[{name!r}] = None\nimport heliograph.flask"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert "pip install 'heliograph[flask]'" in done.stderr
