"""The configuration of a Flask application, with the keys of Flask-SSE."""

import pytest

from flask import Flask
from heliograph import ConfigError
from heliograph.flask import SSE
from heliograph.flask.settings import read_settings


@pytest.fixture
def app(tmp_path):
    return Flask(__name__, instance_path=str(tmp_path / "instance"))


def test_defaults(app, tmp_path):
    """The default is a file in the instance folder."""
    url = read_settings(app).url

    assert url == f"sqlite:///{tmp_path}/instance/heliograph.sqlite3"


@pytest.mark.parametrize(
    ("config", "url"),
    [
        (
            {
                "SSE_URL": "memory:",
                "SSE_REDIS_URL": "redis://b",
                "REDIS_URL": "redis://c",
            },
            "memory:",
        ),
        (
            {"SSE_URL": None, "SSE_REDIS_URL": "redis://b", "REDIS_URL": "redis://c"},
            "redis://b",
        ),
        ({"SSE_URL": "", "SSE_REDIS_URL": "", "REDIS_URL": "redis://c"}, "redis://c"),
    ],
)
def test_precedence(app, config, url):
    """SSE_URL, then Flask-SSE's keys in Flask-SSE's order; empty ones do not count."""
    app.config.update(config)

    assert read_settings(app).url == url


MISTAKES = [
    ({"SSE_HEARTBEAT": 5}, "did you mean SSE_HEARTBEAT_SECONDS?"),
    ({"SSE_FLASK_SSE": "sse"}, "did you mean SSE_FLASK_SSE_COMPAT?"),
    (
        {"SSE_FLASK_SSE_COMPAT": True, "SSE_URL": "redis://h"},
        "must list the channels to exchange, not True: write SSE_FLASK_SSE_COMPAT = [",
    ),
    (
        {"SSE_FLASK_SSE_COMPAT": "text", "SSE_URL": "redis://h"},
        '["sse"] (Flask-SSE\'s default channel), and SSE_PLAIN_FORMAT = "text"',
    ),
    ({"SSE_FLASK_SSE_COMPAT": 1}, "must list the channels to exchange, not 1"),
    ({"SSE_FLASK_SSE_COMPAT": {"sse": 1}}, "must list the channels to exchange, not {"),
    (
        {"SSE_FLASK_SSE_COMPAT": ["sse", "*"], "SSE_URL": "redis://h"},
        "SSE_FLASK_SSE_COMPAT: '*' would let visitors listen to all of that Redis",
    ),
    (
        {"SSE_PLAIN_FORMAT": "json"},
        'SSE_PLAIN_FORMAT must be "flask-sse" or "text", not \'json\'',
    ),
    ({"SSE_FLASK_SSE_COMPAT": "sse"}, "SSE_FLASK_SSE_COMPAT needs a Redis"),
    (
        {"SSE_FLASK_SSE_COMPAT": "sse", "SSE_URL": "memory:"},
        "SSE_URL: plain channels are Redis's, 'memory:' has none",
    ),
    ({"REDIS_URL": "amqp://u:secret@h"}, "REDIS_URL: no broker for"),
]


@pytest.mark.parametrize(("config", "message"), MISTAKES)
def test_mistakes_fail_at_start(app, config, message):
    """Registering the blueprint raises one error for one mistake."""
    app.config.update(config)

    with pytest.raises(ConfigError) as caught:
        SSE(app)

    assert len(caught.value.problems) == 1
    assert message in str(caught.value)


def test_all_mistakes_at_once(app):
    """Mistakes in Flask-SSE's keys are reported together with those in others."""
    app.config.update(SSE_FOO=1, SSE_PLAIN_FORMAT="x", SSE_FLASK_SSE_COMPAT=1, SSE_URL="x:")

    with pytest.raises(ConfigError) as caught:
        SSE(app)

    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({}, "redis://h"),
        ({"SSE_FLASK_SSE_COMPAT": False, "SSE_PLAIN_FORMAT": "text"}, "redis://h"),
        ({"SSE_FLASK_SSE_COMPAT": None}, "redis://h"),
        ({"SSE_FLASK_SSE_COMPAT": []}, "redis://h"),
        (
            {"SSE_FLASK_SSE_COMPAT": "sse"},
            "redis://h?plain_channel=sse&plain_format=flask-sse",
        ),
        (
            {"SSE_FLASK_SSE_COMPAT": ["text"], "SSE_URL": "redis://h?replicas=1"},
            "redis://h?replicas=1&plain_channel=text&plain_format=flask-sse",
        ),
        (
            {"SSE_FLASK_SSE_COMPAT": ("sse", "chat-*"), "SSE_PLAIN_FORMAT": "text"},
            "redis://h?plain_channel=sse&plain_channel=chat-*&plain_format=text",
        ),
    ],
)
def test_what_is_exchanged_with_others(app, config, url):
    """Only listed channels are exchanged: in Flask-SSE's format, or the data alone."""
    app.config.update({"SSE_URL": "redis://h", **config})

    assert read_settings(app).url == url
