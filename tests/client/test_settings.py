"""Arguments of an event source are checked when it is built, not when it connects."""

import pytest

from heliograph import ConfigError, InvalidFieldError
from heliograph.client import AsyncEventSource, EventSource

URL = "https://app.example/stream"

# (arguments, what the error says). Add a row, not a test.
MISTAKES = [
    ({"url": "app.example/stream"}, "url must begin with http:// or https://"),
    ({"url": "ws://app.example/"}, "url must begin with http:// or https://"),
    ({"url": "https://"}, "url must begin with http:// or https:// and a host"),
    ({"url": "https://app.example:99999999/"}, "url must be an address"),
    ({"url": 5}, "url must be an address"),
    ({"method": "FETCH"}, "method must be one of DELETE, GET"),
    ({"method": None}, "method must be one of DELETE, GET"),
    ({"json": {1, 2}, "method": "POST"}, "json must be a value that JSON can encode"),
    ({"timeout": float("inf")}, "None for any time, not inf"),
    ({"headers": [("X-Room", "5")]}, "headers must be a mapping"),
    ({"json": {}}, 'set method="POST"'),
    ({"timeout": 0}, "timeout must be at least 0.001, not 0"),
    ({"timeout": "60"}, 'timeout must be "heartbeats", seconds or None'),
    ({"reconnect": 3}, "reconnect must be True, False, None or a Reconnect, not 3"),
    ({"headers": {"last-event-ID": "5"}}, "pass last_event_id"),
    ({"headers": {"X-Room": 5}}, "headers: X-Room must be a str, not int"),
    (
        {"headers": {"X-Room": "5\r\nX: y"}},
        "headers: 'X-Room' must be a token, and its value must not",
    ),
    ({"headers": {"X Room": "5"}}, "headers: 'X Room' must be a token"),
    ({"client": 5}, "Client, not builtins.int"),
    ({"max_event_bytes": 0}, "max_event_bytes must be at least 1, not 0"),
]


@pytest.mark.parametrize("face", [EventSource, AsyncEventSource])
@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes(face, arguments, message):
    """The error names the argument, its value, and what to write."""
    arguments = {"url": URL} | arguments

    with pytest.raises(ConfigError) as caught:
        face(arguments.pop("url"), **arguments)

    assert message in str(caught.value)


def test_all_mistakes_are_told_at_once():
    """One error has them all."""
    with pytest.raises(ConfigError) as caught:
        EventSource(URL, method="FETCH", timeout=-1, max_event_bytes=0)

    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("face", [EventSource, AsyncEventSource])
def test_an_id_that_no_stream_can_send(face):
    """It is refused, because it would forge a header."""
    with pytest.raises(InvalidFieldError, match="id"):
        face(URL, last_event_id="5\r\nX: y")


def test_the_password_of_an_address_is_not_shown():
    """An error may be logged."""
    with pytest.raises(ConfigError) as caught:
        EventSource("ftp://user:secret@app.example/")

    assert "secret" not in str(caught.value)


def test_parameters_are_added():
    """Those of the address stay."""
    source = EventSource(f"{URL}?channel=a", params=[("channel", "b c"), ("theme", "é")])

    assert source.url == f"{URL}?channel=a&channel=b+c&theme=%C3%A9"
