"""The client's half of the format: WHATWG HTML section 9.2.6, to the letter."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph import Event, EventStreamParser, EventTooLargeError, InvalidFieldError


def message(data, id="", type="message"):
    return Event(data, type=type, id=id)


# (bytes on the wire, events they dispatch). Add a row, not a test.
STREAMS = [
    pytest.param(b"data: a\n\n", [message("a")], id="lf"),
    pytest.param(b"data: a\r\n\r\n", [message("a")], id="crlf-is-one-line-end"),
    pytest.param(b"data: a\r\r", [message("a")], id="cr"),
    pytest.param(b"data: a\r\n\rdata: b\n\r\n", [message("a"), message("b")], id="mixed"),
    pytest.param(b"data\n\n", [message("")], id="bare-name-is-empty-data"),
    pytest.param(b"data:\n\n", [message("")], id="empty-value"),
    pytest.param(b"data:  a\n\n", [message(" a")], id="strip-one-space-only"),
    pytest.param(b"data:a\n\n", [message("a")], id="no-space"),
    pytest.param(b"data: a\ndata: b\ndata:\n\n", [message("a\nb\n")], id="several-lines"),
    pytest.param(b"id: 1\n\n\n\n", [], id="no-data-no-event"),
    pytest.param(
        b"id: 1\n\ndata: a\n\n", [message("a", "1")], id="id-of-an-empty-block-is-kept"
    ),
    pytest.param(
        b"event: t\n\ndata: a\n\n", [message("a")], id="type-of-an-empty-block-is-not"
    ),
    pytest.param(
        b"id: 1\ndata: a\n\ndata: b\n\n",
        [message("a", "1"), message("b", "1")],
        id="id-stays",
    ),
    pytest.param(
        b"id: 1\ndata: a\n\nid\ndata: b\n\n",
        [message("a", "1"), message("b")],
        id="id-reset",
    ),
    pytest.param(b"id: a\0b\ndata: a\n\n", [message("a")], id="id-with-nul-ignored"),
    pytest.param(
        b"event: t\ndata: a\n\ndata: b\n\n",
        [message("a", type="t"), message("b")],
        id="type-is-for-one",
    ),
    pytest.param(
        b"event: t\nevent: u\ndata: a\n\n", [message("a", type="u")], id="last-type-wins"
    ),
    pytest.param(b": comment\ndata: a\n:\n\n", [message("a")], id="comments"),
    pytest.param(
        b"Data: a\n data: b\nfoo: c\ndata: d\n\n", [message("d")], id="unknown-fields"
    ),
    pytest.param(b"data: a\n", [], id="eof-before-blank-line"),
    pytest.param(b"data: a\n\ndata: b", [message("a")], id="eof-inside-a-line"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", [message("a")], id="byte-order-mark"),
    pytest.param(
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n",
        [message("b")],
        id="one-byte-order-mark-only",
    ),
    pytest.param(
        b"\xef\xbbdata: a\n\ndata: b\n\n", [message("b")], id="half-a-byte-order-mark"
    ),
    pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [message("a")], id="no-mark-later"),
    pytest.param(b"data: \xff\xe2\x82\n\n", [message("\ufffd\ufffd")], id="invalid-utf8"),
    pytest.param(
        "data: \u2028\x0b\x85\n\n".encode(), [message("\u2028\x0b\x85")], id="no-line-ends"
    ),
    pytest.param(b"data: a:b: c\n\n", [message("a:b: c")], id="first-colon-only"),
    pytest.param(b":data: a\n\n", [], id="comment-that-looks-like-data"),
]


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 1 << 16])
@pytest.mark.parametrize(("wire", "expected"), STREAMS)
def test_stream(wire, expected, chunk_size):
    """A stream yields the same events however the network cuts it."""
    parser = EventStreamParser()
    chunks = (wire[i : i + chunk_size] for i in range(0, len(wire), chunk_size))

    assert [event for chunk in chunks for event in parser.feed(chunk)] == expected


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"\r\n\r\n"])
def test_event_comes_at_the_very_byte(end):
    """The byte that completes an event yields it, not the next one."""
    parser = EventStreamParser()
    # The LF of the last CRLF completes nothing: its CR has.
    completing = 1 if end == b"\r\n\r\n" else 0
    wire = b"data: a" + end

    events = [parser.feed(wire[i : i + 1]) for i in range(len(wire))]

    assert [bool(found) for found in events].index(True) == len(wire) - 1 - completing


RETRIES = [
    (b"retry: 10", 10),
    (b"retry:010", 10),
    (b"retry: 1.5", None),
    (b"retry: -1", None),
    (b"retry", None),
    (b"retry: " + "٣".encode(), None),
    (b"retry: " + b"0" * 10_000 + b"7", 7),
    (b"retry: " + b"9" * 100_000, 2**63 - 1),
]


@pytest.mark.parametrize(("line", "expected"), RETRIES)
def test_retry(line, expected):
    """Only ASCII digits set the time: at the end of their line, however many there are."""
    parser = EventStreamParser()

    parser.feed(line + b"\n")

    assert parser.reconnection_time_ms == expected


def test_last_event_id():
    """An id takes effect at the end of its block, and survives a reconnect."""
    parser = EventStreamParser(last_event_id="0")

    assert parser.feed(b"data: a\n\n") == [message("a", "0")]
    parser.feed(b"id: 1\n")
    assert parser.last_event_id == "0"
    parser.feed(b"\n")
    assert parser.last_event_id == "1"


@pytest.mark.parametrize(
    "wire",
    [
        b"data: " + b"x" * 100,
        b":" + b"x" * 100,
        b"data: 1234567890\n" * 12,
        b"data\n" * 101,
    ],
)
@pytest.mark.parametrize("chunk_size", [1, 7, 1 << 16])
def test_too_large(wire, chunk_size):
    """Neither a line nor an event grows without bound, and the error stays."""
    parser = EventStreamParser(max_event_bytes=99)
    chunks = [wire[i : i + chunk_size] for i in range(0, len(wire), chunk_size)]

    with pytest.raises(
        EventTooLargeError, match=r"EventStreamParser\(max_event_bytes"
    ) as caught:
        for chunk in chunks:
            parser.feed(chunk)
    assert caught.value.size_bytes > caught.value.limit_bytes == 99
    with pytest.raises(EventTooLargeError):
        parser.feed(b"")


def test_events_before_the_error_are_not_lost():
    """Events that the chunk completed are returned, and the next call raises."""
    parser = EventStreamParser(max_event_bytes=20)

    assert parser.feed(b"data: a\n\ndata: " + b"x" * 100) == [message("a")]
    with pytest.raises(EventTooLargeError):
        parser.feed(b"x")


def test_largest_event():
    """An event of exactly the largest size is accepted."""
    parser = EventStreamParser(max_event_bytes=100)

    (event,) = parser.feed(b"data:" + b"x" * 95 + b"\n\n")

    assert len(event.data) == 95


def test_last_event_id_is_checked():
    """An id that no stream can send is refused at once."""
    with pytest.raises(InvalidFieldError, match="id"):
        EventStreamParser(last_event_id="a\0")


def test_limit_is_checked():
    """A limit that admits no byte is refused."""
    with pytest.raises(InvalidFieldError, match="max_event_bytes"):
        EventStreamParser(max_event_bytes=0)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("piece", "times"),
    [(b"x", 500_000), (b"data\n", 100_000), (b"data:x\r", 100_000), (b"\n", 500_000)],
)
def test_linear_time(piece, times):
    """Half a million small pieces take linear time: quadratic time would end in a timeout."""
    parser = EventStreamParser(max_event_bytes=1 << 30)

    for _ in range(times):
        parser.feed(piece)

    assert len(parser.feed(b"\n\n")) == (piece.startswith(b"data"))


wires = st.lists(
    st.sampled_from(
        [
            b"data",
            b"id",
            b"event",
            b"retry",
            b":",
            b" ",
            b"\r",
            b"\n",
            b"\r\n",
            b"\n\n",
            b"x",
            b"1",
            b"\0",
            b"\xff",
            b"\xef\xbb\xbf",
            "é".encode(),
        ]
    )
    | st.binary(max_size=3),
    max_size=60,
).map(b"".join)


@given(wires, st.data())
def test_any_chunking_gives_the_same(wire, data):
    """Chunking changes neither the events nor the id and the time that are kept."""
    whole, cut = EventStreamParser(), EventStreamParser()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))

    expected = whole.feed(wire)
    edges = [0, *cuts, len(wire)]
    got = [e for a, b in pairwise(edges) for e in cut.feed(wire[a:b])]

    assert got == expected
    assert cut.last_event_id == whole.last_event_id
    assert cut.reconnection_time_ms == whole.reconnection_time_ms
