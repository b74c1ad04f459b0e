"""The keys of an application are checked at start, all of them at once."""

from pathlib import Path

import pytest

from heliograph import ConfigError, HubConfig
from heliograph.brokers import PlainChannels
from heliograph.documentation import page
from heliograph.faces.access import Access
from heliograph.faces.settings import access_of, read_settings

FOLDER = Path("/srv/app")


def test_defaults():
    """Without any key the settings are valid: a file in the default folder."""
    settings = read_settings({}, folder=FOLDER)

    assert settings.url == "sqlite:////srv/app/heliograph.sqlite3"
    assert settings.folder == FOLDER
    assert settings.hub == HubConfig()
    assert (settings.private, settings.take_over) == (False, True)


URLS = [
    ("sqlite:///mine", "sqlite:////srv/app/mine", "/srv/app"),
    ("sqlite:///deep/mine", "sqlite:////srv/app/deep/mine", "/srv/app/deep"),
    ("sqlite:///mine?mode=0660", "sqlite:////srv/app/mine?mode=0660", "/srv/app"),
    ("sqlite:////var/mine", "sqlite:////var/mine", None),
    ("memory:", "memory:", None),
    ("redis://h/0", "redis://h/0", None),
    ("", "sqlite:////srv/app/heliograph.sqlite3", "/srv/app"),
    (None, "sqlite:////srv/app/heliograph.sqlite3", "/srv/app"),
]


@pytest.mark.parametrize(("configured", "url", "folder"), URLS)
def test_relative_files_are_in_the_default_folder(configured, url, folder):
    """Processes find the same file, whichever folder they are started in."""
    settings = read_settings({"SSE_URL": configured}, folder=FOLDER)

    assert settings.url == url
    assert settings.folder == (folder and Path(folder))


def test_keys():
    """Fields of HubConfig are in capitals with SSE_ in front; other keys are ignored."""
    config = {
        "SSE_HEARTBEAT_SECONDS": None,
        "SSE_MAX_SUBSCRIBERS": 7,
        "SSE_RETRY_MS": 5,
        "SSE_COMPRESSION": "blocks",
        "SSE_FORGET_SECONDS": 90_000,
        "SSE_RETAINED_KEYS": 9,
        "SSE_CHANNELS": {"a": {"compression": None, "history_events": 5}},
        "SSE_PRIVATE": True,
        "SSE_TAKE_OVER": False,
        "DEBUG": "yes",
        "HELIOGRAPH_OWN": "the application's",
    }

    settings = read_settings(config, folder=FOLDER)

    assert settings.hub == HubConfig(
        heartbeat_seconds=None,
        max_subscribers=7,
        retry_ms=5,
        compression="blocks",
        forget_seconds=90_000,
        retained_keys=9,
        channels={"a": {"compression": None, "history_events": 5}},
    )
    assert (settings.private, settings.take_over) == (True, False)


def test_keys_of_a_face():
    """A face may have other keys for the URL, and keys that it reads itself."""
    config = {"A_URL": "redis://a", "B_URL": "redis://b", "SSE_OWN": 1}
    keys = {"url_aliases": ("B_URL", "A_URL"), "own_keys": ("SSE_OWN",)}

    settings = read_settings(
        config, folder=FOLDER, plain_channels=PlainChannels("sse"), **keys
    )

    assert settings.url == "redis://b?plain_channel=sse&plain_format=flask-sse"
    config["SSE_URL"] = "memory:"
    assert read_settings(config, folder=FOLDER, **keys).url == "memory:"


MISTAKES = [
    (
        {"SSE_HEARTBEAT": 5},
        "SSE_HEARTBEAT is no setting of Heliograph; did you mean SSE_HEARTBEAT_SECONDS?",
    ),
    ({"SSE_PRIVAT": True}, "did you mean SSE_PRIVATE?"),
    (
        {"sse_private": True},
        "sse_private is no setting of Heliograph; did you mean SSE_PRIVATE?",
    ),
    (
        {"HELIOGRAPH_URL": "memory:"},
        "HELIOGRAPH_URL is no setting of Heliograph; did you mean SSE_URL?",
    ),
    (
        {"SSE_CORS_ORIGINS": "*"},
        f"SSE_CORS_ORIGINS is no setting of Heliograph; see {page('configuration.md')}",
    ),
    ({"SSE_REDIS_URL": "redis://h"}, "; see "),
    ({"SSE_OWM": 1}, "did you mean SSE_OWN?"),
    ({"SSE_PRIVATE": "yes"}, "SSE_PRIVATE must be True or False, not 'yes'"),
    ({"SSE_TAKE_OVER": 1}, "SSE_TAKE_OVER must be True or False, not 1"),
    ({"SSE_RETRY_MS": "5"}, "SSE_RETRY_MS must be a whole number, not '5'"),
    (
        {"SSE_MAX_EVENT_BYTES": 4000, "SSE_MAX_LAG_BYTES": 3000},
        "SSE_MAX_EVENT_BYTES must be at most SSE_MAX_LAG_BYTES (3000)",
    ),
    ({"SSE_URL": "http://x"}, "SSE_URL: no broker for 'http://x'; write \"sqlite:///"),
    ({"SSE_URL": "redis://h?prefix="}, "SSE_URL: redis://h: prefix must have 1 to 64"),
    ({"SSE_PUBLISH_WAITS": "yes"}, "SSE_PUBLISH_WAITS must be True or False, not 'yes'"),
    ({"SSE_RETRY_MS": "log_bytes"}, "SSE_RETRY_MS must be a whole number, not 'log_bytes'"),
    (
        {"SSE_COMPRESSION": "zip"},
        "SSE_COMPRESSION must be None, 'blocks' or 'shared-window'",
    ),
    (
        {"SSE_CHANNELS": {"compression": {"compression": "zip"}}},
        "SSE_CHANNELS['compression']['compression'] must be None, 'blocks' or",
    ),
    (
        {"SSE_CHANNELS": {'it\'s "channels"*': {"compression": "zip"}}},
        """SSE_CHANNELS['it\\'s "channels"*']['compression'] must be None, 'blocks' or""",
    ),
    (
        {"SSE_CHANNELS": {"a*": {}, "*a": {}}},
        "SSE_CHANNELS['a*'] and SSE_CHANNELS['*a'] both match 'aa' and",
    ),
    ({"SSE_RETAINED_KEYS": 0}, "SSE_RETAINED_KEYS must be at least 1, not 0"),
    (
        {"SSE_FORGET_SECONDS": 60},
        (
            "SSE_FORGET_SECONDS must be at least SSE_HISTORY_SECONDS (86400.0), not 60: a channel"
            " is not forgotten before its events; write SSE_FORGET_SECONDS = 86400.0 or more, or"
            " SSE_HISTORY_SECONDS = 60 or less"
        ),
    ),
    (
        {"SSE_CHANNELS": {"job:*": {"forget_seconds": 60}}},
        (
            "SSE_CHANNELS['job:*']['forget_seconds'] must be at least SSE_HISTORY_SECONDS"
            " (86400.0), not 60: a channel is not forgotten before its events; write"
            " SSE_CHANNELS['job:*']['forget_seconds'] = 86400.0 or more, or"
            " SSE_CHANNELS['job:*']['history_seconds'] = 60 or less"
        ),
    ),
    (
        {"SSE_CHANNELS": {"history_seconds": {"history_seconds": "1h"}}},
        "SSE_CHANNELS['history_seconds']['history_seconds'] must be a number of seconds, not",
    ),
    (
        {"SSE_CHANNELS": {"a": {"history": 5}}},
        "SSE_CHANNELS['a']['history'] is no option; did you mean 'history_",
    ),
    (
        {"SSE_COMPRESSION": "shared-window", "SSE_PRIVATE": True},
        "SSE_COMPRESSION must not be 'shared-window' if SSE_PRIVATE is set",
    ),
    (
        {"SSE_CHANNELS": {"a": {"compression": "shared-window"}}, "SSE_PRIVATE": True},
        "SSE_CHANNELS['a']['compression'] must not be 'shared-window' if SSE_PRIVATE is set",
    ),
    ({"SSE_URL": 5}, "SSE_URL: a broker's URL must be str, not int; write"),
    ({"SSE_URL": b"redis://:secret@h"}, "SSE_URL: a broker's URL must be str, not bytes"),
    ({"A_URL": "amqp://u:secret@h"}, "A_URL: no broker for"),
    ({"A_URL": "amqp://u:secret@h"}, "SSE_URL takes precedence over it"),
]


@pytest.mark.parametrize(("config", "message"), MISTAKES)
def test_mistakes(config, message):
    """The error names the key, the rule, and what to write; it shows no password."""
    with pytest.raises(ConfigError) as caught:
        read_settings(config, folder=FOLDER, url_aliases=("A_URL",), own_keys=("SSE_OWN",))

    assert len(caught.value.problems) == 1
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


def test_plain_channels_need_a_redis():
    """Also where no URL is set."""
    with pytest.raises(ConfigError, match="SSE_URL: plain channels are Redis's"):
        read_settings({}, folder=FOLDER, plain_channels=PlainChannels("sse"))


def test_all_mistakes_at_once():
    """Those that the face has found are listed, too."""
    config = {
        "SSE_FOO": 1,
        "SSE_PRIVATE": "x",
        "SSE_URL": "x:",
        "SSE_RETRY_MS": -1,
        "SSE_LOG_EVENTS": 0,
    }

    with pytest.raises(ConfigError) as caught:
        read_settings(config, folder=FOLDER, problems=["SSE_OWN must be 1"])

    assert len(caught.value.problems) == 6
    assert "SSE_OWN must be 1" in caught.value.problems


def test_access():
    """It is made of the settings, and of what only the face knows."""
    config = {"SSE_COMPRESSION": "blocks", "SSE_PRIVATE": True}
    settings = read_settings(config, folder=FOLDER)

    access = access_of(
        settings, keys=("key",), has_authorizer=True, hook_sees_one_channel=True
    )

    assert access == Access(
        keys=("key",),
        private=True,
        has_authorizer=True,
        hook_sees_one_channel=True,
        channels=settings.hub.channel_patterns,
    )
    assert access.channels.options_of("a").compression == "blocks"


def test_access_that_contradicts_the_settings():
    """The error names keys, not fields."""
    settings = read_settings({"SSE_COMPRESSION": "shared-window"}, folder=FOLDER)

    with pytest.raises(ConfigError, match=r"^SSE_COMPRESSION must not be 'shared-window'"):
        access_of(settings, has_authorizer=True)


# (what is configured otherwise, what differs). Add a row, not a test.
DIFFERENCES = [
    ({}, []),
    ({"SSE_RETRY_MS": 6, "SSE_LOG_EVENTS": 2}, ["SSE_RETRY_MS", "SSE_LOG_EVENTS"]),
    ({"SSE_CHANNELS": {"a": {}}}, ["SSE_CHANNELS"]),
    ({"SSE_PRIVATE": True, "SSE_TAKE_OVER": False}, ["SSE_PRIVATE", "SSE_TAKE_OVER"]),
    (
        {"SSE_URL": "redis://:secret@h"},
        ["the URL of the channels (SSE_URL; from memory: to redis://…@h)"],
    ),
]


@pytest.mark.parametrize(("config", "names"), DIFFERENCES)
def test_differences(config, names):
    """Each is named by its key."""
    first = read_settings({"SSE_URL": "memory:"}, folder=FOLDER)
    second = read_settings({"SSE_URL": "memory:"} | config, folder=FOLDER)

    assert sorted(first.differences(second)) == sorted(names)
