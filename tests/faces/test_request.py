"""What a client asks for, from the query and the headers of its request."""

import pytest

from heliograph import InvalidFieldError
from heliograph.faces.request import MAX_QUERY_FIELDS, StreamRequest, _remembered


def query_of(query_string="", **headers):
    request = StreamRequest(
        method="GET",
        query_string=query_string.encode("latin-1"),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        address=None,
        arrived_at=0,
    )
    return request.query()


CHANNELS = [
    ("", ["sse"]),
    ("channel", ["sse"]),
    ("channel=", ["sse"]),
    ("other=a", ["sse"]),
    ("_=1&datastar=%7B%7D&csrf_token=x&channel=a&channel_id=b", ["a"]),
    ("channel=a", ["a"]),
    ("channel=b&channel=a&channel=b", ["a", "b"]),
    ("channel=a,b", ["a,b"]),
    ("channel=a;channel=b", ["a;channel=b"]),
    ("channel=a%26channel%3Db", ["a&channel=b"]),
    ("channel=x+y&channel=%C3%A9", ["x y", "é"]),
    ("channel=\xc3\xa9", ["é"]),
    ("&&channel=a&", ["a"]),
    ("&".join(f"channel=c{n:02}" for n in range(64)), [f"c{n:02}" for n in range(64)]),
    ("&".join(["channel=a"] * MAX_QUERY_FIELDS), ["a"]),
]


@pytest.mark.parametrize(("query", "channels"), CHANNELS)
def test_channels(query, channels):
    """One field is one channel, whatever it contains."""
    assert query_of(query).channels == tuple(channels)


BAD_QUERIES = [
    ("channel=a%00", {}, "control characters"),
    ("channel=a%0Ab", {}, "control characters"),
    ("channel=%1B", {}, "control characters"),
    ("channel=%FF", {}, "lone surrogates"),
    ("channel=a%C3", {}, "lone surrogates"),
    ("channel=\xff", {}, "lone surrogates"),
    ("channel=%ED%A0%80", {}, "lone surrogates"),
    ("channel=a&channel=", {}, "empty"),
    ("&".join(f"channel=c{n}" for n in range(65)), {}, "1 to 64 channels"),
    ("channel=" + "x" * 5_000_000, {}, "at most 255 bytes"),
    ("lastEventId=" + "x" * 8191, {}, "at most 8190 characters"),
    ("", {"last_event_id": "x" * 8191}, "at most 8190 characters"),
    ("&".join(["channel=a"] * (MAX_QUERY_FIELDS + 1)), {}, "at most 1000 fields"),
    ("&" * MAX_QUERY_FIELDS, {}, "at most 1000 fields"),
    ("&".join(f"{n}" for n in range(100_000)), {}, "at most 1000 fields"),
    ("theme=dark&chanel=a", {}, "'chanel': must be spelled channel"),
    ("channel=a&last%5Fevent_id=1-1", {}, "'last_event_id': must be spelled lastEventId"),
]


@pytest.mark.parametrize(("query", "headers", "words"), BAD_QUERIES)
def test_bad_queries(query, headers, words):
    """The error names the rule, and does not repeat the client's megabytes."""
    with pytest.raises(InvalidFieldError, match=words) as caught:
        query_of(query, **headers)

    assert len(str(caught.value)) < 300


LAST_EVENT_IDS = [
    ("", {}, None),
    ("lastEventId=", {}, None),
    ("lastEventId=q", {}, "q"),
    ("lastEventId=q&lastEventId=r", {}, "q"),
    ("", {"last_event_id": "h"}, "h"),
    # A browser that reconnects has both, and the header is newer.
    ("lastEventId=q", {"last_event_id": "h"}, "h"),
    ("lastEventId=q", {"last_event_id": ""}, "q"),
    ("", {"last_event_id": "größe".encode().decode("latin-1")}, "größe"),
    ("lastEventId=gr%C3%B6%C3%9Fe", {}, "größe"),
    ("", {"last_event_id": "\xff\xfe"}, "\ufffd\ufffd"),
    ("lastEventId=%FF%FE", {}, "\ufffd\ufffd"),
    ("lastEventId=" + "x" * 8190, {}, "x" * 8190),
]


@pytest.mark.parametrize(("query", "headers", "expected"), LAST_EVENT_IDS)
def test_last_event_id(query, headers, expected):
    """From the header, else from the query, and decoded as UTF-8."""
    assert query_of(query, **headers).last_event_id == expected


@pytest.mark.parametrize(
    ("query", "token"),
    [("", None), ("token", ""), ("token=", ""), ("token=a&token=b", "a"), ("token=%FF", "\udcff")],
)  # fmt: skip
def test_token(query, token):
    """The first one counts, as it was sent; an empty one is a token, too."""
    assert query_of(query).token == token


@pytest.mark.parametrize(
    ("query", "is_remembered"),
    [
        ("", True),
        ("channel=a&channel=b%20c&start=now", True),
        ("channel=a&token=x", False),
        ("channel=a&to%6Ben=x", False),
        ("channel=a&last%45ventId=x", False),
        ("channel=a&api_key=x", False),
        ("channel=" + "&channel=".join(f"{n}" * 9 for n in range(30)), False),
    ],
)
def test_nothing_of_one_client_is_remembered(query, is_remembered):
    """What was computed is kept of queries that many send, and of no others."""
    _remembered.cache_clear()

    first, second = query_of(query), query_of(query)

    assert first == second
    assert _remembered.cache_info().hits == is_remembered
    assert _remembered.cache_info().currsize == is_remembered
