"""The bound on what is held for clients that are behind."""

import asyncio

import pytest

from heliograph import (
    Event,
)
from heliograph.channels.cursor import HeldBytes
from heliograph.channels.feed import Feed
from heliograph.channels.position import Position, Positions
from heliograph.hub import Admission
from heliograph.hub.lag import LagBudget
from heliograph.hub.subscriber import Subscriber
from heliograph.hub.timings import Timings
from hubs import Recording, Taking, held_by, opened
from streams import connect, until


async def test_a_large_event_on_its_way_is_no_lag():
    """However much it is for all together: who takes it from look to look is not late."""
    # No looks but those below: another one might come in between, and find nothing taken.
    timings = Timings(lag_look_seconds=600)
    config = {"max_lag_bytes": 300_000, "max_lag_total_bytes": 1_000_000}
    async with opened(send_buffer_bytes=4096, timings=timings, **config) as hub:
        stuck = await connect(hub, "a", read_buffer=4096).placed()
        clients = [await connect(hub, "a").placed() for _ in range(30)]
        largest = 0
        for n in range(8):
            await hub.publish(["a"], Event("x" * 100_000))
            await until(lambda n=n: hub.statistics().entries == n + 1)
            await asyncio.sleep(0.01)
            largest = max(largest, held_by(hub))
            await hub._feeds.bound_lag()
            for client in clients:
                await client.wait(n + 1)
            await hub._feeds.bound_lag()

        assert largest > 1_000_000
        assert all(client.subscriber.is_open for client in clients)
        assert not stuck.subscriber.is_open


class Broken(Taking):
    """A sink that cannot be looked at."""

    @property
    def unsent_bytes(self):
        raise RuntimeError("the handler is closed")


async def test_a_sink_that_cannot_be_looked_at(caplog):
    """It is given up; the others are looked at all the same."""
    config = {"max_lag_bytes": 300_000, "max_lag_total_bytes": 300_000}
    async with opened(send_buffer_bytes=4096, **config) as hub:
        ticket = hub.admit(Admission(("a",)))
        broken = hub._clients._admission.find(ticket.number)
        hub.attach(ticket, Broken())
        stuck = [await connect(hub, "a", read_buffer=4096).placed() for _ in range(9)]

        for _ in range(4):
            await hub.publish(["a"], Event("x" * 60_000))
        await until(lambda: hub.statistics().lagging_disconnected > 1)

        assert not broken.is_open
        assert any(not client.subscriber.is_open for client in stuck)
        assert "cannot look at a stream" in caplog.text


AT_MOST = 1_000

# Looks at some clients: (bytes carried for all since the look before, bytes that each client
# has yet to take), and who is dropped. Add a row, not a test.
LOOKS = [
    pytest.param([(400, [400, 0])] * 3, [], id="within-the-bound"),
    pytest.param([(1500, [1500, 1500])], [], id="one-look-tells-nothing"),
    pytest.param([(1500, [1500, 1500])] * 3, [], id="takes-what-was-due"),
    pytest.param([(1500, [1500, 1500]), (1500, [3000, 1500])], [0], id="takes-nothing"),
    pytest.param([(1500, [1500, 1500]), (1500, [1501, 1500])], [0], id="a-byte-less"),
    pytest.param(
        [(1500, [1500, 1500]), (0, [900, 0]), (600, [1500, 0])], [], id="within-in-between"
    ),
    pytest.param([(600, [600] * 3), (0, [400, 600, 500])], [1], id="farthest-behind-first"),
    pytest.param([(600, [600] * 3), (1, [601, 601, 601])], [0, 1], id="as-many-as-needed"),
    pytest.param([(600, [600] * 9), (600, [1200] + [600] * 8)], [0], id="late-ones-only"),
]


@pytest.mark.parametrize(("looks", "dropped"), LOOKS)
async def test_looks(looks, dropped):
    """Dropped are those who are late, the farthest behind first, until it is not too much."""
    held, gone = HeldBytes(), []
    feed = Feed(Positions({"a": Position("e", 0)}), held)
    clients = [new_client(n, feed) for n in range(len(looks[0][1]))]
    budget = LagBudget(AT_MOST, held, lambda one: gone.append(one.number))

    for carried, unsent in looks:
        if carried:
            feed.append_block(b"x" * carried)
        for (subscriber, sink), size in zip(clients, unsent, strict=True):
            subscriber.flush()
            sink.unsent_bytes = size
        feed.trim()
        assert gone == []
        budget.look([subscriber for subscriber, _ in clients])

    assert gone == dropped


def new_client(number, feed=None):
    sink = Recording()
    subscriber = Subscriber(
        number, ("a",), None, address=None, expires_at=None, admitted_at=0.0, observers=()
    )
    subscriber.begin(sink, b":\n", None)
    if feed is not None:
        subscriber.follow(feed)
    return subscriber, sink


async def test_clients_that_have_yet_to_join():
    """One is late that has not been given its next page from look to look."""
    gone = []
    budget = LagBudget(AT_MOST, HeldBytes(), lambda one: gone.append(one.number))
    clients = [new_client(n) for n in range(3)]
    subscribers = [subscriber for subscriber, _ in clients]
    for _, sink in clients:
        sink.unsent_bytes = AT_MOST + 1
    budget.look(subscribers)

    subscribers[1].quiet_since += 1
    subscribers[2].follow(Feed(Positions({"a": Position("e", 0)}), HeldBytes()))
    budget.look(subscribers)

    assert gone == [0]


async def test_nothing_is_kept_of_those_who_were_within_the_bound():
    """What was seen at a look counts until the next one only."""
    budget = LagBudget(AT_MOST, HeldBytes(), lambda one: None)
    subscriber, sink = new_client(1)
    sink.unsent_bytes = AT_MOST + 1
    budget.look([subscriber])
    assert list(budget._before) == [subscriber]

    sink.unsent_bytes = 0
    budget.look([subscriber])

    assert not budget._before
