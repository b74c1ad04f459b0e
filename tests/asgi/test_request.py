"""The scope of a request as the values on which its stream depends."""

import pytest

from heliograph.asgi.request import stream_request

SCOPE = {
    "type": "http",
    "method": "GET",
    "query_string": b"channel=a",
    "headers": [],
    "heliograph.arrived": 5,
}


ID = b"last-event-id"


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({}, "method", "GET"),
        ({}, "query_string", b"channel=a"),
        ({}, "headers", {}),
        ({"headers": [(ID, b"1"), (b"other", b"2")]}, "headers", {"last-event-id": "1"}),
        ({"headers": [(ID, b"1"), (ID, b"2")]}, "headers", {"last-event-id": "1"}),
        (
            {"headers": [(b"accept-encoding", b"gzip"), (b"accept-encoding", b"*;q=0")]},
            "headers",
            {"accept-encoding": "gzip, *;q=0"},
        ),
        (
            {"headers": [(b"accept", b"text/plain"), (b"accept", b"text/event-stream")]},
            "headers",
            {"accept": "text/plain, text/event-stream"},
        ),
        ({"headers": ((ID, b"\xc3\xa9"),)}, "headers", {"last-event-id": "\xc3\xa9"}),
        ({"headers": iter([(ID, memoryview(b"1"))])}, "headers", {"last-event-id": "1"}),
        ({}, "address", None),
        ({"client": None}, "address", None),
        ({"client": ("192.0.2.1", 5)}, "address", "192.0.2.1"),
        ({"client": ["2001:db8::1", 5]}, "address", "2001:db8::1"),
        ({}, "arrived_at", 5),
    ],
)
def test_values(changes, field, value):
    """Each is there in the form that all faces share; of a header the first one counts, of a list all."""
    assert getattr(stream_request(SCOPE | changes), field) == value


def test_a_query_of_another_type():
    """As of headers, a server may hand over what is like bytes, and cannot be a key."""
    request = stream_request(SCOPE | {"query_string": bytearray(b"channel=b")})

    assert request.query().channels == ("b",)
