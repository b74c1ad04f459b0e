"""What a channel may be called, and what a stream may ask for."""

import pytest

from heliograph import InvalidFieldError
from heliograph.channels.names import check_channel, check_selection


@pytest.mark.parametrize(
    "name", ["sse", "user:42", "a,b", "x y", "é", "/", "x" * 255, "é" * 127]
)
def test_names(name):
    """A name is any text of a sane length."""
    assert check_channel(name) == name


@pytest.mark.parametrize(
    "name",
    [
        None,
        5,
        b"x",
        "",
        "a\nb",
        "\0",
        "\x01",
        "\x7f",
        "\x85",
        "\ud800",
        "x" * 256,
        "é" * 128,
        "x" * 5_000_000,
    ],
)
def test_no_names(name):
    """Control characters, surrogates and megabytes are refused."""
    with pytest.raises(InvalidFieldError) as caught:
        check_channel(name)

    assert caught.value.field == "channel"
    assert len(str(caught.value)) < 300


def test_selection_is_sorted_and_has_no_doubles():
    """The order in which a client names channels makes no difference."""
    assert check_selection(["b", "a", "b"]) == ("a", "b")


def test_a_selection_of_one():
    """It need not be in a list."""
    assert check_selection("ab") == ("ab",)


@pytest.mark.parametrize(
    "names", [[], [f"c{i}" for i in range(65)], ["a", ""], 42, None, b"ab", [b"ab"]]
)
def test_no_selection(names):
    """None, too many, and bad ones are refused, by name."""
    with pytest.raises(InvalidFieldError) as caught:
        check_selection(names)
    assert caught.value.field == "channel"


# (what is named, how many of them are looked at). Add a row, not a test.
LOOKED_AT = [
    pytest.param([f"c{n}" for n in range(10_000)], 65, id="too-many"),
    pytest.param(["", *(f"c{n}" for n in range(10_000))], 1, id="bad-first"),
    pytest.param([*(f"c{n}" for n in range(64)), "", "x"], 65, id="bad-after-64"),
    pytest.param([["a"], "b"], 1, id="none-that-can-be-compared"),
]


@pytest.mark.parametrize(("names", "looked_at"), LOOKED_AT)
def test_no_more_is_looked_at_than_says_that_it_is_none(names, looked_at):
    """A client that names ten thousand channels does not have them all checked."""
    rest = iter(names)

    with pytest.raises(InvalidFieldError) as caught:
        check_selection(rest)

    assert len(list(rest)) == len(names) - looked_at
    assert len(str(caught.value)) < 300


def test_a_name_ten_thousand_times():
    """It is one channel."""
    assert check_selection(["x" * 255] * 10_000 + ["a"]) == ("a", "x" * 255)


def test_largest_selection():
    """64 channels are a stream."""
    assert len(check_selection([f"c{i}" for i in range(64)])) == 64
