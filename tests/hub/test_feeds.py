"""Feeds: who is sent what, and when."""

import asyncio

import pytest

from heliograph import (
    Event,
)
from heliograph.channels.blocks import HEARTBEAT
from heliograph.channels.position import Position, Positions
from heliograph.channels.selection import Selection
from heliograph.hub import Admission
from heliograph.hub.timings import Timings
from hubs import Recording, Taking, held_by, opened, resume
from streams import connect, until


async def test_everyone_gets_every_event(url):
    """In order, once, on all streams of the channel and no other."""
    async with opened(url) as hub:
        here = [await connect(hub, "a").placed() for _ in range(5)]
        both = await connect(hub, "a", "b").placed()
        there = await connect(hub, "b").placed()
        for n in range(20):
            await hub.publish(["a"], Event(str(n), type="t"))
        await hub.publish(["b"], Event("end"))

        for client in here:
            assert [(e.data, e.type) for e in await client.wait(20)] == [
                (str(n), "t") for n in range(20)
            ]
        assert [e.data for e in await both.wait(21)] == [*map(str, range(20)), "end"]
        assert [e.data for e in await there.wait(1)] == ["end"]


@pytest.mark.parametrize("is_joining", [False, True])
async def test_stuck_clients_together(is_joining):
    """The farthest behind are given up when all of them hold too much; they can resume."""
    config = {"max_lag_bytes": 500_000, "max_lag_total_bytes": 1_000_000}
    async with opened(send_buffer_bytes=4096, max_event_bytes=10_500, **config) as hub:
        for n in range(20):
            (entry,) = await hub.publish(["a"], Event(f"{n:03}" + "x" * 10_000))
        quick = await connect(hub, "a", "quick").placed()
        stuck = []
        for n in range(20):
            pair = ("a", f"own{n}")
            first = Positions(dict.fromkeys(pair, Position(entry.position.epoch, 0))).id
            start = first if is_joining else None
            stuck.append(connect(hub, *pair, read_buffer=4096, last_event_id=start))
            if not is_joining:
                await stuck[-1].placed()
        late = connect(hub, "b", read_buffer=4096)
        await until(lambda: hub.statistics().subscribers == 22)

        for n in range(20, 60):
            await hub.publish(["a"], Event(f"{n:03}" + "x" * 10_000))
            await quick.wait(n - 19)
        # Each has some 64 KB that are its own, and what is behind those is shared.
        await until(lambda: hub.statistics().lagging_disconnected > 0)
        await until(lambda: held_by(hub) <= 1_000_000)

        assert 1 <= hub.statistics().lagging_disconnected < 20
        assert late.subscriber.is_open
        assert quick.subscriber.is_open
        given_up = next(client for client in stuck if not client.subscriber.is_open)
        await given_up.ended()
        seen = int(given_up.data[-1][:3]) if given_up.data else 19 - 20 * is_joining
        names = given_up.subscriber.channels
        first = Positions(dict.fromkeys(names, Position(entry.position.epoch, 0))).id
        last_event_id = given_up.parser.last_event_id or first
        back = connect(hub, *names, last_event_id=last_event_id)
        rest = [int(e.data[:3]) for e in await back.wait(59 - seen)]
        assert rest == [*range(seen + 1, 60)]


async def test_a_stuck_client_costs_the_others_nothing():
    """It is passed over, and disconnected when it is too far behind; nothing is lost."""
    async with opened(max_lag_bytes=300_000, send_buffer_bytes=4096) as hub:
        quick = await connect(hub, "a").placed()
        stuck = await connect(hub, "a", read_buffer=4096).placed()
        for n in range(100):
            await hub.publish(["a"], Event(f"{n:03}" + "x" * 10_000))
            await quick.wait(n + 1)

        assert hub.statistics().lagging_disconnected == 1
        assert hub.statistics().subscribers == 1
        await stuck.ended()
        # What came before the cut is whole; the rest is there for who comes back.
        seen = [data[:3] for data in stuck.data]
        back = await resume(hub, stuck, "a")
        seen += [e.data[:3] for e in await back.wait(100 - len(seen))]
        assert seen == [f"{n:03}" for n in range(100)]


async def test_a_slow_client_is_given_all_it_missed():
    """A stall that stays within bounds costs nothing."""
    async with opened(send_buffer_bytes=4096) as hub:
        slow = await connect(hub, "a", read_buffer=4096).placed()
        for n in range(60):
            await hub.publish(["a"], Event(f"{n:03}" + "x" * 10_000))

        assert [e.data[:3] for e in await slow.wait(60)] == [f"{n:03}" for n in range(60)]
        assert hub._feeds._audiences[Selection(("a",))].feed.held_blocks == 0


@pytest.mark.parametrize("channels", [("a",), ("a", "b")])
async def test_heartbeat(channels):
    """Silence is broken by a comment, for streams that have joined."""
    async with opened(heartbeat_seconds=0.05) as hub:
        client = await connect(hub, *channels).placed()

        await client.wait_for(lambda c: c.body.count(b"\n:\n") >= 3)

        assert client.events == []


async def test_heartbeats_wait_for_silence():
    """A busy stream gets none."""
    async with opened(heartbeat_seconds=2) as hub:
        client = await connect(hub, "a").placed()
        for n in range(60):
            await hub.publish(["a"], Event(str(n)))
            await client.wait(n + 1)
            await asyncio.sleep(0.05)

        assert b"\n:\n" not in client.body


async def test_no_heartbeat():
    """None turns it off."""
    async with opened(heartbeat_seconds=None) as hub:
        client = await connect(hub, "a").placed()

        tasks = {task.get_coro().__qualname__ for task in hub._tasks._tasks}
        assert tasks == {"Feeds.flush_for_ever", "Feeds.bound_lag_for_ever"}
        await hub.publish(["a"], Event("x"))
        await client.wait(1)


async def test_clients_that_leave_are_forgotten(url):
    """Nothing of them stays, and the channel is let go of after a while."""
    async with opened(url, linger_seconds=0.05) as hub:
        clients = [await connect(hub, "a", f"own{n}").placed() for n in range(10)]
        assert (
            hub.statistics().subscribers,
            hub.statistics().channels,
            hub.statistics().feeds,
        ) == (10, 11, 10)

        for client in clients:
            client.leave()

        await until(lambda: hub.statistics().channels == 0)
        assert (hub.statistics().subscribers, hub.statistics().feeds) == (0, 0)
        feeds = hub._feeds
        assert feeds._audiences_of == feeds._audiences == feeds._dirty == {}
        assert len(hub.connections) == 0


async def test_one_client_leaves_while_others_are_served():
    """Leaving in the middle of a pass is harmless."""
    async with opened() as hub:
        clients = [await connect(hub, "a").placed() for _ in range(600)]

        await hub.publish(["a"], Event("x"))
        for client in clients[::2]:
            client.leave()
            hub.release(client.ticket)

        for client in clients[1::2]:
            assert len(await client.wait(1)) == 1
        hub.release(clients[0].ticket)


async def test_who_has_joined_since_is_given_nothing():
    """Not even no bytes, which would end a response in chunks."""
    written = []

    class Recorder(Taking):
        write = staticmethod(written.append)

    async with opened() as hub:
        await connect(hub, "a").placed()
        append = asyncio.create_task(hub.publish(["a"], Event("x")))
        for _ in range(20):
            hub.attach(hub.admit(Admission(("a",))), Recorder())
            await asyncio.sleep(0)
        await append
        await hub.publish(["a"], Event("y"))
        await until(lambda: b"data: y" in b"".join(written[-20:]))
    assert len(written) > 20
    assert b"" not in written


async def test_a_fault_of_a_feed_spares_the_others(caplog):
    """Its clients are dropped, and resume in another; those of other selections are served."""
    async with opened() as hub:
        other = await connect(hub, "b").placed()
        clients = [await connect(hub, "a").placed() for _ in range(3)]
        hub._feeds._audiences[Selection(("a",))].feed._cursors_at.clear()

        await hub.publish(["a"], Event("x"))
        await hub.publish(["b"], Event("y"))

        assert (await other.wait(1))[0].data == "y"
        for client in clients:
            await client.ended()
            back = await resume(hub, client, "a")
            assert (await back.wait(1))[0].data == "x"
        assert hub.statistics().subscribers == 4
    assert "cannot send to a stream" in caplog.text


# What a feed carries, called with a hub. Add a row, not a test.
CARRIED = {
    "item": lambda hub: hub.publish(["a", "b"], Event("x")),
    "passing": lambda hub: [hub._table.on_passing(name, Event("x")) for name in "ab"],
    "gap": lambda hub: [
        hub._table.on_restart(name, Position("f", 0), gap=True) for name in "ab"
    ],
    "renamed": lambda hub: [
        hub._table.on_restart(name, Position("f", 0), gap=False) for name in "ab"
    ],
    "heartbeat": lambda hub: hub._feeds._beat(asyncio.get_running_loop().time() + 99, 9.0),
}


@pytest.mark.parametrize("carried", CARRIED)
async def test_a_feed_that_can_carry_nothing_more(caplog, carried):
    """Its clients are dropped; the broker's call ends well, and other feeds carry it."""
    async with opened() as hub:
        clients = [await connect(hub, "a").placed() for _ in range(3)]
        both, other = (
            await connect(hub, "a", "b").placed(),
            await connect(hub, "b").placed(),
        )
        hub._feeds._audiences[Selection(("a",))].feed._blocks = None

        done = CARRIED[carried](hub)
        if carried == "item":
            await done

        for client in clients:
            await client.ended()
        for client in (both, other):
            length = len(client.body)
            await client.wait_for(lambda one, length=length: len(one.body) > length)
        assert hub.statistics().subscribers == 2
        assert (hub._feeds._dirty, len(hub._feeds)) == ({}, 2)
    assert "cannot carry an event" in caplog.text


async def test_a_fault_of_a_sink_spares_its_feed(caplog):
    """One that cannot tell whether it is paused is dropped; those after it are served."""
    async with opened() as hub:
        sink = Recording()
        hub.attach(hub.admit(Admission(("a",))), sink)
        after = await connect(hub, "a").placed()
        sink.faults.add("paused")

        await hub.publish(["a"], Event("x"))

        assert (await after.wait(1))[0].data == "x"
        assert sink.calls == ["abort"]
    assert "a bug in paused" in caplog.text


async def test_a_fault_in_a_pass(caplog):
    """The next pass sends."""
    async with opened() as hub:
        client = await connect(hub, "a").placed()
        hub._feeds._dirty["no audience"] = None
        hub._feeds._something_dirty.set()
        await until(lambda: "cannot send to the streams of a feed" in caplog.text)

        await hub.publish(["a"], Event("x"))

        assert (await client.wait(1))[0].data == "x"


async def test_a_fault_at_a_heartbeat(caplog):
    """The next one is sent."""
    async with opened(heartbeat_seconds=0.02) as hub:
        client = await connect(hub, "a").placed()
        hub._feeds._joining["no subscriber"] = None
        await until(lambda: "cannot send heartbeats" in caplog.text)
        del hub._feeds._joining["no subscriber"]

        count = client.body.count(HEARTBEAT)
        await client.wait_for(lambda c: c.body.count(HEARTBEAT) > count + 2)


async def test_a_fault_at_a_look_at_what_is_held(caplog):
    """The next looks find who holds too much."""
    timings = Timings(lag_look_seconds=0.01)
    config = {"max_lag_bytes": 300_000, "max_lag_total_bytes": 300_000}
    async with opened(send_buffer_bytes=4096, timings=timings, **config) as hub:
        stuck = [await connect(hub, "a", read_buffer=4096).placed() for _ in range(9)]
        hub._feeds._joining["no subscriber"] = None
        await until(lambda: "cannot look at what is held" in caplog.text)
        del hub._feeds._joining["no subscriber"]

        for _ in range(4):
            await hub.publish(["a"], Event("x" * 60_000))

        await until(lambda: not all(client.subscriber.is_open for client in stuck))


async def test_clients_that_leave_at_a_heartbeat():
    """Those that join are given theirs, whoever is dropped in between."""
    async with opened() as hub:
        sinks = [Recording() for _ in range(3)]
        tickets = [hub.admit(Admission(("a",))) for _ in sinks]
        for ticket, sink in zip(tickets, sinks, strict=True):
            subscriber = hub._clients._admission.find(ticket.number)
            subscriber.begin(sink, b":\n", None)
            hub._feeds.expect(subscriber)
            sink.data = b""
        sinks[0].faults.add("write")
        # A write may end any other stream, as one that closes a shared connection would.
        sinks[1].write = lambda data: hub.release(tickets[2])

        hub._feeds._beat(asyncio.get_running_loop().time() + 99, 9.0)

        assert [sink.calls for sink in sinks] == [["abort"], [], ["abort"]]
        assert sinks[2].data == b""
        assert hub.statistics().subscribers == 1


async def test_who_has_caught_up_leaves_nothing_in_the_feed():
    """What was joined for one client is dropped with it, and counts for no budget."""
    async with opened() as hub:
        for name in ("first", "second"):
            ticket = hub.admit(Admission(("a",)))
            sink = Recording()
            hub.attach(ticket, sink)
            subscriber = hub._clients._admission.find(ticket.number)
            await until(lambda subscriber=subscriber: subscriber.cursor is not None)
            sink.is_paused = True
            await hub.publish(["a"], Event(name * 1000))
            (feed,) = {one.feed for one in hub._clients._admission}
        await until(lambda: feed.held_blocks == 2)
        assert hub._feeds._held.bytes > 0

        for subscriber in hub._clients._admission:
            subscriber.sink.is_paused = False
            subscriber.on_resumed()

        assert (feed.held_blocks, feed._joined, hub._feeds._held.bytes) == (0, {}, 0)


async def test_clients_that_are_behind_by_different_events_share_what_they_get():
    """In a pass those at the same block come one after the other: more is not kept."""
    at_different = 12
    async with opened(max_lag_bytes=2**26) as hub:
        *sinks, witness = [Recording() for _ in range(3 * at_different + 1)]
        for sink in (*sinks, witness):
            hub.attach(hub.admit(Admission(("a",))), sink)
        await until(lambda: all(b"heliograph.open" in sink.data for sink in sinks))
        for n in range(at_different):
            for sink in sinks[n::at_different]:
                sink.is_paused = True
            await hub.publish(["a"], Event("x" * 200_000, type=f"t{n}"))
            await until(lambda n=n: b"event: t%d\n" % n in witness.writes[-1])
        for sink in sinks:
            sink.is_paused = False

        await hub.publish(["a"], Event("last"))
        await until(lambda: all(b"data: last" in sink.writes[-1] for sink in sinks))

        assert len({id(sink.writes[-1]) for sink in sinks}) == at_different
