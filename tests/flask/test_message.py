"""``Message`` is Flask-SSE's, without what tears streams apart there."""

import pytest

from flask import Flask
from heliograph import InvalidFieldError
from heliograph.flask import Message


def test_attributes():
    """Fields are kept as given."""
    message = Message("foo", type="example", id=5, retry=500)

    assert (message.data, message.type, message.id, message.retry) == (
        "foo",
        "example",
        5,
        500,
    )


def test_data_is_needed():
    """There is no message without data."""
    with pytest.raises(TypeError):
        Message()


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (Message("foo"), {"data": "foo"}),
        (
            Message("foo", type="t", id="1", retry=5),
            {"data": "foo", "type": "t", "id": "1", "retry": 5},
        ),
        (Message(None, id=0, retry=0), {"data": None, "id": 0, "retry": 0}),
    ],
)
def test_to_dict(message, fields):
    """What is set, in Flask-SSE's order."""
    assert list(message.to_dict().items()) == list(fields.items())


TEXTS = [
    (Message("foo"), "data: foo\n\n"),
    (
        Message("a\nb", type="t", id=5, retry=3),
        "id: 5\nevent: t\nretry: 3\ndata: a\ndata: b\n\n",
    ),
    (Message({"b": 1}), 'data: {"b": 1}\n\n'),
    (Message(None), "data: null\n\n"),
    (Message(""), "data: \n\n"),
    (Message("u\u2028v\x85"), "data: u\u2028v\x85\n\n"),
    (Message(" lead"), "data:  lead\n\n"),
    (Message("tail\n"), "data: tail\ndata: \n\n"),
]


@pytest.mark.parametrize(("message", "text"), TEXTS)
def test_str(message, text):
    """The message as a stream carries it."""
    assert str(message) == text


@pytest.mark.parametrize(
    "message",
    [
        Message("x", type="a\ndata:evil"),
        Message("x", id="q\nretry:1"),
        Message("x", retry="5"),
        Message(b"x"),
        Message(object()),
    ],
)
def test_what_cannot_be_sent(message):
    """Flask-SSE sent these, and so broke the stream."""
    with pytest.raises(InvalidFieldError):
        str(message)


def test_json_is_the_applications(app):
    """Within an application its provider says what JSON is."""
    with app.app_context():
        assert str(Message({"b": 1, "a": 2})) == 'data: {"a": 2, "b": 1}\n\n'


@pytest.fixture
def app():
    return Flask(__name__)


def test_repr_and_equality():
    """As in Flask-SSE."""
    message = Message("foo", type="example", id=5, retry=500)

    assert repr(message) == "Message('foo', type='example', id=5, retry=500)"
    assert message == Message("foo", type="example", id=5, retry=500)
    assert message != Message("foo")
    assert message != "foo"
    with pytest.raises(TypeError):
        hash(message)
