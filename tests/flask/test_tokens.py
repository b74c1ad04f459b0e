"""Tokens open one selection until they expire."""

import pytest

from flask import Flask
from heliograph import ConfigError
from heliograph.flask.tokens import InvalidTokenError, check_token, make_token


@pytest.fixture
def app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "key"
    return app


def test_round_trip(app):
    """A token says until when."""
    token = make_token(app, ("a", "é,&="), 3600)

    assert token.isascii()
    assert check_token(app, token, ("a", "é,&=")) > 0


@pytest.mark.parametrize("channels", [("a",), ("a", "b", "c"), ("b", "a"), ("a,b",), ()])
def test_bound_to_the_channels(app, channels):
    """It opens neither more nor fewer."""
    with pytest.raises(InvalidTokenError, match="other channels"):
        check_token(app, make_token(app, ("a", "b"), 3600), channels)


def test_expired(app, monkeypatch):
    """After its time it opens nothing."""
    token = make_token(app, ("a",), 10)
    monkeypatch.setattr("heliograph.flask.tokens.time.time", lambda: 9e9)

    with pytest.raises(InvalidTokenError, match="expired"):
        check_token(app, token, ("a",))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: "",
        lambda t: "x",
        lambda t: t[:-1],
        lambda t: t + "A",
        lambda t: t.replace(".", "", 1),
        lambda t: "é" + t,
        lambda t: "." * 9999,
    ],
)
def test_forged(app, change):
    """A changed token is none."""
    with pytest.raises(InvalidTokenError, match="not signed"):
        check_token(app, change(make_token(app, ("a",), 10)), ("a",))


def test_of_another_use_of_the_key(app):
    """What the application signs for other purposes does not open streams."""
    from itsdangerous import URLSafeSerializer

    other = URLSafeSerializer("key", salt="something else").dumps([9e9, "a"])

    with pytest.raises(InvalidTokenError):
        check_token(app, other, ("a",))


def test_rotation(app):
    """Tokens signed before the key was rotated are honoured."""
    token = make_token(app, ("a",), 10)
    app.config.update(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["key"])

    assert check_token(app, token, ("a",))
    app.config["SECRET_KEY_FALLBACKS"] = None
    with pytest.raises(InvalidTokenError):
        check_token(app, token, ("a",))


def test_no_key(app):
    """Without a key nothing can be signed, and that says so."""
    app.config["SECRET_KEY"] = None

    with pytest.raises(ConfigError, match="SECRET_KEY"):
        make_token(app, ("a",), 10)
    with pytest.raises(InvalidTokenError, match="signs no tokens"):
        check_token(app, "x", ("a",))
