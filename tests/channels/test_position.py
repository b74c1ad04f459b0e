"""Ids carry positions exactly, and nothing else is taken for one."""

import tracemalloc

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heliograph import InvalidFieldError, InvalidStreamIdError
from heliograph.channels.position import MAX_OFFSET, Position, Positions, id_of

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
epochs = st.text("abcXYZ019", min_size=1, max_size=16) | st.sampled_from(["e1", "e2"])
positions = st.builds(Position, epochs, st.integers(0, MAX_OFFSET))
selections = st.dictionaries(names, positions, min_size=1, max_size=64)


@given(selections)
def test_round_trip(selection):
    """What an id was made from is what it is read as."""
    expected = Positions(selection)

    parsed = Positions.parse(expected.id, expected.channels)

    assert parsed == expected
    assert all(parsed[name] == position for name, position in selection.items())
    assert parsed.id == expected.id
    assert expected.id.isascii()
    assert expected.id.isprintable()
    assert " " not in expected.id


@given(names, positions)
def test_the_id_of_one_channel(name, position):
    """Is the same, however it is written."""
    assert id_of(name, position) == Positions({name: position}).id


def test_largest_id_fits_a_header():
    """64 channels of different epochs stay below what servers allow."""
    largest = {f"c{i}": Position(f"epoch0123456{i:04}", MAX_OFFSET) for i in range(64)}

    assert len(Positions(largest).id) < 4096


@given(selections, selections)
def test_bound_to_the_channels(selection, other):
    """The id of another selection is refused, even one of as many channels."""
    ours, theirs = Positions(selection), Positions(other)
    assume(ours.channels != theirs.channels)

    with pytest.raises(InvalidStreamIdError):
        Positions.parse(ours.id, theirs.channels)


@given(st.text(max_size=60))
def test_junk(text):
    """Random text is refused."""
    with pytest.raises(InvalidStreamIdError):
        Positions.parse(text, ("a",))


TAG = Positions({"a": Position("e", 1), "b": Position("e", 1)}).id.split(".")[0]


@pytest.mark.parametrize(
    "rest",
    [
        "",
        ".",
        ".e-1",
        ".e-1.",
        ".e-1.2.3",
        ".1.e-2",
        ".e-1.e-2",
        ".e-01.2",
        ".e-1.+2",
        ".e-1.-2",
        ".e-1. 2",
        ".e-1.2 ",
        ".e-1.٣",
        ".-1.2",
        ".e_-1.2",
        ".e-1.2\n",
        f".e-1.{MAX_OFFSET + 1}",
        ".e-1." + "9" * 5000,
        ".eeeeeeeeeeeeeeeee-1.2",
    ],
)
def test_not_quite_an_id(rest):
    """There is one way to write positions; near misses are refused."""
    with pytest.raises(InvalidStreamIdError) as caught:
        Positions.parse(TAG + rest, ("a", "b"))

    assert caught.value.value == TAG + rest


def test_flipped_characters():
    """Each changed character of an id makes it another place or none, never an error."""
    good = Positions({"a": Position("e1", 10), "b": Position("e2", 20)})
    others, refused = 0, 0

    for index in range(len(good.id)):
        for character in "0aZ.-_".replace(good.id[index], ""):
            text = good.id[:index] + character + good.id[index + 1 :]
            try:
                parsed = Positions.parse(text, ("a", "b"))
            except InvalidStreamIdError:
                refused += 1
            else:
                others += 1
                assert parsed.id == text
                assert parsed != good

    assert others > 5
    assert refused > 50


def test_advance():
    """What was equal is no longer."""
    moving, still = (Positions({"a": Position("e", 1)}) for _ in range(2))
    assert moving == still

    moving.advance("a", Position("e", 2))

    assert still["a"] == Position("e", 1)
    assert moving["a"] == Position("e", 2)
    assert moving != still
    assert moving != "x"
    assert "offset=2" in repr(moving)
    with pytest.raises(AssertionError):
        moving.advance("b", Position("e", 2))


@given(st.data())
def test_an_id_that_is_written_bit_by_bit(data):
    """Is the one that would be written at once, however positions have moved."""
    names = "abcd"
    moving = Positions({name: Position("e", 0) for name in names})
    for _ in range(data.draw(st.integers(1, 12))):
        name = data.draw(st.sampled_from(names))
        epoch = data.draw(st.sampled_from(["e", "e", "e", "f"]))
        moving.advance(name, Position(epoch, data.draw(st.integers(0, 200))))
        if data.draw(st.booleans()):
            assert moving.id == Positions({name: moving[name] for name in names}).id
    assert moving == Positions.parse(moving.id, tuple(names))


@given(positions)
def test_a_position_that_storage_names(position):
    """It may come as a number or as its digits."""
    for offset in (position.offset, str(position.offset)):
        assert Position.parse(position.epoch, offset) == position


@pytest.mark.parametrize(
    ("epoch", "offset"),
    [
        ("", 1),
        ("e" * 17, 1),
        ("e-", 1),
        ("é", 1),
        (b"e", 1),
        (None, 1),
        (5, 1),
        ("e", -1),
        ("e", 2**63),
        ("e", str(2**63)),
        ("e", "9" * 5000),
        ("e", ""),
        ("e", "+1"),
        ("e", " 1"),
        ("e", "1_0"),
        ("e", "\u0661"),
        ("e", b"1"),
        ("e", 1.0),
        ("e", True),
        ("e", None),
    ],
)
def test_what_is_no_position(epoch, offset):
    """Whatever somebody else has written is an error that can be caught."""
    with pytest.raises(InvalidFieldError):
        Position.parse(epoch, offset)


def test_selections_are_not_remembered():
    """Clients choose their channels, and names may be long."""
    tracemalloc.start()
    try:
        for n in range(500):
            names = tuple(f"{n:03}-{m:03}-{'x' * 240}" for m in range(64))
            with pytest.raises(InvalidStreamIdError):
                Positions.parse("AAAAAAAA." + ".".join(["e-1"] + ["1"] * 63), names)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 1_000_000
