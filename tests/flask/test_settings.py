"""Configuration keys are checked at start, all of them at once."""

import pytest

from flask import Flask
from heliograph import ConfigError, HubConfig
from heliograph.flask import SSE
from heliograph.flask.settings import read_settings


@pytest.fixture
def app(tmp_path):
    return Flask(__name__, instance_path=str(tmp_path / "instance"))


def test_defaults(app, tmp_path):
    """Nothing configured is a working configuration, in the instance folder."""
    settings = read_settings(app)

    assert settings.url == f"sqlite:///{tmp_path}/instance/heliograph.sqlite3"
    assert settings.hub == HubConfig()
    assert (settings.private, settings.take_over) == (False, True)


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


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///mine", "instance/mine"),
        ("sqlite:///deep/mine", "instance/deep/mine"),
        ("sqlite:///deep/mine?mode=0660", "instance/deep/mine"),
    ],
)
def test_relative_files_are_in_the_instance_folder(app, tmp_path, url, file):
    """Wherever a process was started, it finds the same file; its folder is made."""
    app.config["SSE_URL"] = url
    extension = SSE(app)

    extension.publish("x")

    assert (tmp_path / file).exists()
    app.extensions["heliograph"].hub.close()


def test_every_hub_setting_has_a_key(app):
    """In capitals, with SSE_ in front."""
    app.config.update(SSE_HEARTBEAT_SECONDS=None, SSE_MAX_SUBSCRIBERS=7, SSE_RETRY_MS=5)

    assert read_settings(app).hub == HubConfig(
        heartbeat_seconds=None, max_subscribers=7, retry_ms=5
    )


MISTAKES = [
    (
        {"SSE_HEARTBEAT": 5},
        "SSE_HEARTBEAT is no setting of Heliograph; did you mean SSE_HEARTBEAT_SECONDS?",
    ),
    ({"SSE_PRIVAT": True}, "did you mean SSE_PRIVATE?"),
    ({"SSE_PRIVATE": "yes"}, "SSE_PRIVATE must be True or False, not 'yes'"),
    ({"SSE_TAKE_OVER": 1}, "SSE_TAKE_OVER must be True or False, not 1"),
    ({"SSE_RETRY_MS": "5"}, "SSE_RETRY_MS must be a whole number, not '5'"),
    (
        {"SSE_MAX_EVENT_BYTES": 4000, "SSE_MAX_LAG_BYTES": 3000},
        "SSE_MAX_EVENT_BYTES must be at most SSE_MAX_LAG_BYTES (3000)",
    ),
    ({"SSE_URL": "http://x"}, "SSE_URL: no broker for 'http://x'; write \"sqlite:///"),
    ({"SSE_URL": "redis://h?prefix="}, "SSE_URL: redis://h: prefix must have 1 to 64"),
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
    ({"SSE_PUBLISH_WAITS": "yes"}, "SSE_PUBLISH_WAITS must be True or False, not 'yes'"),
    ({"SSE_URL": 5}, "SSE_URL: a broker's URL must be str"),
    ({"REDIS_URL": "amqp://u:secret@h"}, "SSE_URL takes precedence over it"),
]


@pytest.mark.parametrize(("config", "message"), MISTAKES)
def test_mistakes_fail_at_start(app, config, message):
    """Registering says what is wrong and what to write."""
    app.config.update(config)

    with pytest.raises(ConfigError) as caught:
        SSE(app)

    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_all_mistakes_at_once(app):
    """One start shows them all."""
    app.config.update(
        SSE_FOO=1, SSE_PRIVATE="x", SSE_URL="x:", SSE_RETRY_MS=-1, SSE_LOG_EVENTS=0
    )

    with pytest.raises(ConfigError) as caught:
        SSE(app)

    assert len(caught.value.problems) == 5


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
    """Nothing, or channels that are listed; what Flask-SSE publishes, or the data alone."""
    app.config.update({"SSE_URL": "redis://h", **config})

    assert read_settings(app).url == url
