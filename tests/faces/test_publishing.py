"""What a developer publishes, as an event and channels."""

import json

import pytest

from heliograph import Event, InvalidFieldError
from heliograph.faces import dumps_json, event_for

loop = []
loop.append(loop)


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        ("text", "text"),
        ("", ""),
        (None, "null"),
        (5, "5"),
        (1.5, "1.5"),
        ([1, "é"], '[1, "\\u00e9"]'),
        ({"b": 1, "a": 2}, '{"b": 1, "a": 2}'),
    ],
)
def test_data(data, sent):
    """A str as it is, anything else as JSON."""
    event = event_for("a", data, type=None, id=None, retry=None, dumps=dumps_json)[1]
    assert event.data == sent


@pytest.mark.parametrize(
    "data",
    [object(), b"x", {1, 2}, float("nan"), {"a": float("inf")}, [-float("inf")], loop, {(1, 2): 3}],
)  # fmt: skip
def test_data_that_is_no_json(data):
    """The error names the field; what JSON.parse would refuse is not sent."""
    with pytest.raises(InvalidFieldError) as caught:
        event_for("a", data, type=None, id=None, retry=None, dumps=dumps_json)

    assert caught.value.field == "data"


@pytest.mark.parametrize(
    "fields",
    [{"type": "a\nb"}, {"id": "a\nb"}, {"id": 1.5}, {"id": True}, {"retry": -1}, {"retry": "5"}, {"channel": ""}, {"channel": "a\n"},
     {"channel": []}, {"channel": [f"c{n}" for n in range(65)]}, {"channel": 5}, {"channel": ["a", 5]}],
)  # fmt: skip
def test_bad_fields(fields):
    """Each is refused by the name that it has for the developer."""
    given = {"channel": "a", "type": None, "id": None, "retry": None} | fields

    with pytest.raises(InvalidFieldError) as caught:
        event_for(given.pop("channel"), "x", **given, dumps=dumps_json)

    assert [caught.value.field] == [*fields]


def test_all_fields():
    """Channels are sorted, each once; the application's encoder is used."""
    channels, event = event_for(
        ["b", "a", "b"],
        {"x": "y"},
        type="t",
        id=5,
        retry=7,
        dumps=lambda data: json.dumps(data).upper(),
    )

    assert channels == ("a", "b")
    assert event == Event('{"X": "Y"}', type="t", id="5", retry_ms=7)
