"""One client as a state machine: each transition, what it writes, and who is told."""

import asyncio
import random
import socket
import time
import zlib

import pytest

from heliograph import (
    Event,
)
from heliograph.channels.blocks import HEARTBEAT
from heliograph.channels.feed import Feed
from heliograph.channels.position import Position, Positions
from heliograph.channels.selection import Selection
from heliograph.hub import Admission
from heliograph.hub.sinks import ConnectionSink
from heliograph.hub.subscriber import State, Subscriber
from heliograph.wire.coding import Coding
from heliograph.wire.framing import Framing
from hubs import Recording, Taking, opened
from streams import connect, until

GREETING = b":\nretry: 1\n"
PAGE = b"data: page\n\n"
BLOCK = b"data: block\n\n"
CHUNKED = Framing.CHUNKED.frame
END = Framing.CHUNKED.end


class Told:
    """An observer that counts."""

    def __init__(self):
        self.times = 0

    def on_left(self, subscriber):
        assert subscriber.cursor is None
        assert not subscriber.is_open
        self.times += 1


class Raising(Told):
    """An observer with a bug."""

    def on_left(self, subscriber):
        super().on_left(subscriber)
        raise ZeroDivisionError("a bug of an observer")


def admitted(*observers, coding=Coding.IDENTITY):
    return Subscriber(
        1,
        ("a",),
        None,
        coding=coding,
        address=None,
        expires_at=None,
        admitted_at=0.0,
        observers=observers,
    )


def new_feed(framing=Framing.CHUNKED, coding=Coding.IDENTITY):
    selection = Selection(("a",), framing, coding)
    return Feed(Positions({"a": Position("e", 0)}), selection=selection)


def brought_to(state, sink):
    """Return a subscriber in a state; one that follows has a block to take. And its observer."""
    told = Told()
    subscriber = admitted(told)
    if state is not State.ADMITTED:
        subscriber.begin(sink, GREETING, None)
    if state not in {State.ADMITTED, State.JOINING}:
        feed = new_feed()
        subscriber.follow(feed)
        feed.append_block(BLOCK)
    if state is State.FINISHING:
        subscriber.finish()
    if state is State.GONE:
        subscriber.on_lost()
    assert subscriber.state is state
    sink.data, sink.calls = b"", []
    return subscriber, told


CALLS = {
    "begin": lambda one, sink: one.begin(sink, GREETING, None),
    "give": lambda one, sink: one.give(PAGE),
    "give-nothing": lambda one, sink: one.give(),
    "follow": lambda one, sink: one.follow(new_feed()),
    "finish": lambda one, sink: one.finish(),
    "drop": lambda one, sink: one.drop(),
    "on_lost": lambda one, sink: one.on_lost(),
    "on_resumed": lambda one, sink: one.on_resumed(),
    "on_silent": lambda one, sink: one.on_silent(),
    "flush": lambda one, sink: one.flush(),
    "beat": lambda one, sink: one.beat(asyncio.get_running_loop().time() + 9, 5.0),
    "beat-early": lambda one, sink: one.beat(asyncio.get_running_loop().time(), 5.0),
}

ADMITTED, JOINING, FOLLOWING, FINISHING, GONE = State

# (state, call) -> (state, bytes written, what the sink is asked for). Whatever is not here
# changes nothing. Add a row, not a test.
TRANSITIONS = {
    (ADMITTED, "begin"): (JOINING, CHUNKED(GREETING), []),
    (ADMITTED, "finish"): (GONE, b"", []),
    (ADMITTED, "drop"): (GONE, b"", []),
    (ADMITTED, "on_lost"): (GONE, b"", []),
    (JOINING, "give"): (JOINING, CHUNKED(PAGE), []),
    (JOINING, "beat"): (JOINING, CHUNKED(HEARTBEAT), []),
    (JOINING, "on_silent"): (JOINING, CHUNKED(HEARTBEAT), []),
    (JOINING, "follow"): (FOLLOWING, b"", []),
    (JOINING, "finish"): (FINISHING, END, ["close"]),
    (JOINING, "drop"): (GONE, b"", ["abort"]),
    (JOINING, "on_lost"): (GONE, b"", []),
    (FOLLOWING, "flush"): (FOLLOWING, CHUNKED(BLOCK), []),
    (FOLLOWING, "on_resumed"): (FOLLOWING, CHUNKED(BLOCK), []),
    (FOLLOWING, "on_silent"): (FOLLOWING, CHUNKED(HEARTBEAT), []),
    (FOLLOWING, "finish"): (FINISHING, CHUNKED(BLOCK) + END, ["close"]),
    (FOLLOWING, "drop"): (GONE, b"", ["abort"]),
    (FOLLOWING, "on_lost"): (GONE, b"", []),
    (FINISHING, "drop"): (GONE, b"", ["abort"]),
    (FINISHING, "on_lost"): (GONE, b"", []),
}

# Our own mistakes: only an admitted subscriber begins, only one that joins follows.
MISTAKES = {
    *((state, "begin") for state in State if state is not ADMITTED),
    *((state, "follow") for state in State if state is not JOINING),
}


async def test_a_heartbeat_of_its_own_in_a_shared_window():
    """What follows does not refer to a sequence that this client has not received."""
    block = b"data: " + random.Random(1).randbytes(400).hex().encode() + b"\n\n"
    feed = new_feed(Framing.IDENTITY, Coding.GZIP_WINDOW)
    sink = Recording()
    subscriber = admitted(coding=Coding.GZIP_WINDOW)
    subscriber.begin(sink, Coding.GZIP_WINDOW.prologue, None)
    subscriber.follow(feed)
    for _ in range(2):
        for _ in range(4):
            feed.append_block(block)
            subscriber.flush()
        subscriber.on_silent()

    decoded = zlib.decompressobj(wbits=31).decompress(sink.data)
    assert decoded == 2 * (4 * block + HEARTBEAT)
    assert len(sink.writes[4]) < len(sink.writes[1]) / 10


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", State)
async def test_transitions(state, call):
    """Each call in each state; observers are told once, when the subscriber stops being open."""
    sink = Recording(Framing.CHUNKED)
    subscriber, told = brought_to(state, sink)

    if (state, call) in MISTAKES:
        with pytest.raises(AssertionError):
            CALLS[call](subscriber, sink)
    else:
        CALLS[call](subscriber, sink)

    expected = TRANSITIONS.get((state, call), (state, b"", []))
    assert (subscriber.state, sink.data, sink.calls) == expected
    assert told.times == (0 if subscriber.is_open else 1)
    assert b"" not in sink.writes


@pytest.mark.parametrize("end", ["finish", "drop", "on_lost"])
@pytest.mark.parametrize("state", [ADMITTED, JOINING, FOLLOWING])
async def test_ends_of_one_stream(state, end):
    """Whatever comes after the first of them, in any order, observers are told once."""
    for then in (["finish", "drop", "on_lost"], ["on_lost", "drop", "finish", "drop"]):
        sink = Recording(Framing.CHUNKED)
        subscriber, told = brought_to(state, sink)
        for call in [end, *then]:
            CALLS[call](subscriber, sink)
        assert told.times == 1
        assert subscriber.state is GONE
        assert sink.calls.count("abort") <= 1
        assert sink.calls.count("close") <= 1


# (state, call, what of the sink raises). Add a row, not a test.
FAULTS = [
    (ADMITTED, "begin", {"attach"}),
    (ADMITTED, "begin", {"write"}),
    (JOINING, "give", {"write"}),
    (JOINING, "beat", {"write"}),
    (JOINING, "beat", {"paused"}),
    (JOINING, "finish", {"write"}),
    (JOINING, "finish", {"close"}),
    (FOLLOWING, "flush", {"write"}),
    (FOLLOWING, "flush", {"paused"}),
    (FOLLOWING, "on_resumed", {"paused"}),
    (FOLLOWING, "on_resumed", {"write"}),
    (FOLLOWING, "on_silent", {"write"}),
    (FOLLOWING, "on_silent", {"paused"}),
    (FOLLOWING, "finish", {"write"}),
    (FOLLOWING, "finish", {"close"}),
    (FOLLOWING, "drop", {"abort"}),
]


@pytest.mark.parametrize("abort_raises", [False, True])
@pytest.mark.parametrize(("state", "call", "faults"), FAULTS)
async def test_a_sink_that_raises(caplog, state, call, faults, abort_raises):
    """Its stream is dropped, its connection aborted, the fault logged; nobody else is reached."""
    sink = Recording(Framing.CHUNKED)
    subscriber, told = brought_to(state, sink)
    sink.faults = faults | ({"abort"} if abort_raises else set())

    CALLS[call](subscriber, sink)

    assert subscriber.state is GONE
    assert sink.calls[-1] == "abort"
    assert sink.calls.count("abort") == 1
    assert told.times == 1
    for name in sink.faults & {*sink.calls, *faults}:
        assert f"a bug in {name}" in caplog.text


@pytest.mark.parametrize("position", range(3))
async def test_an_observer_that_raises(caplog, position):
    """The others let go of the subscriber all the same."""
    observers = [Told(), Told()]
    observers.insert(position, Raising())
    subscriber = admitted(*observers)

    subscriber.finish()
    subscriber.drop()

    assert [observer.times for observer in observers] == [1, 1, 1]
    assert "a bug of an observer" in caplog.text


@pytest.mark.parametrize("call", ["flush", "on_resumed", "finish", "drop", "on_lost"])
async def test_a_feed_that_raises(caplog, call):
    """Its subscribers are dropped one by one, and everybody lets go of them."""
    sink = Recording(Framing.CHUNKED)
    subscriber, told = brought_to(FOLLOWING, sink)
    subscriber.feed._cursors_at.clear()

    CALLS[call](subscriber, sink)

    assert (subscriber.state, sink.data, told.times) == (GONE, b"", 1)
    assert "KeyError" in caplog.text


@pytest.mark.parametrize("framing", Framing)
async def test_framing(framing):
    """Greeting, pages, what a feed carries, and the end are delimited in one way."""
    sink = Recording(framing)
    subscriber = admitted()
    feed = new_feed(framing)

    subscriber.begin(sink, GREETING, None)
    subscriber.give(PAGE)
    subscriber.follow(feed)
    feed.append_block(BLOCK)
    feed.append_block(HEARTBEAT)
    subscriber.flush()
    subscriber.finish()

    assert subscriber.selection.framing is framing
    blocks = [GREETING, PAGE, BLOCK + HEARTBEAT]
    assert sink.writes == [*map(framing.frame, blocks), *filter(None, [framing.end])]


async def test_finish_while_paused():
    """What was published before the end is written all the same."""
    sink = Recording()
    subscriber, told = brought_to(FOLLOWING, sink)
    sink.is_paused = True
    assert subscriber.flush() == len(BLOCK)

    subscriber.finish()

    assert CHUNKED(BLOCK) == sink.data
    assert (subscriber.state, sink.calls, told.times) == (FINISHING, ["close"], 1)


async def test_a_paused_client_is_given_no_heartbeat():
    """It has something to take already."""
    sink = Recording()
    subscriber, _ = brought_to(JOINING, sink)
    sink.is_paused = True

    CALLS["beat"](subscriber, sink)

    assert sink.data == b""


async def test_unsent_bytes():
    """What a sink holds, and the page that was read for this client alone."""
    sink = Recording()
    subscriber = admitted()
    subscriber.page_bytes = 3
    assert subscriber.unsent_bytes == 3
    sink.unsent_bytes = 4

    subscriber.begin(sink, GREETING, None)

    assert subscriber.unsent_bytes == 7


# (what a sink has to tell as soon as it is attached, state after, what the sink is asked for)
EARLY = [("on_lost", GONE, b"", []), ("finish", FINISHING, END, ["close"])]


@pytest.mark.parametrize(("early", "state", "data", "calls"), EARLY)
async def test_what_happened_before_the_sink_was_attached(early, state, data, calls):
    """A loss, or a server that stops, between the takeover and here: no greeting, no timer."""

    class Early(Recording):
        def attach(self, client):
            getattr(client, early)()

    told, sink = Told(), Early(Framing.CHUNKED)
    subscriber = admitted(told)

    subscriber.begin(sink, GREETING, 600.0)

    assert (subscriber.state, sink.data, sink.calls) == (state, data, calls)
    assert told.times == 1
    assert subscriber._expiry is None


async def test_a_connection_that_was_lost_before_it_was_attached():
    """The subscriber has left in the step in which it would begin."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    sink = ConnectionSink()
    transport, _ = await loop.connect_accepted_socket(lambda: sink, ours)
    sink.take(transport)
    theirs.close()
    await until(lambda: sink._is_lost)
    told = Told()
    subscriber = admitted(told)

    subscriber.begin(sink, GREETING, None)

    assert (subscriber.state, told.times) == (GONE, 1)
    assert subscriber.unsent_bytes == 0


async def test_expiry_of_one_that_has_left():
    """Its timer keeps it no longer."""
    sink = Recording()
    subscriber = admitted()
    subscriber.begin(sink, GREETING, 600.0)

    subscriber.on_lost()

    assert subscriber._expiry.cancelled()


async def test_expiry_in_the_past():
    """The stream begins, and ends."""
    sink = Recording()
    subscriber = admitted()

    subscriber.begin(sink, GREETING, -5.0)
    await until(lambda: not subscriber.is_open)

    assert (sink.data, sink.calls) == (GREETING, ["close"])


@pytest.mark.parametrize("wake", ["on_resumed", "finish", "fault"])
async def test_waiting_until_the_client_has_taken_its_page(wake):
    """Until the sink resumes; one whose sink cannot tell waits no longer."""
    sink = Recording()
    subscriber, _ = brought_to(JOINING, sink)
    await subscriber.drained()
    sink.is_paused = True
    waiting = asyncio.create_task(subscriber.drained())
    await asyncio.sleep(0)
    subscriber.on_resumed()
    await asyncio.sleep(0)
    assert not waiting.done()

    if wake == "fault":
        sink.faults = {"paused"}
    elif wake == "finish":
        subscriber.finish()
    else:
        sink.is_paused = False
    subscriber.on_resumed()

    await waiting


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
            assert hub._clients._admission.find(events._ticket.number).expires_at is None


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


async def test_expiry():
    """A stream ends when its permission does."""
    async with opened() as hub:
        client = connect(hub, "a", expires_at=time.time() + 0.1)
        past = connect(hub, "a", expires_at=time.time() - 5)

        await client.ended()
        await past.ended()

        assert hub.statistics().subscribers == 0


async def test_a_subscriber_that_left_before_it_was_served():
    """Its connection is closed, and that is all."""
    async with opened() as hub:
        client = connect(hub, "a")
        hub.release(client.ticket)

        await client.ended()


async def test_a_fault_of_a_sink_spares_the_others(caplog):
    """One write that fails ends one stream."""

    class Broken(Taking):
        writes = 0

        def write(self, data):
            self.writes += 1
            if self.writes > 1:
                raise ZeroDivisionError("a bug")

        def close(self):
            raise ZeroDivisionError("another bug")

        abort = close

    async with opened() as hub:
        first = await connect(hub, "a").placed()
        hub.attach(hub.admit(Admission(("a",))), Broken())
        last = await connect(hub, "a").placed()

        await hub.publish(["a"], Event("x"))

        assert len(await first.wait(1)) == len(await last.wait(1)) == 1
        assert hub.statistics().subscribers == 2
    assert "a bug" in caplog.text
    assert "another bug" in caplog.text
