"""Who may listen: authorizers, hooks, signed URLs, privacy."""

import datetime
import time

import pytest

from flask import Blueprint, Flask, abort, g
from flask_apps import Reader, make_app
from heliograph import (
    ConfigError,
    InvalidFieldError,
)
from heliograph.faces.tokens import make_token
from heliograph.flask import SSE


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
    [(True, True, 200), (True, None, 403), (False, None, 200), (False, False, 403)],
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


def test_a_verdict_that_is_none(app):
    """Something in between is a mistake in the application, and lets nobody in."""
    app.testing = True
    app.sse.authorizer(lambda channels: "no")

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


def test_forged_token(app):
    """The refusal goes through the application's error handlers, and no authorizer is asked."""
    app.sse.authorizer(lambda channels: True)
    app.register_error_handler(403, lambda error: (f"no: {error.description}", 403))

    response = app.test_client().get(signed(app, "a") + "x")

    assert response.status_code == 403
    assert response.text == "no: the token is not signed by this application"


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


def test_expired_token(app):
    """It opens nothing any more."""
    token = make_token(["key"], ("a",), expires_at=time.time() - 1)

    response = app.test_client().get(f"/stream?channel=a&token={token}")

    assert (response.status_code, "expired" in response.text) == (403, True)


def test_expiry_ends_the_stream(app):
    """A stream does not outlive its permission."""
    reader = Reader(app.test_client().get(signed(app, "a", expires_in=2)))

    assert reader.rest() == []
    assert app.sse.statistics().subscribers == 0
    reader.response.close()


def test_url_for(app):
    """A timedelta will do; channels are checked; a key and a route are needed."""
    assert signed(app, "user:42", expires_in=datetime.timedelta(hours=1)).startswith(
        "/stream?channel=user:42&token="
    )
    with pytest.raises(InvalidFieldError):
        signed(app, "a\n")
    with pytest.raises(InvalidFieldError, match="expires_in"):
        signed(app, "a", expires_in=0)
    with (
        app.test_request_context(),
        pytest.raises(RuntimeError, match="register_blueprint"),
    ):
        SSE(name="other").url_for("a", expires_in=5)
    with pytest.raises(RuntimeError, match=r"set app\.config\['SERVER_NAME'\]"):
        app.sse.url_for("a", expires_in=5)
    app.config["SECRET_KEY"] = None
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        signed(app, "a")


# (keys of the configuration, the problem; it shows nothing of a key)
KEYS = [
    (
        {"SECRET_KEY_FALLBACKS": "hidden"},
        "SECRET_KEY_FALLBACKS must be a list of keys, not str: write [key]",
    ),
    (
        {"SECRET_KEY_FALLBACKS": ["hidden", 7]},
        "a key in SECRET_KEY_FALLBACKS must be str or bytes, not int",
    ),
    ({"SECRET_KEY": 7}, "a key in SECRET_KEY must be str or bytes, not int"),
]


@pytest.mark.parametrize(("config", "problem"), KEYS)
def test_keys(tmp_path, config, problem):
    """The letters of a text are no keys: anybody could sign with one of them."""
    app = Flask(__name__)
    app.config.update({"SECRET_KEY": "key", "SSE_URL": "memory:"} | config)

    with pytest.raises(ConfigError) as caught:
        SSE(app)

    assert str(caught.value) == problem


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
    """Streams of the channel end, others continue."""
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


WINDOW = {"SSE_CHANNELS": {"prices": {"compression": "shared-window"}}}
NO_WINDOW = r"^SSE_CHANNELS\['prices'\]\['compression'\] must not be 'shared-window'"


def test_a_shared_window_and_an_authorizer_that_is_there_already(tmp_path):
    """Registering the blueprint fails."""
    extension = SSE()
    extension.authorizer(lambda channels: True)

    with pytest.raises(ConfigError, match=f"{NO_WINDOW} where an authorizer guards"):
        make_app(tmp_path, extension, **WINDOW)


def test_a_shared_window_and_an_authorizer_that_comes_later(tmp_path):
    """Its decorator fails, and still it guards."""
    app = make_app(tmp_path, **WINDOW)

    with pytest.raises(ConfigError, match=f"{NO_WINDOW} where an authorizer guards"):
        app.sse.authorizer(lambda channels: False)

    app.testing = True
    with pytest.raises(ConfigError, match=NO_WINDOW):
        app.test_client().get("/stream", headers={"Accept-Encoding": "gzip"})


@pytest.mark.parametrize("guard", ["authorizer", "hook"])
def test_a_shared_window_that_is_set_after_registering(tmp_path, guard):
    """The first request fails: it reads the settings that hold."""
    extension = SSE()
    if guard == "hook":
        extension.before_request(lambda: None)
    app = make_app(tmp_path, extension)
    app.config.update(WINDOW)
    if guard == "authorizer":
        app.sse.authorizer(lambda channels: True)
    app.testing = True

    with pytest.raises(ConfigError, match=NO_WINDOW):
        app.test_client().get("/stream")


@pytest.mark.parametrize("whose", ["its own", "its parent's"])
def test_a_shared_window_and_a_hook(tmp_path, whose):
    """A hook of the blueprint, or of one that it is nested in, guards as well."""
    app = Flask(__name__)
    app.config.update({"SSE_URL": "memory:"} | WINDOW)
    extension, api = SSE(), Blueprint("api", __name__)
    (extension if whose == "its own" else api).before_request(lambda: None)
    api.register_blueprint(extension, name="events")

    with pytest.raises(
        ConfigError, match=f"{NO_WINDOW} where a before_request hook guards"
    ):
        app.register_blueprint(api)


def test_a_shared_window_in_public(tmp_path):
    """A signed URL guards one stream, which shares nothing; it is no mistake."""
    app = make_app(tmp_path, **WINDOW)
    app.before_request(lambda: None)

    for url in ("/stream?channel=prices", signed(app, "prices")):
        response = app.test_client().head(url, headers={"Accept-Encoding": "gzip"})
        assert response.headers["Content-Encoding"] == "gzip"
