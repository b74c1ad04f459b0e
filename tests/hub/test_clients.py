"""Tickets: what they can be used for, how often, and what of them is left."""

import asyncio
import inspect
import logging
import socket
import time

import pytest

from heliograph import Event
from heliograph.hub import Admission
from heliograph.wire.framing import Framing
from hubs import Recording, opened
from streams import HEAD, Client, connect, connections, until


def pair():
    """Return the hub's end of a connection, and a client at the other."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    connections.append(theirs)
    return ours, Client(theirs)


def dead():
    """Return a connection that cannot be served any more."""
    ours, client = pair()
    client.leave()
    ours.close()
    return ours


def not_a_stream():
    """Return a connection that the loop refuses when it is opened."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    connections.append(theirs)
    return ours


# What ends a client before a ticket is used, and what the ticket is then used for. Add a
# row, not a test.
ENDS = {
    "released": lambda hub, ticket: hub.release(ticket),
    "finished": lambda hub, ticket: hub.finish(ticket),
    "finished-with-all": lambda hub, ticket: hub.finish_all(),
}
USES = {
    "release": lambda hub, ticket: hub.release(ticket),
    "finish": lambda hub, ticket: hub.finish(ticket),
    "finish_when": lambda hub, ticket: hub.finish_when(ticket, lambda: True),
    "when_left": lambda hub, ticket: hub.when_left(ticket, lambda _: None),
}


@pytest.mark.parametrize("framing", Framing)
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("end", ENDS)
async def test_a_ticket_whose_client_has_left(end, use, framing):
    """It is left alone, and nothing of it is held; a stream that is served for it ends."""
    async with opened(max_subscribers_per_address=9) as hub:
        ticket = hub.admit(Admission(("a",), address="10.0.0.1"))
        ENDS[end](hub, ticket)

        USES[use](hub, ticket)
        await hub.locate(ticket)

        sink = Recording(framing)
        hub.attach(ticket, sink)
        ours, client = pair()
        hub.adopt(ticket, ours, HEAD)
        await client.ended()
        assert (sink.calls, sink.data, client.raw) == (["close"], framing.end, HEAD)
        assert hub.statistics().subscribers == 0
        assert not hub._clients._admission._slots._streams


@pytest.mark.parametrize("end", [*ENDS, "left"])
async def test_when_a_client_has_left(end):
    """A function is called once, whatever the reason; at once if it has left before."""
    called = []
    async with opened() as hub:
        ticket = hub.admit(Admission(("a",)))
        ours, client = pair()
        hub.adopt(ticket, ours, HEAD)
        await client.placed()

        hub.when_left(ticket, lambda _: called.append("then"))
        assert called == []
        if end == "left":
            client.leave()
        else:
            ENDS[end](hub, ticket)
        await until(lambda: called)
        hub.when_left(ticket, lambda _: called.append("at once"))

        assert called == ["then", "at once"]


async def test_a_ticket_of_another_hub():
    """Numbers are of one hub each, and of one client each."""
    async with opened() as one, opened() as other:
        tickets = [hub.admit(Admission(("a",))) for hub in (one, one, other)]

        assert len(set(tickets)) == 3
        assert [ticket.hub for ticket in tickets] == [one.number, one.number, other.number]


async def test_how_many_streams_an_address_has():
    """A ticket says so, for the face's advice."""
    async with opened(max_subscribers_per_address=9) as hub:
        first, second = (hub.admit(Admission(("a",), address="10.0.0.1")) for _ in range(2))
        assert (first.at_address, second.at_address) == (1, 2)
        assert hub.admit(Admission(("a",))).at_address == 1


async def test_attached_twice(caplog):
    """The second client is sent away, and the first one's stream continues."""
    async with opened() as hub:
        ticket = hub.admit(Admission(("a",)))
        first, second = Recording(), Recording()
        hub.attach(ticket, first)

        hub.attach(ticket, second)

        assert first.calls == []
        assert (second.calls, second.data) == (["close"], b"")
        assert hub.statistics().subscribers == 1
        assert "used twice" in caplog.text


# What a ticket is used for when its client is served. Add a row, not a test.
@pytest.mark.parametrize("connection", ["good", "dead", "not-a-stream"])
async def test_adopted_after_it_was_attached(connection):
    """Whatever becomes of the second connection, the first one's stream continues."""
    async with opened() as hub:
        ticket = hub.admit(Admission(("a",)))
        sink = Recording()
        hub.attach(ticket, sink)

        if connection == "good":
            ours, client = pair()
            hub.adopt(ticket, ours, HEAD)
            await client.ended()
            assert client.raw == HEAD
        else:
            hub.adopt(ticket, dead() if connection == "dead" else not_a_stream(), HEAD)
            await until(lambda: len(hub.connections) == 0)

        assert sink.calls == []
        assert hub.statistics().subscribers == 1


async def test_adopted_twice():
    """One of them is served; the other is sent its head and the end."""
    async with opened() as hub:
        ticket = hub.admit(Admission(("a",)))
        (one, first), (two, second) = pair(), pair()

        hub.adopt(ticket, one, HEAD)
        hub.adopt(ticket, two, HEAD)

        await first.placed()
        await second.ended()
        assert second.raw == HEAD
        assert hub.statistics().subscribers == 1


async def test_released_while_it_is_served():
    """Its connection is closed with it: nobody would write to it any more."""
    async with opened() as hub:
        client = await connect(hub, "a").placed()

        hub.release(client.ticket)

        await client.ended()
        await until(lambda: len(hub.connections) == 0)
        assert hub.statistics().subscribers == 0


async def test_finishing_all():
    """Those that are served finish, and those that begin from then on finish as they begin."""
    async with opened() as hub:
        served, admitted = Recording(), Recording()
        hub.attach(hub.admit(Admission(("a",))), served)
        ticket = hub.admit(Admission(("a",)))

        hub.finish_all()
        hub.attach(ticket, admitted)
        late = Recording()
        hub.attach(hub.admit(Admission(("a",))), late)

        assert [sink.calls for sink in (served, admitted, late)] == [["close"]] * 3
        assert hub.statistics().subscribers == 0


async def test_the_position_of_one_that_resumes():
    """It has one already, so locating waits for nothing, and changes nothing."""
    async with opened() as hub:
        ticket = hub.admit(Admission(("a",), last_event_id="mine"))
        subscriber = hub._clients._admission.find(ticket.number)

        await hub.locate(ticket)

        assert subscriber.last_event_id == "mine"


async def _lag(hub, client):
    await client.placed()
    while hub.statistics().subscribers:
        await hub.publish(["a"], Event("x" * 200_000))
        await asyncio.sleep(0.001)


# How a stream ends, and what the log says.
REASONS = {
    "left": (lambda hub, client: client.leave(), "the client has left"),
    "disconnected": (lambda hub, client: hub.disconnect("a"), "'a' is disconnected"),
    "released": (
        lambda hub, client: hub.release(client.ticket),
        "its client, its server or its program has ended it",
    ),
    "stopping": (lambda hub, client: hub.finish(client.ticket), "its server stops"),
    "closed": (lambda hub, client: hub.finish_all(), "the hub is closed"),
    "lagging": (_lag, "the client lags too far behind"),
    "expired": (lambda hub, client: None, "its time is over"),
}


@pytest.mark.parametrize("end", REASONS)
async def test_a_line_for_each_end(caplog, end):
    """At DEBUG: which channels, whether it resumes, and why it ends."""
    act, reason = REASONS[end]
    with caplog.at_level(logging.DEBUG, "heliograph.streams"):
        async with opened(max_lag_bytes=262_144) as hub:
            expires_at = time.time() if end == "expired" else None
            client = connect(hub, "a", "b", last_event_id="x", expires_at=expires_at)
            done = act(hub, client)
            if inspect.isawaitable(done):
                await done
            await until(lambda: not hub.statistics().subscribers)

    number = client.ticket.number
    assert [record.getMessage() for record in caplog.records] == [
        f"stream {number} of ['a', 'b'] resumes",
        f"stream {number} of ['a', 'b'] ends: {reason}",
    ]
