"""Blocks as WHATWG HTML section 9.2.5 defines them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph import Event, EventStreamParser, InvalidFieldError, encode, encode_comment
from heliograph.wire.encoder import body_fits, encode_body

BLOCKS = [
    pytest.param(Event("a"), b"data: a\n\n", id="plain"),
    pytest.param(Event(""), b"data: \n\n", id="empty-data-is-dispatched"),
    pytest.param(Event(" a"), b"data:  a\n\n", id="leading-space"),
    pytest.param(Event("a\n"), b"data: a\ndata: \n\n", id="trailing-newline"),
    pytest.param(
        Event("a\r\nb\rc\nd"), b"data: a\ndata: b\ndata: c\ndata: d\n\n", id="line-ends"
    ),
    pytest.param(
        Event("a\u2028b\x0bc\x85d"),
        "data: a\u2028b\x0bc\x85d\n\n".encode(),
        id="no-line-ends",
    ),
    pytest.param(
        Event("a", type="t", id="1", retry_ms=5),
        b"id: 1\nevent: t\nretry: 5\ndata: a\n\n",
        id="all-fields",
    ),
    pytest.param(Event("a", id=""), b"id: \ndata: a\n\n", id="id-reset"),
]


@pytest.mark.parametrize(("event", "block"), BLOCKS)
def test_block(event, block):
    """An event has one encoding."""
    assert encode(event) == block


COMMENTS = [
    pytest.param("", b":\n", id="empty"),
    pytest.param("hi", b": hi\n", id="text"),
    pytest.param("a\r\nb\rc\n", b": a\n: b\n: c\n:\n", id="every-line-is-a-comment"),
]


@pytest.mark.parametrize(("text", "block"), COMMENTS)
def test_comment(text, block):
    """No line of a comment can be taken for a field."""
    assert encode_comment(text) == block
    assert EventStreamParser().feed(block) == []


@pytest.mark.parametrize("text", [None, b"x", "\ud800"])
def test_comment_refused(text):
    """What is not text, or not encodable, is refused by name."""
    with pytest.raises(InvalidFieldError, match=r"^invalid comment .*: must ") as caught:
        encode_comment(text)

    assert caught.value.value is text


text = st.text(st.characters(exclude_categories=["Cs"]))
line = text.filter(lambda value: "\r" not in value and "\n" not in value)


@given(
    data=text,
    type_=st.none() | line,
    id_=st.none() | line.filter(lambda value: "\0" not in value),
    retry_ms=st.none() | st.integers(0, 2**63 - 1),
)
def test_round_trip(data, type_, id_, retry_ms):
    """Every event survives, except that line ends in data become LF."""
    parser = EventStreamParser()

    (event,) = parser.feed(encode(Event(data, type=type_, id=id_, retry_ms=retry_ms)))

    assert event.data == data.replace("\r\n", "\n").replace("\r", "\n")
    assert event.type == (type_ or "message")
    assert event.id == (id_ or "")
    assert parser.reconnection_time_ms == retry_ms


@given(text)
def test_comment_never_dispatches(value):
    """No text makes a comment an event or an id."""
    parser = EventStreamParser()

    assert parser.feed(encode_comment(value)) == []
    assert parser.last_event_id == ""


@given(
    data=text,
    type_=st.none() | line,
    retry_ms=st.none() | st.integers(0, 2**63 - 1),
    more=st.integers(-3, 3) | st.integers(-200, 200),
)
def test_body_fits(data, type_, retry_ms, more):
    """Exactly at the limit, whether or not the body has to be encoded to find out."""
    event = Event(data, type=type_, retry_ms=retry_ms)
    size = len(encode_body(event))

    assert body_fits(event, max(0, size + more)) is (more >= 0)
