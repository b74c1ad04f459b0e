"""Blocks are shared, dropped when passed, and lag is measured in bytes."""

import json

import pytest

from heliograph import Event, EventStreamParser
from heliograph.channels.blocks import HEARTBEAT, gap_block
from heliograph.channels.cursor import HeldBytes
from heliograph.channels.entry import Entry
from heliograph.channels.feed import Feed
from heliograph.channels.joined import MAX_JOINED_BYTES
from heliograph.channels.log import LogItem
from heliograph.channels.opening import Opening
from heliograph.channels.position import Position, Positions
from heliograph.channels.selection import Selection
from heliograph.wire.coding import Coding
from heliograph.wire.framing import Framing


def item(channel, offset, *, epoch="e", **fields):
    entry = Entry(
        channel, Position(epoch, offset), Event(f"{channel}{offset}", **fields), 0.0
    )
    return LogItem.of(entry)


def feed(*channels):
    return Feed(Positions({name: Position("e", 0) for name in channels}))


def events(data):
    return EventStreamParser().feed(data)


def test_equal_cursors_share_one_joined_block():
    """What is behind a cursor is joined once, not once for each client."""
    shared = feed("a")
    first, second, late = shared.join(), shared.join(), None
    shared.append(item("a", 1))
    late = shared.join()
    shared.append(item("a", 2))

    one, two = shared.take(first), shared.take(second)

    assert one is two
    assert [event.data for event in events(one)] == ["a1", "a2"]
    assert [event.data for event in events(shared.take(late))] == ["a2"]


def test_what_is_joined_is_kept_for_one_pass():
    """Or many slow cursors at different places would cost what no budget sees."""
    shared = feed("a")
    first = shared.join()
    cursors = []
    for n in range(1, 101):
        shared.append(item("a", n))
        cursors += [shared.join(), shared.join()]
    for cursor in cursors:
        shared.take(cursor)
        shared.trim()

    assert not shared._joined
    assert len(events(shared.take(first))) == 100


@pytest.mark.parametrize("coding", Coding)
def test_what_is_joined_is_bounded(coding, chance):
    """With cursors at many blocks it would grow with the square of their number."""
    selection = Selection(("a",), Framing.CHUNKED, coding)
    shared = Feed(Positions({"a": Position("e", 0)}), selection=selection)
    cursors = []
    for _ in range(300):
        cursors += [shared.join(), shared.join()]
        shared.append_block(chance.randbytes(1024).hex().encode())
    first, second = cursors[::2], cursors[1::2]

    for cursor in (*first, *second):
        shared.take(cursor)
        assert sum(map(len, shared._joined.values())) <= MAX_JOINED_BYTES


def test_a_value_that_is_larger_than_the_bound_is_shared():
    """A large event is joined and framed once, whatever its size."""
    shared = feed("a")
    cursors = [shared.join() for _ in range(3)]
    shared.append_block(b"x" * MAX_JOINED_BYTES)
    shared.append_block(b"y")

    first, *others = [shared.take(cursor) for cursor in cursors]

    assert all(other is first for other in others)
    shared.trim()
    assert not shared._joined


def test_what_no_other_cursor_takes_is_not_kept():
    """Clients that are behind by different numbers of blocks share nothing."""
    shared = feed("a")
    cursors = []
    for n in range(1, 9):
        cursors.append(shared.join())
        shared.append(item("a", n))

    for cursor in cursors:
        shared.take(cursor)

    assert not shared._joined


def test_a_single_block_is_not_copied():
    """The usual case hands the very block on, to everyone."""
    shared = feed("a")
    cursors = [shared.join() for _ in range(3)]
    shared.append(item("a", 1))

    first, *others = [shared.take(cursor) for cursor in cursors]

    assert all(other is first for other in others)


def test_blocks_are_dropped_when_the_last_has_passed():
    """A feed with nobody behind holds nothing."""
    shared = feed("a")
    fast, slow = shared.join(), shared.join()
    for n in range(1, 4):
        shared.append(item("a", n))

    shared.take(fast)
    shared.trim()
    assert shared.held_blocks == 3

    shared.leave(slow)
    assert shared.held_blocks == 0
    assert shared.cursors == 1


def test_nobody_listens():
    """Without a cursor nothing is held, and positions move on."""
    shared = feed("a")

    shared.append(item("a", 1))

    assert shared.held_blocks == 0
    assert shared.end == 1
    assert shared.positions["a"] == Position("e", 1)


def test_leaving_in_the_middle():
    """Who leaves without being last frees nothing that others need."""
    shared = feed("a")
    last = shared.join()
    shared.append(item("a", 1))
    middle = shared.join()
    shared.append(item("a", 2))

    shared.leave(middle)

    assert len(events(shared.take(last))) == 2


def test_lag():
    """Lag is what a cursor has yet to take, in bytes; an id is as long as the last one."""
    shared = feed("a")
    cursor = shared.join()
    assert shared.lag_bytes(cursor) == 0
    shared.append(item("a", 1))
    assert 0 < shared.lag_bytes(cursor) <= len(shared.take(cursor))

    shared.append(item("a", 2))
    shared.append_block(HEARTBEAT)

    assert shared.lag_bytes(cursor) == len(shared.take(cursor))
    assert shared.lag_bytes(cursor) == 0


def test_feeds_share_what_they_carry():
    """However many hold an event, its body counts once; nothing stays when all have passed."""
    held = HeldBytes()
    names = [tuple(sorted({"a", f"b{n}"})) for n in range(100)]
    feeds = [Feed(Positions({c: Position("e", 0) for c in pair}), held) for pair in names]
    cursors = [each.join() for each in feeds]
    slow = [each.join() for each in feeds]
    for offset in range(1, 11):
        event = LogItem.of(Entry("a", Position("e", offset), Event("x" * 10_000), 0.0))
        for each in feeds:
            each.append(event)

    assert 100_000 < held.bytes < 100_000 + 100 * 10 * 100
    # Ids are written when they are needed: carrying an event is a step for all feeds.
    assert not any(block.id_line for each in feeds for block in each._blocks)

    for each, cursor in zip(feeds, cursors, strict=True):
        assert len(each.take(cursor)) > 100_000
        each.trim()
    assert 100_000 < held.bytes < 100_000 + 100 * 10 * 200
    for each, cursor in zip(feeds, slow, strict=True):
        each.leave(cursor)
    assert held.bytes == 0


def test_ids_state_all_channels():
    """Each event's id is the place in every channel of the stream."""
    shared = feed("a", "b")
    cursor = shared.join()
    shared.append(item("a", 1))
    shared.append(item("b", 1))

    first, second = events(shared.take(cursor))

    assert Positions.parse(first.id, ("a", "b"))["b"] == Position("e", 0)
    assert Positions.parse(second.id, ("a", "b")) == shared.positions


@pytest.mark.parametrize(("channels", "shown"), [(("a",), True), (("a", "b"), False)])
def test_own_ids(channels, shown):
    """A publisher's id is sent as given where it can stand for the whole stream."""
    shared = feed(*channels)
    cursor = shared.join()
    shared.append(item("a", 1, id="mine"))

    (event,) = events(shared.take(cursor))

    assert (event.id == "mine") is shown
    assert (event.id == shared.positions.id) is not shown


def test_a_channel_gets_a_new_epoch():
    """Clients are told, by an event that says that nothing is missing."""
    shared = feed("a", "b")
    cursor = shared.join()

    shared.rename("b", Position("f", 0), Opening())

    (event,) = events(shared.take(cursor))
    assert event.type == "heliograph.open"
    assert json.loads(event.data)["resumed"] is True
    assert Positions.parse(event.id, ("a", "b"))["b"] == Position("f", 0)


def test_many_channels_get_new_epochs():
    """Clients are told once, unless the next event has the positions anyway."""
    names = [f"c{n}" for n in range(9)]
    shared = feed(*names)
    cursor = shared.join()

    for name in names:
        shared.rename(name, Position("f", 0), Opening())
    (told,) = events(shared.take(cursor))
    for name in names:
        shared.rename(name, Position("g", 0), Opening())
        shared.append(item(name, 1, epoch="g"))
    followed = events(shared.take(cursor))
    shared.trim()

    assert told.type == "heliograph.open"
    assert {Positions.parse(told.id, names)[name].epoch for name in names} == {"f"}
    assert [event.type for event in followed] == ["message"] * 9
    assert followed[-1].id == shared.positions.id
    assert shared.held_blocks == 0


def test_gap_event():
    """A gap names its channels and reasons, and moves the client past it."""
    shared = feed("a", "b")
    cursor = shared.join()

    shared.announce_gap("b", "epoch", Position("f", 0))

    (event,) = events(shared.take(cursor))
    assert event.type == "heliograph.gap"
    assert json.loads(event.data) == {"channels": ["b"], "reasons": {"b": "epoch"}}
    assert event.id == shared.positions.id
    assert shared.positions["b"] == Position("f", 0)


def test_gap_of_several_channels_is_one_event():
    """Channels are listed in order."""
    positions = Positions({"a": Position("e", 0), "b": Position("e", 0)})

    (event,) = events(
        gap_block(
            {"b": ("unknown", Position("e", 5)), "a": ("trimmed", Position("e", 7))},
            positions,
        )
    )

    assert json.loads(event.data)["channels"] == ["a", "b"]
    assert positions["a"].offset == 7


def test_a_client_joins_between_two_new_epochs():
    """It is told of the second one, too."""
    shared = feed("a", "b")
    first = shared.join()
    shared.rename("a", Position("f", 0), Opening())
    second = shared.join()
    shared.rename("b", Position("f", 0), Opening())

    for cursor in (first, second):
        *_, told = events(shared.take(cursor))
        assert Positions.parse(told.id, ("a", "b"))["b"] == Position("f", 0)


def test_the_id_of_a_client_at_the_end():
    """That of the positions, whatever is appended, and whoever has asked for it before."""
    shared = feed("a", "b")
    last = shared.join()
    steps = [
        lambda: shared.append(item("a", 1)),
        lambda: shared.append_block(HEARTBEAT),
        lambda: shared.announce_gap("b", "trimmed", Position("e", 7)),
        lambda: shared.rename("b", Position("f", 0), Opening()),
        lambda: shared.rename("b", Position("g", 0), Opening()),
        lambda: shared.take(last),
        lambda: shared.leave(last),
        lambda: shared.append(item("b", 1, epoch="g")),
        lambda: shared.rename("b", Position("h", 0), Opening()),
    ]

    for step in steps:
        step()
        for _ in range(2):
            assert shared.id == shared.positions.id
