"""What a flush pass does: who is written to together with others, and when the loop rests."""

import asyncio
import time

import pytest

from heliograph import Event
from heliograph.channels.feed import Feed
from heliograph.channels.position import Position, Positions
from heliograph.hub import Admission
from heliograph.hub.feeds import Feeds
from heliograph.hub.flushing import Pacing, flush_together
from heliograph.hub.subscriber import Subscriber
from heliograph.hub.traced import TracedSubscriber
from hubs import Recording, opened
from streams import connect, until

BLOCK = b"data: block\n\n"


def slow():
    sink = Recording()
    sink.is_paused = True
    return sink


def following(feed, sink=None, kind=Subscriber):
    subscriber = kind(
        1, ("a",), None, address=None, expires_at=None, admitted_at=0.0, observers=()
    )
    subscriber.begin(Recording() if sink is None else sink, b"", None)
    subscriber.follow(feed)
    return subscriber


@pytest.fixture
async def feed():
    return Feed(Positions({"a": Position("e", 0)}))


async def test_those_at_one_block_are_given_the_same_object(feed):
    """The bytes are joined once, and their cursors are where each would have moved its own."""
    subscribers = [following(feed) for _ in range(5)]
    feed.append_block(BLOCK)
    feed.append_block(BLOCK)

    assert flush_together(feed, subscribers) == []

    written = [subscriber.sink.writes for subscriber in subscribers]
    assert written == [[2 * BLOCK]] * 5
    assert len({id(writes[0]) for writes in written}) == 1
    feed.trim()
    assert feed.held_blocks == 0
    assert feed.cursors == 5
    assert flush_together(feed, subscribers) == [], "nothing is written twice"
    assert written == [[2 * BLOCK]] * 5


# Who is left to be flushed alone, with what the subscriber is made of. Add a row, not a test.
ALONE = {
    "paused": lambda feed: following(feed, slow()),
    "behind": following,
    "traced": lambda feed: following(feed, kind=TracedSubscriber),
    "not to be asked": lambda feed: following(feed, Recording(faults=["paused"])),
}


@pytest.mark.parametrize("kind", ALONE)
async def test_others_are_left(feed, kind):
    """They are returned and given nothing; the rest is written to."""
    odd = ALONE[kind](feed)
    if kind == "behind":
        feed.append_block(b"data: before\n\n")
    subscribers = [following(feed) for _ in range(3)]
    feed.append_block(BLOCK)

    assert flush_together(feed, [*subscribers, odd]) == [odd]

    assert [subscriber.sink.writes for subscriber in subscribers] == [[BLOCK]] * 3
    assert odd.sink.writes == []
    assert feed.lag_bytes(odd.cursor) > 0


async def test_who_has_left_is_passed_over(feed):
    """A pass yields, and clients leave meanwhile."""
    subscribers = [following(feed) for _ in range(3)]
    feed.append_block(BLOCK)
    subscribers[0].on_lost()

    assert flush_together(feed, subscribers) == []

    assert subscribers[0].sink.writes == []
    assert [subscriber.sink.writes for subscriber in subscribers[1:]] == [[BLOCK]] * 2


async def test_a_sink_that_fails_ends_its_own_stream(feed, caplog):
    """The others are written to, also those after it."""
    subscribers = [
        following(feed),
        following(feed, Recording(faults=["write"])),
        following(feed),
    ]
    feed.append_block(BLOCK)

    assert flush_together(feed, subscribers) == []

    assert [one.is_open for one in subscribers] == [True, False, True]
    assert [one.sink.data for one in subscribers] == [BLOCK, b"", BLOCK]
    assert feed.cursors == 2
    assert "a bug in write" in caplog.text


async def test_a_feed_that_fails_leaves_all_to_their_own_flush(feed):
    """Which drops them, and says so."""
    subscribers = [following(feed) for _ in range(3)]
    feed.append_block(BLOCK)
    feed._cursors_at.clear()

    assert flush_together(feed, subscribers) == subscribers


def spend(seconds):
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


def rest_after(*passes, size=100):
    pacing = Pacing()
    for events, seconds in passes:
        pacing.begin(events, size)
        spend(seconds)
        pacing.end()
    return pacing.rest_seconds


def test_rests():
    """Half of the cost for each event beyond the second, within the bounds."""
    assert rest_after() == 0.0
    assert rest_after((2, 0.002), (1, 0.002)) == 0.0
    assert 0.001 <= rest_after((3, 0.002)) < 0.002
    assert 0.002 <= rest_after((4, 0.002)) < 0.004
    assert 0.014 <= rest_after((1000, 0.002)) < 0.028
    assert 0.003 <= rest_after((3, 0.002), (1, 0.02), (4, 0.002)) < 0.006
    assert rest_after((1000, 0.02)) == 0.07
    # Writes that are large already get no better.
    assert rest_after((1000, 0.002), size=50_000) == 0.0


async def test_what_comes_faster_than_passes_is_written_together():
    """And nothing is held back when events stop: the last rest ends by itself."""
    async with opened() as hub:
        clients = [await connect(hub, "a").placed() for _ in range(300)]
        before = [len(client.body) for client in clients]
        for n in range(200):
            await hub.publish(["a"], Event(str(n)))
            await asyncio.sleep(0)
        for client in clients:
            assert [e.data for e in await client.wait(200)] == [*map(str, range(200))]
        assert all(len(c.body) > b for c, b in zip(clients, before, strict=True))


async def test_what_comes_before_a_feed_has_its_turn_needs_no_other(monkeypatch):
    """A pass costs as much if it has nothing to write."""
    flushed = []
    flush = Feeds._flush

    async def noted(feeds, audience):
        flushed.append((audience.feed.channels, audience.feed.held_blocks))
        await flush(feeds, audience)

    monkeypatch.setattr(Feeds, "_flush", noted)
    async with opened() as hub:
        for channel in "a" * 1000 + "b" * 2:
            hub.attach(hub.admit(Admission((channel,))), Recording())
        await until(lambda: len(hub._feeds) == 2)
        await hub.publish(["a"], Event("1"))
        await hub.publish(["b"], Event("1"))
        while not flushed:
            await asyncio.sleep(0)
        await hub.publish(["b"], Event("2"))
        await asyncio.sleep(0.1)

    assert flushed == [(("a",), 1), (("b",), 2)]
