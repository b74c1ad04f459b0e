"""A hub over real sockets, with each broker of one machine."""

import asyncio
import contextlib
import json
import logging
import os
import resource
import socket
import sys
import threading
import time

import pytest

from heliograph import (
    BrokerUnavailableError,
    Event,
    EventStreamParser,
    EventTooLargeError,
    HubClosedError,
    HubConfig,
    InvalidFieldError,
    TooManySubscribersError,
)
from heliograph.brokers import Retention, open_broker
from heliograph.brokers.sqlite import SqliteBroker
from heliograph.channels.position import Position, Positions
from heliograph.hub import Hub, open_hub
from heliograph.hub.disconnects import Disconnects
from heliograph.hub.files import Files
from heliograph.hub.sinks import tune_descriptor
from streams import HEAD, connect, until


@contextlib.asynccontextmanager
async def opened(url="memory:", *, events=1000, **config):
    hub = Hub(open_broker(url, Retention(events=events, seconds=1e6)), HubConfig(**config))
    await hub.open()
    try:
        yield hub
    finally:
        await hub.close()


@pytest.fixture(params=["memory", "sqlite"])
def url(request, tmp_path):
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/log"


@pytest.fixture
def sqlite(tmp_path):
    return f"sqlite:///{tmp_path}/log"


# From publish to the client.


async def test_first_bytes_come_at_once(url):
    """Head, comment, reconnection time and place come before any event."""
    async with opened(url, retry_ms=1000) as hub:
        client = await connect(hub, "a").placed()

    assert client.raw.startswith(HEAD + b":\nretry: ")
    assert 500 <= client.parser.reconnection_time_ms <= 1500
    assert Positions.parse(client.parser.last_event_id, ("a",))["a"].offset == 0


async def test_jitter():
    """Clients do not all come back in the same instant."""
    async with opened(retry_ms=100_000) as hub:
        clients = [await connect(hub, "a").placed() for _ in range(20)]

    assert len({client.parser.reconnection_time_ms for client in clients}) > 10


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


async def test_publish_to_several_channels(url):
    """Each channel takes the event on its own; naming one twice is naming it once."""
    async with opened(url) as hub:
        client = await connect(hub, "a", "b").placed()

        entries = await hub.publish(["a", "b", "a"], Event("x"))

        assert [entry.channel for entry in entries] == ["a", "b"]
        assert len(await client.wait(2)) == 2


# Coming back.


async def resume(hub, client, *channels):
    client.leave()
    return connect(hub, *channels, last_event_id=client.parser.last_event_id)


async def test_resume_misses_nothing(url):
    """A client that was away is given what it missed, then goes on live."""
    async with opened(url) as hub:
        client = await connect(hub, "a", "b").placed()
        await hub.publish(["a"], Event("1"))
        await client.wait(1)
        client.leave()
        for n, channel in enumerate("abab"):
            await hub.publish([channel], Event(f"{n + 2}"))

        back = await resume(hub, client, "a", "b")
        await back.wait(4)
        await hub.publish(["b"], Event("6"))

        assert [e.data for e in await back.wait(5)] == ["2", "3", "4", "5", "6"]


class Taking:
    """A sink whose client takes everything at once."""

    paused = False
    unsent_bytes = 0

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data

    def close(self):
        pass

    def abort(self):
        pass


async def test_who_catches_up_from_memory_lets_others_go_on():
    """However many channels, and however fast the client is."""
    names = tuple(f"c{n:02}" for n in range(64))
    async with opened(log_events=100) as hub:
        warm = await connect(hub, *names).placed()
        entries = await hub.publish(names, Event("first"))
        await warm.wait(64)
        start = Positions({entry.channel: entry.position for entry in entries}).id
        for _ in range(20):
            await hub.publish(names, Event("x" * 1000))
        await until(lambda: hub.statistics().entries == 21 * 64)
        turns, sink = 0, Taking()

        subscriber = hub.admit(names, last_event_id=start)
        hub.attach(subscriber, sink)
        while subscriber.cursor is None:
            turns += 1
            await asyncio.sleep(0)

        assert len(EventStreamParser().feed(sink.data)) == 20 * 64
        assert turns > len(sink.data) / 300_000


async def test_resume_without_having_seen_an_event(url):
    """Whoever was cut off before the first event comes back to the very place."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        client.leave()
        await hub.publish(["a"], Event("1"))

        back = await resume(hub, client, "a")

        assert [e.data for e in await back.wait(1)] == ["1"]


async def test_resume_with_nothing_missed(url):
    """There is no gap where there is none, and nothing comes twice."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("1"))
        await client.wait(1)

        back = await (await resume(hub, client, "a")).placed()
        await hub.publish(["a"], Event("2"))

        assert [e.data for e in await back.wait(1)] == ["2"]


async def test_resume_from_another_process(sqlite):
    """The hub that a client comes back to need not be the one it left."""
    async with opened(sqlite) as one, opened(sqlite) as other:
        client = await connect(one, "a").placed()
        await one.publish(["a"], Event("1"))
        await client.wait(1)
        client.leave()
        await one.publish(["a"], Event("2"))

        back = await resume(other, client, "a")

        assert [e.data for e in await back.wait(1)] == ["2"]


async def test_a_hub_that_is_behind_sends_nothing_twice(sqlite, monkeypatch):
    """A client that has seen more than this process waits for it to see that too."""
    monkeypatch.setattr("heliograph.brokers.sqlite._POLL_WITH_BELL_SECONDS", 0.3)
    async with opened(sqlite) as one, opened(sqlite) as late:
        warm = await connect(late, "a").placed()
        # The bell of the late process is out of reach for a while.
        bell = late._broker._bell
        asyncio.get_running_loop().remove_reader(bell.fileno())
        client = await connect(one, "a").placed()
        for n in range(3):
            await one.publish(["a"], Event(str(n)))
        await client.wait(3)

        back = await (await resume(late, client, "a")).placed()
        await one.publish(["a"], Event("3"))

        assert [e.data for e in await back.wait(1)] == ["3"]
        assert [e.data for e in await warm.wait(4)] == ["0", "1", "2", "3"]


async def test_resume_far_behind(sqlite):
    """What the log no longer holds comes from the broker, page by page."""
    async with opened(sqlite, log_events=10, events=10_000) as hub:
        client = await connect(hub, "a", "b").placed()
        client.leave()
        for first in range(0, 1000, 50):
            await asyncio.gather(
                *(
                    hub.publish(["ab"[n % 2]], Event(f"{n:04}" + "x" * 500))
                    for n in range(first, first + 50)
                )
            )

        back = await resume(hub, client, "a", "b")
        got = [e.data[:4] for e in await back.wait(1000)]

        for parity in (0, 1):
            assert [n for n in got if int(n) % 2 == parity] == [
                f"{n:04}" for n in range(parity, 1000, 2)
            ]


async def test_publishing_while_clients_come_back(url):
    """Joining in the middle of a burst leaves no hole and sends nothing twice."""
    async with opened(url, log_events=20) as hub:
        stop = False
        published = 0

        async def publish():
            nonlocal published
            while not stop:
                await hub.publish(["a"], Event(str(published)))
                published += 1
                await asyncio.sleep(0)

        publisher = asyncio.create_task(publish())
        seen = []
        client = await connect(hub, "a").placed()
        for _ in range(30):
            count = len(seen) + 20
            await client.wait(20)
            seen += client.data
            client = await resume(hub, client, "a")
            assert len(seen) >= count
        stop = True
        await publisher

    assert seen == [str(n) for n in range(int(seen[0]), int(seen[0]) + len(seen))]


# What cannot be honoured is said.


async def gap_of(client):
    first = (await client.wait(1))[0]
    assert first.type == "heliograph.gap"
    return json.loads(first.data)["reasons"]


@pytest.mark.parametrize("junk", ["junk", "x" * 5000, "é", "a.b.c", "0", "\x01"])
async def test_junk_is_a_gap(url, junk):
    """An id that was never given is told apart, and the stream goes on live."""
    async with opened(url) as hub:
        await hub.publish(["a"], Event("before"))
        client = connect(hub, "a", last_event_id=junk)
        assert await gap_of(client) == {"a": "unknown"}

        await hub.publish(["a"], Event("after"))

        assert [e.data for e in await client.wait(2)][1:] == ["after"]


async def test_id_of_another_selection_is_a_gap(url):
    """It is not misread as a place in these channels."""
    async with opened(url) as hub:
        other = await connect(hub, "a", "c").placed()

        client = connect(hub, "a", "b", last_event_id=other.parser.last_event_id)

        assert await gap_of(client) == {"a": "unknown", "b": "unknown"}


async def test_trimmed_history_is_a_gap(url):
    """What is gone is announced, what is still there follows."""
    async with opened(url, events=3, log_events=3) as hub:
        client = await connect(hub, "a", "b").placed()
        client.leave()
        for n in range(10):
            await hub.publish(["a"], Event(str(n)))
        await hub.publish(["b"], Event("b"))

        back = await resume(hub, client, "a", "b")

        assert await gap_of(back) == {"a": "trimmed"}
        assert [e.data for e in await back.wait(5)][1:] == ["7", "8", "9", "b"]
        # The gap is behind the client: it is not told again.
        again = await (await resume(hub, back, "a", "b")).placed()
        assert again.events == []


async def test_gap_ids_go_on_from_the_gap(url):
    """Who is cut off right after the gap event misses nothing of the rest."""
    async with opened(url, events=3, log_events=3) as hub:
        client = await connect(hub, "a").placed()
        client.leave()
        for n in range(10):
            await hub.publish(["a"], Event(str(n)))
        back = await resume(hub, client, "a")
        gap = (await back.wait(1))[0]

        again = connect(hub, "a", last_event_id=gap.id)

        assert [e.data for e in await again.wait(3)] == ["7", "8", "9"]


async def test_a_new_life_of_the_storage(tmp_path):
    """Lost storage is a gap for those who come back; all of the new is theirs."""
    async with opened(f"sqlite:///{tmp_path}/one") as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("old"))
        await client.wait(1)
    async with opened(f"sqlite:///{tmp_path}/two") as hub:
        await hub.publish(["a"], Event("new"))
        back = await resume(hub, client, "a")

        assert await gap_of(back) == {"a": "epoch"}
        assert [e.data for e in await back.wait(2)][1:] == ["new"]


async def test_storage_lost_under_an_open_stream(tmp_path, sqlite):
    """An open stream is told once, and goes on."""
    async with opened(sqlite) as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("old"))
        await client.wait(1)
        for found in tmp_path.glob("log*"):
            with contextlib.suppress(OSError):
                found.unlink()

        await hub.publish(["a"], Event("new"))
        await hub.publish(["a"], Event("newer"))

        first, gap, *rest = await client.wait(4)
        assert json.loads(gap.data) == {"channels": ["a"], "reasons": {"a": "epoch"}}
        assert [first.data, *(e.data for e in rest)] == ["old", "new", "newer"]
        assert hub.statistics().gaps == 1
        # Whoever comes back with a place in the new life is understood.
        back = await (await resume(hub, client, "a")).placed()
        assert back.events == []


async def test_a_client_from_a_later_life(tmp_path, sqlite):
    """A process that has not yet seen the new life learns of it from a client."""
    async with opened(sqlite) as hub:
        warm = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("old"))
        await warm.wait(1)
        for found in tmp_path.glob("log*"):
            with contextlib.suppress(OSError):
                found.unlink()
        async with opened(sqlite) as other:
            early = await connect(other, "a").placed()

            back = await (await resume(hub, early, "a")).placed()

            assert back.events == []
            await other.publish(["a"], Event("new"))
            assert (await back.wait(1))[0].data == "new"
            assert [e.type for e in await warm.wait(3)] == [
                "message",
                "heliograph.gap",
                "message",
            ]


# Ids of the publisher's own.


async def test_resume_by_own_id(url):
    """An id that the publisher gave is found in the history."""
    async with opened(url, log_events=1) as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("1", id="order-1"))
        assert (await client.wait(1))[0].id == "order-1"
        client.leave()
        await hub.publish(["a"], Event("2"))
        await hub.publish(["a"], Event("3", id="order-3"))

        back = connect(hub, "a", last_event_id="order-1")

        assert [e.data for e in await back.wait(2)] == ["2", "3"]


async def test_own_ids_with_several_channels(url):
    """A stream of several channels shows positions, so resuming stays exact."""
    async with opened(url) as hub:
        client = await connect(hub, "a", "b").placed()
        await hub.publish(["a"], Event("1", id="order-1"))
        assert (await client.wait(1))[0].id != "order-1"
        await hub.publish(["b"], Event("2", id="order-1"))

        back = await resume(hub, client, "a", "b")

        assert [e.data for e in await back.wait(1)] == ["2"]


async def test_an_ambiguous_own_id_is_a_gap(url):
    """Given twice, an id is no place."""
    async with opened(url) as hub:
        for _ in range(2):
            await hub.publish(["a"], Event("x", id="same"))

        assert await gap_of(connect(hub, "a", last_event_id="same")) == {"a": "unknown"}


async def test_a_position_is_refused_as_an_own_id(url):
    """It would be resumed at another place."""
    async with opened(url) as hub:
        position = Positions({"a": Position("e", 1)}).id
        with pytest.raises(InvalidFieldError, match="position in channel 'a'"):
            await hub.publish(["b", "a"], Event("x", id=position))


# Slow clients, many clients, silent times.


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
        assert not late.subscriber.gone
        assert not quick.subscriber.gone
        given_up = next(client for client in stuck if client.subscriber.gone)
        await given_up.ended()
        seen = int(given_up.data[-1][:3]) if given_up.data else 19 - 20 * is_joining
        names = given_up.subscriber.channels
        first = Positions(dict.fromkeys(names, Position(entry.position.epoch, 0))).id
        last_event_id = given_up.parser.last_event_id or first
        back = connect(hub, *names, last_event_id=last_event_id)
        rest = [int(e.data[:3]) for e in await back.wait(59 - seen)]
        assert rest == [*range(seen + 1, 60)]


async def test_a_large_event_on_its_way_is_no_lag(monkeypatch):
    """However much it is for all together: who takes it from look to look is not late."""
    # No looks but those below: another one might come in between, and find nothing taken.
    monkeypatch.setattr("heliograph.hub.hub._LAG_LOOK_SECONDS", 600)
    config = {"max_lag_bytes": 300_000, "max_lag_total_bytes": 1_000_000}
    async with opened(send_buffer_bytes=4096, **config) as hub:
        stuck = await connect(hub, "a", read_buffer=4096).placed()
        clients = [await connect(hub, "a").placed() for _ in range(30)]
        largest = 0
        for n in range(8):
            await hub.publish(["a"], Event("x" * 100_000))
            await until(lambda n=n: hub.statistics().entries == n + 1)
            await asyncio.sleep(0.01)
            largest = max(largest, held_by(hub))
            hub._delivery.bound_lag(hub._subscribers)
            for client in clients:
                await client.wait(n + 1)
            hub._delivery.bound_lag(hub._subscribers)

        assert largest > 1_000_000
        assert not any(client.subscriber.gone for client in clients)
        assert stuck.subscriber.gone


class Broken(Taking):
    """A sink that cannot be looked at."""

    @property
    def unsent_bytes(self):
        raise RuntimeError("the handler is closed")


async def test_a_sink_that_cannot_be_looked_at(caplog):
    """It is given up; the others are looked at all the same."""
    config = {"max_lag_bytes": 300_000, "max_lag_total_bytes": 300_000}
    async with opened(send_buffer_bytes=4096, **config) as hub:
        broken = hub.admit(("a",))
        hub.attach(broken, Broken())
        stuck = [await connect(hub, "a", read_buffer=4096).placed() for _ in range(9)]

        for _ in range(4):
            await hub.publish(["a"], Event("x" * 60_000))
        await until(lambda: hub.statistics().lagging_disconnected > 1)

        assert broken.gone
        assert any(client.subscriber.gone for client in stuck)
        assert "cannot look at a stream" in caplog.text


def held_by(hub):
    """Bytes that a hub holds for clients that are behind."""
    sinks = [s.sink for s in hub._subscribers if s.sink is not None]
    return hub._delivery._held.bytes + sum(sink.unsent_bytes for sink in sinks)


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
        assert hub._delivery._audiences["a",].feed.held_blocks == 0


async def test_a_client_that_catches_up_without_reading_costs_one_page():
    """Memory does not grow with what it has missed."""
    async with opened(log_bytes=1 << 24, send_buffer_bytes=4096) as hub:
        client = await connect(hub, "a").placed()
        client.leave()
        await until(lambda: hub.statistics().subscribers == 0)
        for n in range(500):
            await hub.publish(["a"], Event(f"{n:03}" + "x" * 10_000))

        back = connect(
            hub, "a", last_event_id=client.parser.last_event_id, read_buffer=4096
        )
        await back.read()
        await until(lambda: back.subscriber.sink.paused)
        assert back.subscriber.sink._transport.get_write_buffer_size() < 200_000

        assert [e.data[:3] for e in await back.wait(500)] == [f"{n:03}" for n in range(500)]


async def test_caps():
    """A cap per process and one per channel, named in the error."""
    async with opened(
        max_subscribers=3, max_subscribers_per_channel=2, retry_after_seconds=7
    ) as hub:
        held = [connect(hub, "a"), connect(hub, "a", "b")]
        with pytest.raises(TooManySubscribersError) as caught:
            hub.admit(("a", "b"))
        assert (
            caught.value.channel,
            caught.value.limit,
            caught.value.retry_after_seconds,
        ) == ("a", 2, 7)
        held.append(connect(hub, "b"))
        with pytest.raises(TooManySubscribersError) as caught:
            hub.admit(("c",))
        assert (caught.value.channel, caught.value.limit) == (None, 3)
        assert hub.statistics().refused == 2

        held[0].leave()
        await until(lambda: hub.statistics().subscribers == 2)

        assert hub.admit(("a",))


async def test_cap_per_address():
    """Each address has its own; who has left counts no more; unknown ones do not count."""
    async with opened(max_subscribers_per_address=2) as hub:
        first, _ = [hub.admit(("a",), address="10.0.0.1") for _ in range(2)]
        with pytest.raises(TooManySubscribersError, match=r"the address 10\.0") as caught:
            hub.admit(("b",), address="10.0.0.1")
        assert (caught.value.address, caught.value.status) == ("10.0.0.1", 429)
        hub.admit(("a",), address="10.0.0.2")
        for _ in range(3):
            hub.admit(("a",))

        hub.leave(first)
        hub.leave(first)

        hub.leave(hub.admit(("a",), address="10.0.0.1"))
        assert hub.statistics().refused == 1
        assert hub._caps._streams == {"10.0.0.1": 1, "10.0.0.2": 1}


@pytest.mark.parametrize(
    ("addresses", "counted"),
    [
        (["2001:db8::1", "2001:db8:0:0:ffff::2"], {"2001:db8::/64": 2}),
        (["2001:db8::1", "2001:db8:0:1::1"], {"2001:db8::/64": 1, "2001:db8:0:1::/64": 1}),
        (["::ffff:10.0.0.1", "10.0.0.1"], {"10.0.0.1": 2}),
        (["fe80::1%eth0", "fe80::2"], {"fe80::/64": 2}),
        (["10.0.0.1:1111", "10.0.0.1:2222", "10.0.0.1"], {"10.0.0.1": 3}),
        (["[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8::3]"], {"2001:db8::/64": 3}),
        (["proxy:7", "unix"], {"proxy": 1, "unix": 1}),
    ],
)
async def test_what_counts_as_an_address(addresses, counted):
    """In IPv6 all that a customer has; in whichever way IPv4 is written the same."""
    async with opened() as hub:
        for address in addresses:
            hub.admit(("a",), address=address)
        assert hub._caps._streams == counted


@pytest.mark.skipif(sys.platform != "linux", reason="the names are Linux's")
@pytest.mark.parametrize(
    ("seconds", "times"),
    [(6, [6_000, 3, 1, 3]), (86_400, [86_400_000, 32_767, 14_400, 3])],
)
def test_what_is_set_for_a_connection(seconds, times):
    """It is prompt and bounded, and its peer is watched, also through a copy of it."""
    config = HubConfig(send_buffer_bytes=65_536, dead_peer_seconds=seconds)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    with client, accepted:
        tune_descriptor(accepted.fileno(), config)
        # The kernel counts its own bookkeeping.
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 65_536
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        found = [
            accepted.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_NODELAY", "TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL",
                         "TCP_KEEPCNT")
        ]  # fmt: skip
        assert found == [1, *times]


async def test_lifetime():
    """Streams end in their time, not all at once, and clients resume."""
    async with opened(max_stream_seconds=3) as hub:
        begin = time.monotonic()
        clients = [await connect(hub, "a").placed() for _ in range(20)]
        ends = {client.subscriber.expires_at for client in clients}
        assert len(ends) == 20
        await hub.publish(["a"], Event("x"))
        for client in clients:
            await client.ended()
            assert client.data == ["x"]
        assert time.monotonic() - begin > 1.4
        # What ends sooner still does.
        soon = connect(hub, "a", expires_at=time.time() + 0.01)
        assert soon.subscriber.expires_at < time.time() + 0.1
        async with hub.subscribe(("a",)) as events:
            assert events._subscriber.expires_at is None


@pytest.mark.parametrize("channels", [("a",), ("a", "b")])
async def test_heartbeat(channels):
    """Silence is broken by a comment, for streams that have joined."""
    async with opened(heartbeat_seconds=0.05) as hub:
        client = await connect(hub, *channels).placed()

        await client.wait_for(lambda c: c.body.count(b"\n:\n\n") >= 3)

        assert client.events == []


async def test_heartbeats_wait_for_silence():
    """A busy stream gets none."""
    async with opened(heartbeat_seconds=2) as hub:
        client = await connect(hub, "a").placed()
        for n in range(60):
            await hub.publish(["a"], Event(str(n)))
            await client.wait(n + 1)
            await asyncio.sleep(0.05)

        assert b"\n:\n\n" not in client.body


async def test_no_heartbeat():
    """None turns it off."""
    async with opened(heartbeat_seconds=None) as hub:
        client = await connect(hub, "a").placed()

        tasks = {task.get_coro().__qualname__ for task in hub._tasks}
        assert tasks == {"Delivery.flush_for_ever", "Hub._bound_lag_for_ever"}
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
        delivery = hub._delivery
        assert delivery._audiences_of == delivery._audiences == delivery._dirty == {}
        assert hub.connections == {}


async def test_a_channel_lingers(url):
    """A page that reloads finds its channel warm."""
    async with opened(url, linger_seconds=60) as hub:
        await hub.publish(["a"], Event("0"))
        client = await connect(hub, "a").placed()
        log = hub._listening["a"].log
        client.leave()
        await until(lambda: hub.statistics().subscribers == 0)

        await hub.publish(["a"], Event("1"))
        back = await resume(hub, client, "a")

        assert [e.data for e in await back.wait(1)] == ["1"]
        assert hub._listening["a"].log is log


async def test_a_channel_without_events_does_not_linger(url):
    """Unless a stream of it has lasted as long."""
    async with opened(url, linger_seconds=0.5) as hub:
        short, long = await connect(hub, "a").placed(), await connect(hub, "b").placed()
        short.leave()
        await until(lambda: hub.statistics().channels == 1)
        began_at = long.subscriber.began_at
        await until(lambda: asyncio.get_running_loop().time() > began_at + 0.5)

        long.leave()
        await until(lambda: hub.statistics().subscribers == 0)

        assert hub.statistics().channels == 1
        await until(lambda: hub.statistics().channels == 0)


async def test_cap_on_channels(url):
    """Channels that only linger make room; of those in use there are no more."""
    async with opened(url, max_channels=3, linger_seconds=60) as hub:
        await hub.publish(["a", "b", "c", "d"], Event("x"))
        first = await connect(hub, "a", "b").placed()
        first.leave()
        await until(lambda: hub.statistics().subscribers == 0)
        assert hub.statistics().channels == 2

        second = await connect(hub, "b", "c", "d").placed()

        assert set(hub._listening._channels) == {"\x01heliograph.control", "b", "c", "d"}
        with pytest.raises(TooManySubscribersError, match="3 channels") as caught:
            hub.admit(("b", "e"))
        assert (caught.value.limit, caught.value.what) == (3, "channels")
        assert caught.value.status == 503
        await connect(hub, "c", "d").placed()
        second.leave()
        assert hub.statistics().refused == 1


async def test_reloading_counts_once_for_an_address():
    """What lingers and is used again is not counted for both."""
    async with opened(max_channels_per_address=4, linger_seconds=60) as hub:
        await hub.publish(["a", "b", "c"], Event("x"))
        for _ in range(5):
            client = await connect(hub, "a", "b", address="10.0.0.1").placed()
            client.leave()
            await until(lambda: hub.statistics().subscribers == 0)
        assert hub._caps._channels == {"10.0.0.1": 2}
        hub._listening.make_room((), 1)
        assert not hub._caps._channels


async def test_cap_on_channels_of_an_address():
    """Counted for as long as they are listened to, lingering included."""
    async with opened(max_channels_per_address=3, linger_seconds=0.3) as hub:
        await hub.publish(["a", "b"], Event("x"))
        client = connect(hub, "a", "b", address="10.0.0.1")
        await client.placed()

        with pytest.raises(
            TooManySubscribersError, match=r"10\.0\.0\.1 has its 3 ch"
        ) as caught:
            hub.admit(("a", "c"), address="10.0.0.1")
        assert caught.value.status == 429
        hub.leave(hub.admit(("a", "c"), address="10.0.0.2"))
        client.leave()
        await until(lambda: hub.statistics().subscribers == 0)
        with pytest.raises(TooManySubscribersError):
            hub.admit(("a", "b"), address="10.0.0.1")

        await until(lambda: not hub._caps._channels)
        hub.admit(("a", "b"), address="10.0.0.1")


async def test_channels_that_are_asked_for_and_left_at_once(url):
    """Are never asked of storage if it has not begun; all others get their events."""
    async with opened(url) as hub:
        kept = connect(hub, "k0", "k1")
        for n in range(200):
            names = tuple(sorted(f"{n % 7}-{m}" for m in range(64)))
            hub.leave(hub.admit(names))
            if n % 50 == 0:
                await asyncio.sleep(0)
        again = await connect(hub, "3-1", "3-2").placed()
        await kept.placed()

        assert hub.statistics().channels == 4
        await hub.publish(["k1", "3-2"], Event("x"))
        await kept.wait(1)
        await again.wait(1)


async def test_one_client_leaves_while_others_are_served():
    """Leaving in the middle of a pass is harmless."""
    async with opened() as hub:
        clients = [await connect(hub, "a").placed() for _ in range(600)]

        await hub.publish(["a"], Event("x"))
        for client in clients[::2]:
            client.leave()
            hub.leave(client.subscriber)

        for client in clients[1::2]:
            assert len(await client.wait(1)) == 1
        hub.leave(clients[0].subscriber)


# Ending streams.


async def test_disconnect_in_all_processes(sqlite):
    """Streams of a channel are ended wherever they are; others are not."""
    async with opened(sqlite) as one, opened(sqlite) as other:
        clients = [await connect(hub, "a", "b").placed() for hub in (one, other)]
        spared = await connect(other, "b").placed()

        await one.disconnect("a")

        for client in clients:
            await client.ended()
        await one.publish(["b"], Event("still here"))
        await spared.wait(1)
        assert other.statistics().subscribers == 1


async def test_disconnect_before_a_stream_begins(sqlite):
    """Who was authorised before, in whichever process, has to come again."""
    async with opened(sqlite) as one, opened(sqlite) as other:
        before = time.monotonic_ns()
        await one.disconnect("a")
        await until(lambda: other._disconnects.latest > before)

        late = await connect(other, "a", "b", arrived_at=before).ended()
        spared = connect(other, "b", arrived_at=before)
        again = connect(other, "a", arrived_at=other._disconnects.latest)

        assert (late.body, late.data) == (b"", [])
        for client in (spared, again):
            await client.placed()
        assert other.statistics().subscribers == 2


async def test_more_disconnects_than_are_kept(sqlite):
    """A process that has missed some ends all streams: they are authorised again."""
    async with opened(sqlite, events=5) as one, opened(sqlite, events=5) as other:
        clients = [await connect(other, f"c{n}").placed() for n in range(30)]
        before = time.monotonic_ns()

        await asyncio.gather(*(one.disconnect(f"c{n}") for n in range(30)))

        for client in clients:
            await client.ended()
        assert other._disconnects.since(before, ["c0"])


def test_disconnects_are_remembered():
    """By channel, as many as there may be; what is forgotten counts as disconnected."""
    disconnects = Disconnects()
    moments = [disconnects.latest]
    for name in ("a", "b", "a"):
        disconnects.note(name)
        moments.append(disconnects.latest)

    assert [disconnects.since(n, ["a"]) for n in moments] == [True, True, True, False]
    assert [disconnects.since(n, ["x", "b"]) for n in moments] == [True, True, False, False]
    for n in range(10_002):
        disconnects.note(f"c{n}")
    assert disconnects.since(moments[-1], ["x"])
    assert not disconnects.since(disconnects.latest - 1, ["x"])
    assert len(disconnects._last) == 10_000
    disconnects.forget()
    assert disconnects.since(disconnects.latest - 1, ["x"])


def test_what_was_before_a_hub():
    """Is not known, unless it is said that it is."""
    before = time.monotonic_ns()
    disconnects = Disconnects()

    assert disconnects.since(before, ["a"])
    disconnects.know_since(before)
    assert not disconnects.since(before, ["a"])
    assert disconnects.since(before - 1, ["a"])


async def test_commands_from_before_a_hub_was_opened(sqlite):
    """A request that was under way then, in hooks, has to come again."""
    before = time.monotonic_ns()
    async with opened(sqlite) as one:
        await one.disconnect("a")
        async with opened(sqlite) as other:
            late = await connect(other, "a", arrived_at=before).ended()
            spared = await connect(other, "b", arrived_at=before).placed()

            assert (late.body, late.data) == (b"", [])
            assert spared.body


async def test_commands_that_have_aged_out(tmp_path, caplog):
    """They are no reason to begin all streams anew."""
    retention = Retention(events=1000, seconds=1000)
    old = SqliteBroker(tmp_path / "log", retention, clock=lambda: time.time() - 2000)
    hub = Hub(old, HubConfig())
    await hub.open()
    await hub.disconnect("a")
    await hub.close()
    before = time.monotonic_ns()
    later = Hub(SqliteBroker(tmp_path / "log", retention), HubConfig())
    await later.open()
    await later.publish(["a"], Event("removes what is too old"))
    await later.close()
    hub = Hub(SqliteBroker(tmp_path / "log", retention), HubConfig())
    await hub.open()
    assert (await hub._broker.read("\x01heliograph.control", None, 9)).entries == ()

    await connect(hub, "a", arrived_at=before).placed()

    await hub.close()
    assert "anew" not in caplog.text


async def test_more_commands_than_are_read(tmp_path):
    """What came before them is not known, so who arrived before the hub has to come again."""
    retention = Retention(events=3, seconds=1e6)
    before = time.monotonic_ns()
    hub = Hub(SqliteBroker(tmp_path / "log", retention), HubConfig())
    await hub.open()
    for n in range(5):
        await hub.disconnect(f"c{n}")
    async with opened(f"sqlite:///{tmp_path}/log", events=3, history_events=3) as other:
        await connect(other, "x", arrived_at=before).ended()
        await connect(other, "x", arrived_at=time.monotonic_ns()).placed()
    await hub.close()


async def test_disconnect_while_storage_is_away(tmp_path):
    """Who was let in then is let go when it is back; others stay."""
    folder, elsewhere = tmp_path / "later", tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with opened(f"sqlite:///{folder}/log") as hub:
        clients = [connect(hub, *names) for names in ("a", "ab", "b", "c")]
        async with opened(f"sqlite:///{elsewhere}/log") as other:
            for _ in range(300):
                await other.disconnect("x")
            await other.disconnect("a")
        elsewhere.rename(folder)

        for client in clients[:2]:
            await client.ended()
        for client in clients[2:]:
            await client.placed()
        assert hub.statistics().subscribers == 2


async def test_old_commands_when_storage_comes_back(tmp_path):
    """They were obeyed when they came."""
    folder, elsewhere = tmp_path / "later", tmp_path / "elsewhere"
    elsewhere.mkdir()
    retention = Retention(events=10, seconds=1e6)
    old = SqliteBroker(elsewhere / "log", retention, clock=lambda: time.time() - 100)
    hub = Hub(old, HubConfig())
    await hub.open()
    await hub.disconnect("a")
    await hub.close()
    async with opened(f"sqlite:///{elsewhere}/log") as hub:
        await hub.disconnect("last")
    async with opened(f"sqlite:///{folder}/log") as hub:
        client = connect(hub, "a")
        before = time.monotonic_ns()
        elsewhere.rename(folder)
        await until(lambda: hub._disconnects.latest > before)
        await client.placed()


@pytest.mark.parametrize("end", ["disconnect", "close"])
async def test_what_was_published_before_the_end_arrives(url, end):
    """A last event is part of the stream."""
    async with opened(url) as hub:
        clients = [await connect(hub, "a").placed() for _ in range(300)]

        await hub.publish(["a"], Event("goodbye"))
        if end == "disconnect":
            await hub.disconnect("a")
        else:
            await until(lambda: hub.statistics().entries == 1)
            await hub.close()

        for client in clients:
            assert (await client.ended()).data == ["goodbye"]


async def test_unknown_commands_are_logged(caplog):
    """A later version's command does no harm."""
    async with opened() as hub:
        client = await connect(hub, "a").placed()
        await hub._broker.append("\x01heliograph.control", Event("a", type="dance"))
        await hub.publish(["a"], Event("x"))
        await client.wait(1)

    assert "dance" in caplog.text


async def test_expiry():
    """A stream ends when its permission does."""
    async with opened() as hub:
        client = connect(hub, "a", expires_at=time.time() + 0.1)
        past = connect(hub, "a", expires_at=time.time() - 5)

        await client.ended()
        await past.ended()

        assert hub.statistics().subscribers == 0


async def test_close(url):
    """Streams end with the hub, which then refuses politely."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        catching_up = connect(hub, "b")
        entry = asyncio.create_task(hub.publish(["a"], Event("last")))
        await asyncio.sleep(0)

        await hub.close()
        await hub.close()

        await client.ended()
        await catching_up.ended()
        assert (await entry)[0].position.offset == 1
        for refused in (hub.publish(["a"], Event("x")), hub.disconnect("a")):
            with pytest.raises(HubClosedError):
                await refused
        with pytest.raises(HubClosedError):
            hub.admit(("a",))


async def test_closing_is_not_given_up(sqlite):
    """Whoever closes it is cancelled: it is closed all the same, and may be waited for again."""
    threads = set(threading.enumerate())
    async with opened(sqlite) as hub:
        await hub.publish(["a"], Event("x"))
        closing = asyncio.create_task(hub.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
    await until(lambda: set(threading.enumerate()) <= threads)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_subscriber_that_left_before_it_was_served():
    """Its connection is closed, and that is all."""
    async with opened() as hub:
        client = connect(hub, "a")
        hub.leave(client.subscriber)

        await client.ended()


async def test_half_closed_while_slow(caplog):
    """A client that stopped reading and says goodbye is forgotten at once, silently."""
    import socket

    async with opened(send_buffer_bytes=4096) as hub:
        clients = [await connect(hub, "a", read_buffer=4096).placed() for _ in range(20)]
        for _ in range(20):
            await hub.publish(["a"], Event("x" * 20_000))
        await until(lambda: all(client.subscriber.sink.paused for client in clients))

        for client in clients[::2]:
            client.connection.shutdown(socket.SHUT_WR)
        for client in clients[1::2]:
            client.leave()
        for _ in range(20):
            await hub.publish(["a"], Event("x" * 20_000))

        await until(lambda: hub.connections == {})
        assert hub.statistics().subscribers == 0
    assert caplog.text == ""


async def test_a_connection_that_is_dead_already():
    """A client that left while it was taken over is forgotten."""
    import socket

    async with opened() as hub:
        subscriber = hub.admit(("a",))
        ours, theirs = socket.socketpair()
        theirs.close()
        ours.close()

        hub.adopt(subscriber, ours, HEAD)

        assert hub.statistics().subscribers == 0


# A broker that is away.


async def test_streams_open_while_the_broker_is_away(tmp_path, caplog):
    """They get heartbeats, publishing fails by name, and all is well when it is back."""
    caplog.set_level(logging.WARNING)
    folder = tmp_path / "later"
    async with opened(f"sqlite:///{folder}/log", heartbeat_seconds=0.05) as hub:
        client = connect(hub, "a")
        await client.wait_for(lambda c: c.body.count(b":\n\n") >= 2)
        with pytest.raises(BrokerUnavailableError, match="later/log"):
            await hub.publish(["a"], Event("x"))
        assert hub.statistics().broker_available is False
        assert caplog.text.count("unavailable") == 1

        folder.mkdir()

        await client.placed()
        await hub.publish(["a"], Event("y"))
        assert [e.data for e in await client.wait(1)] == ["y"]
        assert hub.statistics().broker_available is True
        assert caplog.text.count("available again") == 1


async def test_opening_is_given_up_while_the_broker_is_away(tmp_path, monkeypatch):
    """Nothing of it goes on."""
    monkeypatch.setattr("heliograph.hub.hub._PLACE_SECONDS", 100)
    opening = asyncio.create_task(
        open_hub(f"sqlite:///{tmp_path}/missing/log", HubConfig())
    )
    await asyncio.sleep(0.1)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_connection_that_cannot_be_served(caplog):
    """It costs no place, and is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    async with opened() as hub:
        with theirs:
            hub.adopt(hub.admit(("a",)), ours, HEAD)
            await until(lambda: hub.statistics().subscribers == 0)
        assert ours.fileno() == -1
        assert hub.connections == {}
    assert "a task of the hub has failed" in caplog.text


async def test_closing_while_the_broker_is_away(tmp_path):
    """A client that has yet to be given its place is given its head, so that it comes back."""
    async with opened(f"sqlite:///{tmp_path}/missing/log") as hub:
        client = connect(hub, "a")
        await asyncio.sleep(0)  # it begins to wait

    await client.ended()
    assert client.raw == HEAD


async def test_leaving_while_the_broker_is_away(tmp_path):
    """A client that gives up waiting leaves nothing behind."""
    async with opened(f"sqlite:///{tmp_path}/missing/log", linger_seconds=0) as hub:
        client = connect(hub, "a")
        await client.read()
        client.leave()

        await until(lambda: hub.statistics().channels == 0)


async def test_a_fault_of_ours_ends_the_stream(monkeypatch, caplog):
    """A bug in catching up must not leave a client waiting for ever."""

    async def broken(self):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("heliograph.hub.catch_up.CatchUp.advance", broken)
    async with opened() as hub:
        client = await connect(hub, "a", last_event_id="x").ended()

        assert hub.statistics().subscribers == 0
    assert client.events == []
    assert "a bug" in caplog.text


async def test_who_has_joined_since_is_given_nothing():
    """Not even no bytes, which would end a response in chunks."""
    written = []

    class Recorder:
        paused = False
        write = staticmethod(written.append)
        close = abort = staticmethod(lambda: None)

    async with opened() as hub:
        await connect(hub, "a").placed()
        append = asyncio.create_task(hub.publish(["a"], Event("x")))
        for _ in range(20):
            hub.attach(hub.admit(("a",)), Recorder())
            await asyncio.sleep(0)
        await append
        await hub.publish(["a"], Event("y"))
        await until(lambda: b"data: y" in b"".join(written[-20:]))
    assert len(written) > 20
    assert b"" not in written


async def test_a_fault_of_a_sink_spares_the_others(caplog):
    """One write that fails ends one stream."""

    class Broken:
        paused = False
        writes = 0

        def write(self, data):
            self.writes += 1
            if self.writes > 2:
                raise ZeroDivisionError("a bug")

        def close(self):
            raise ZeroDivisionError("another bug")

        abort = close

    async with opened() as hub:
        first = await connect(hub, "a").placed()
        hub.attach(hub.admit(("a",)), Broken())
        last = await connect(hub, "a").placed()

        await hub.publish(["a"], Event("x"))

        assert len(await first.wait(1)) == len(await last.wait(1)) == 1
        assert hub.statistics().subscribers == 2
    assert "a bug" in caplog.text
    assert "another bug" in caplog.text


async def test_a_fault_of_a_feed_spares_the_others(caplog):
    """Whatever is wrong in one selection, the other ones are served."""

    class Broken:
        joined = False

        @property
        def paused(self):
            if self.joined:
                raise ZeroDivisionError("a bug")
            return False

        def write(self, data):
            pass

        close = abort = lambda self: None

    async with opened() as hub:
        other = await connect(hub, "b").placed()
        sink = Broken()
        hub.attach(hub.admit(("a",)), sink)
        await connect(hub, "a").placed()
        sink.joined = True
        await hub.publish(["a"], Event("x"))
        await hub.publish(["b"], Event("y"))
        assert (await other.wait(1))[0].data == "y"
    assert "a bug" in caplog.text


@pytest.fixture
async def faults():
    """What the loop is told that nobody catches."""
    found = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: found.append(fault))
    return found


async def fill(hub, subscriber):
    """Publish until the client is behind what the kernel holds for it."""
    while not subscriber.sink.paused:
        await hub.publish(["a"], Event("x" * 60_000))
        await asyncio.sleep(0.001)


def test_files(monkeypatch):
    """They are looked at again after a second, and when there is none left to look with."""
    now = 0.0
    monkeypatch.setattr("heliograph.hub.files.time.monotonic", lambda: now)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = Files()
    others = []
    assert files.have_room()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
        with contextlib.suppress(OSError):
            while True:
                others.append(os.open(os.devnull, os.O_RDONLY))
        assert files.have_room()  # it has just looked
        now = 1.5
        assert not files.have_room()
        while others:
            os.close(others.pop())
        assert not files.have_room()  # the same
        now = 3.0
        assert files.have_room()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in others:
            os.close(number)


async def test_a_client_that_takes_the_rest_of_a_stream(monkeypatch, faults):
    """Whoever is behind when its stream is ended has some time for it, and then has gone."""
    monkeypatch.setattr("heliograph.hub.sinks.connection.CLOSE_SECONDS", 0.5)
    async with opened() as hub:
        client = await connect(hub, "a").placed()
        await fill(hub, client.subscriber)
        hub.end(client.subscriber)
        await client.ended()
        await asyncio.sleep(0.6)
    assert client.events
    assert faults == []


async def test_a_client_that_leaves_as_it_is_given_more(faults):
    """It is lost once, whatever the loop has yet to do with it."""
    async with opened(send_buffer_bytes=None) as hub:
        ours, theirs = (
            socket.create_server(("127.0.0.1", 0)),
            socket.socket(),
        )
        with ours, theirs:
            theirs.connect(ours.getsockname())
            theirs.setblocking(False)
            accepted, _ = ours.accept()
            subscriber = hub.admit(("a",))
            hub.adopt(subscriber, accepted, HEAD)
            await until(lambda: subscriber.cursor is not None)
            await fill(hub, subscriber)
            for _ in range(3):
                await hub.publish(["a"], Event("x" * 60_000))

            loop = asyncio.get_running_loop()

            def drain():
                with contextlib.suppress(BlockingIOError):
                    while theirs.recv(1 << 20):
                        pass

            def make_room():
                drain()
                loop.call_soon(leave)

            def leave():
                # The loop has seen that it may write, and has not written.
                drain()
                theirs.close()

            loop.call_soon(make_room)
            await until(lambda: hub.statistics().subscribers == 0)
    assert faults == []


async def test_own_ids_are_bounded(url):
    """A client has to send an id back in a header."""
    async with opened(url) as hub:
        with pytest.raises(InvalidFieldError, match="1024 bytes"):
            await hub.publish(["a"], Event("x", id="é" * 513))

        assert await hub.publish(["a"], Event("x", id="é" * 512))


async def test_too_large(url):
    """An event over the limit is refused before it is stored."""
    async with opened(url, max_event_bytes=100) as hub:
        with pytest.raises(EventTooLargeError):
            await hub.publish(["a"], Event("x" * 100))

        (entry,) = await hub.publish(["a"], Event("x" * 80))

        assert entry.position.offset == 1


async def test_statistics(url):
    """Counters count."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a", "b"], Event("x"))
        await client.wait(1)

        found = hub.statistics()

        assert (found.subscribers, found.channels, found.feeds) == (1, 1, 1)
        assert (found.published, found.entries, found.gaps, found.refused) == (2, 1, 0, 0)
