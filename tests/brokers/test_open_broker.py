"""URLs name brokers; a wrong one says what to write."""

import pytest

from heliograph import ConfigError
from heliograph.brokers import open_broker
from heliograph.brokers.memory import MemoryBroker
from heliograph.brokers.sqlite import SqliteBroker


def test_memory():
    """``memory:`` is this process only."""
    assert isinstance(open_broker("memory:"), MemoryBroker)


def test_sqlite(tmp_path, monkeypatch):
    """Three slashes before a path, as others write it."""
    monkeypatch.chdir(tmp_path)

    assert isinstance(open_broker(f"sqlite:///{tmp_path}/x"), SqliteBroker)
    assert open_broker("sqlite:///x")._path == tmp_path / "x"


# (URL, path, mode). Add a row, not a test.
OPTIONS = [
    ("sqlite:////x", "/x", 0o600),
    ("sqlite:////x?", "/x", 0o600),
    ("sqlite:////x?mode=0600", "/x", 0o600),
    ("sqlite:////x?mode=0660", "/x", 0o660),
    ("sqlite:////x?mode=640", "/x", 0o640),
    ("sqlite:////what?/x", "/what?/x", 0o600),
    ("sqlite:////what?/x?mode=0664", "/what?/x", 0o664),
]


@pytest.mark.parametrize(("url", "path", "mode"), OPTIONS)
def test_options_of_sqlite(url, path, mode):
    """The rights of the file are part of the URL."""
    broker = open_broker(url)

    assert (str(broker._path), broker._mode) == (path, mode)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:////x?mod=0660", "'mod' is none; did you mean mode"),
        ("sqlite:////x?timeout=3", "'timeout' is none; did you mean mode"),
        ("sqlite:////x?mode=0660&mode=0600", "stands there twice"),
        ("sqlite:////x?mode=0666", "0660 .the members"),
        ("sqlite:////x?mode=0777", "not '0777'"),
        ("sqlite:////x?mode=", "not ''"),
        ("sqlite:////x?mode", "not ''"),
        ("sqlite:////x?mode=rw", "not 'rw'"),
        ("sqlite:////x?&", "'&' is no option"),
        ("sqlite:///?mode=0660", "names no file"),
        ("sqlite:///x/?mode=0660", "names no file"),
    ],
)
def test_bad_options_of_sqlite(url, words):
    """What is none is refused, with what to write."""
    with pytest.raises(ConfigError, match=words):
        open_broker(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "memory:x",
        "sqlite:",
        "sqlite:x",
        "sqlite://x",
        "sqlite:///",
        "sqlite:///dir/",
        "sqlite:///a\0b",
        "http://x",
        "http://[",
        None,
        5,
    ],
)
def test_bad_url(url):
    """The message names the URL and what may be written."""
    with pytest.raises(ConfigError) as caught:
        open_broker(url)

    assert "sqlite:///" in str(caught.value)


def test_passwords_are_not_shown():
    """A URL that is refused does not carry its secret into a log."""
    with pytest.raises(ConfigError) as caught:
        open_broker("amqp://user:secret@host/0")

    assert "secret" not in str(caught.value)
    assert "host" in str(caught.value)
