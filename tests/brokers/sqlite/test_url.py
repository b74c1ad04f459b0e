"""The URL of an SQLite file names its path and its mode; a wrong one says what to write."""

import pytest

from heliograph import ConfigError
from heliograph.brokers import Retention
from heliograph.brokers.sqlite import SqliteBroker
from heliograph.brokers.sqlite.url import from_url, parse_url

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
def test_options(url, path, mode):
    """The rights of the file are part of the URL."""
    assert parse_url(url) == (path, mode)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:////x?mod=0660", "'mod' does not exist; the only option is mode"),
        ("sqlite:////x?timeout=3", "'timeout' does not exist; the only option is mode"),
        ("sqlite:////x?password=secret", "^'sqlite:////x': the option 'password' does"),
        ("sqlite://:secret@h/x", "^'sqlite://…@h/x' names no file"),
        ("sqlite:////x?mode=0660&mode=0600", "may be given once"),
        ("sqlite:////x?mode=0666", "0660 .also the members"),
        ("sqlite:////x?mode=0777", "not '0777'"),
        ("sqlite:////x?mode=", "not ''"),
        ("sqlite:////x?mode", "not ''"),
        ("sqlite:////x?mode=rw", "not 'rw'"),
        ("sqlite:////x?&", "'&' is no option"),
        ("sqlite:///?mode=0660", "names no file"),
        ("sqlite:///x/?mode=0660", "names no file"),
        ("sqlite:", "names no file; write .sqlite:///"),
        ("sqlite:x", "names no file"),
        ("sqlite://x", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///dir/", "names no file"),
        ("sqlite:///a\0b", "names no file"),
    ],
)
def test_bad_urls(url, words):
    """Each is refused, with what to write."""
    with pytest.raises(ConfigError, match=words) as caught:
        parse_url(url)

    assert "secret" not in str(caught.value)


def test_a_relative_path(tmp_path, monkeypatch):
    """It begins in the folder in which the process was when it made the broker."""
    monkeypatch.chdir(tmp_path)

    broker = from_url("sqlite:///x?mode=0660", Retention(events=1, seconds=1.0))

    assert isinstance(broker, SqliteBroker)
    assert (broker._path, broker._mode) == (tmp_path / "x", 0o660)
