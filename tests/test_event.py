"""Events refuse what the format cannot carry, and nothing else."""

import enum
import json

import pytest

from heliograph import Event, InvalidFieldError, encode
from heliograph.event import MAX_RETRY_MS, make_event

REFUSED = [
    pytest.param({"data": None}, "data", id="data-none"),
    pytest.param({"data": b"x"}, "data", id="data-bytes"),
    pytest.param({"data": {"a": 1}}, "data", id="data-dict"),
    pytest.param({"data": "\ud800"}, "data", id="data-lone-surrogate"),
    pytest.param({"data": "", "type": "a\nb"}, "type", id="type-lf"),
    pytest.param({"data": "", "type": "a\rb"}, "type", id="type-cr"),
    pytest.param({"data": "", "type": 1}, "type", id="type-int"),
    pytest.param({"data": "", "type": "x\udfff"}, "type", id="type-lone-surrogate"),
    pytest.param({"data": "", "id": "a\nb"}, "id", id="id-lf"),
    pytest.param({"data": "", "id": "a\rdata: evil"}, "id", id="id-cr-injection"),
    pytest.param({"data": "", "id": "a\0b"}, "id", id="id-nul"),
    pytest.param({"data": "", "id": 5}, "id", id="id-int"),
    pytest.param({"data": "", "id": "\udc80"}, "id", id="id-lone-surrogate"),
    pytest.param({"data": "", "retry_ms": -1}, "retry_ms", id="retry-negative"),
    pytest.param({"data": "", "retry_ms": True}, "retry_ms", id="retry-bool"),
    pytest.param({"data": "", "retry_ms": 1.0}, "retry_ms", id="retry-float"),
    pytest.param({"data": "", "retry_ms": "1"}, "retry_ms", id="retry-str"),
    pytest.param(
        {"data": "", "retry_ms": MAX_RETRY_MS + 1}, "retry_ms", id="retry-64-bits"
    ),
    pytest.param({"data": "", "retry_ms": 10**5000}, "retry_ms", id="retry-unprintable"),
]


@pytest.mark.parametrize(("fields", "field"), REFUSED)
def test_refused(fields, field):
    """A value that cannot be sent is refused: its field, the rule, and the whole value."""
    with pytest.raises(InvalidFieldError) as caught:
        Event(**fields)

    assert caught.value.field == field
    assert caught.value.reason.startswith("must ")
    assert str(caught.value).startswith(f"invalid {field} ")
    if fields[field] != 10**5000:
        assert caught.value.value is fields[field]


ACCEPTED = [
    pytest.param({"data": ""}, id="empty-data"),
    pytest.param({"data": "a\r\nb\rc\nd"}, id="line-ends-in-data"),
    pytest.param({"data": "\0"}, id="nul-in-data"),
    pytest.param({"data": "x", "id": ""}, id="empty-id-resets"),
    pytest.param({"data": "x", "type": ""}, id="empty-type"),
    pytest.param({"data": "x", "type": "a:b\u2028\x0b\x85"}, id="odd-type"),
    pytest.param({"data": "x", "retry_ms": 0}, id="retry-zero"),
    pytest.param({"data": "x", "retry_ms": MAX_RETRY_MS}, id="retry-largest"),
    pytest.param({"data": "\U0001f310é"}, id="astral"),
]


@pytest.mark.parametrize("fields", ACCEPTED)
def test_accepted(fields):
    """A value that the format can carry is kept unchanged."""
    event = Event(**fields)

    for name, value in fields.items():
        assert getattr(event, name) == value


def test_frozen_and_hashable():
    """An event is a value."""
    event = Event("a", type="t")

    with pytest.raises(AttributeError):
        event.data = "b"
    assert {event, Event("a", type="t")} == {event}


class Kind(str, enum.Enum):  # noqa: UP042 - formats itself as another text than StrEnum
    HELLO = "hello"


class Soon(enum.IntEnum):
    SECOND = 1000


def test_enumerations():
    """A member is sent as its value, whatever text it formats itself as."""
    event = Event(Kind.HELLO, type=Kind.HELLO, id=Kind.HELLO, retry_ms=Soon.SECOND)

    assert encode(event) == b"id: hello\nevent: hello\nretry: 1000\ndata: hello\n\n"
    assert {type(event.data), type(event.type), type(event.id)} == {str}
    assert type(event.retry_ms) is int


def test_message_of_a_huge_value_is_short():
    """A value of megabytes does not flood a log."""
    with pytest.raises(InvalidFieldError) as caught:
        Event("x", id="a\n" * 1_000_000)

    assert len(str(caught.value)) < 300
    assert "2000000 long" in str(caught.value)


# (arguments of publish, the event)
MADE = [
    pytest.param(("a", None, None, None), Event("a"), id="text-as-it-is"),
    pytest.param(({"a": 1}, "t", "x", 5), Event('{"a": 1}', type="t", id="x", retry_ms=5), id="json"),
    pytest.param((None, None, None, None), Event("null"), id="none-is-json"),
    pytest.param(("", None, 0, 0), Event("", id="0", retry_ms=0), id="int-id"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "event"), MADE)
def test_make_event(arguments, event):
    """Text is sent unchanged, other data as JSON; an int is an id."""
    assert make_event(json.dumps, *arguments) == event


ring = []
ring.append(ring)

NOT_MADE = [
    pytest.param((b"x", None, None, None), "data", id="bytes"),
    pytest.param((ring, None, None, None), "data", id="circular"),
    pytest.param((object(), None, None, None), "data", id="not-json"),
    pytest.param(("x", None, True, None), "id", id="bool-id"),
    pytest.param(("x", None, 1.5, None), "id", id="float-id"),
    pytest.param(("x", 5, None, None), "type", id="int-type"),
    pytest.param(("x", None, None, -1), "retry", id="retry-negative"),
    pytest.param(("x", None, None, "1"), "retry", id="retry-str"),
]


@pytest.mark.parametrize(("arguments", "field"), NOT_MADE)
def test_make_event_refuses(arguments, field):
    """The name in the error is that of publish's parameter."""
    with pytest.raises(InvalidFieldError, match=f"^invalid {field} .*: must be") as caught:
        make_event(json.dumps, *arguments)

    assert caught.value.field == field
