"""How far a client has come when it leaves: as far as what was written to it says."""

import pytest

from heliograph import Event
from heliograph.brokers.values import Terms
from heliograph.channels.position import Position
from heliograph.channels.start import Start
from heliograph.hub import Admission, Leave
from heliograph.hub.subscriber import Subscriber
from hubs import Recording, opened
from streams import StreamParser, until

# What a page and a little more takes.
BIG = Event("x" * 40_000)


class Traced:
    """A client whose sink can be paused."""

    def __init__(self, hub, channels=("a",), **options):
        self.hub, self.channels = hub, channels
        self.sink = Recording()
        self.left, self.last_event_id = [], options.get("last_event_id")
        self.ticket = hub.admit(Admission(channels, is_traced=True, **options))
        hub.when_left(self.ticket, self.left.append)

    @property
    def written(self):
        parser = StreamParser()
        parser.feed(self.sink.data)
        return parser.last_event_id or self.last_event_id

    async def begin(self):
        await self.hub.locate(self.ticket)
        self.hub.attach(self.ticket, self.sink)

    async def placed(self):
        await self.begin()
        await until(lambda: b"id: " in self.sink.data)


async def publish(hub, *events, channels=("a",)):
    for event in events:
        await hub.publish(channels, event)


async def not_begun(hub, client):
    pass


async def begun(hub, client):
    await client.placed()


async def given_events(hub, client):
    await client.placed()
    await publish(hub, Event("1"), Event("2"), channels=("a", "b"))
    await until(lambda: b"data: 2" in client.sink.data)


async def behind(hub, client):
    """What was published since it was paused has not been written."""
    await given_events(hub, client)
    client.sink.is_paused = True
    other = Traced(hub, client.channels)
    await other.placed()
    await publish(hub, Event("3"))
    await until(lambda: b"data: 3" in other.sink.data)


async def joining(hub, client):
    """It has got pages, and not all: each is more than it takes."""
    client.sink.is_paused = True
    await client.begin()
    await until(lambda: client.sink.data.count(b"data: x") >= 2)


CASES = [
    pytest.param(not_begun, {}, id="not-begun"),
    pytest.param(not_begun, {"last_event_id": "own"}, id="not-begun-with-an-id"),
    pytest.param(begun, {}, id="nothing-published"),
    pytest.param(begun, {"last_event_id": "own"}, id="an-unknown-id"),
    pytest.param(given_events, {}, id="events"),
    pytest.param(behind, {}, id="behind"),
    pytest.param(joining, {"start": Start.parse("start")}, id="joining"),
    pytest.param(begun, {"start": Start.parse("start")}, id="joining-with-retained"),
]


@pytest.mark.parametrize("channels", [("a",), ("a", "b")], ids=["one", "two"])
@pytest.mark.parametrize("end", ["release", "finish"])
@pytest.mark.parametrize(("come_so_far", "options"), CASES)
async def test_reached(come_so_far, options, end, channels):
    """It resumes with exactly what it was not written; with one channel, and with several."""
    async with opened() as hub:
        await publish(hub, *[BIG] * 5)
        await hub.publish(["a"], Event("kept"), Terms(retain_as=""))
        client = Traced(hub, channels, **options)
        await come_so_far(hub, client)

        hub.finish(client.ticket) if end == "finish" else hub.release(client.ticket)

        (leave,) = client.left
        assert leave.last_event_id == client.written


async def test_seconds():
    """The time since it was admitted."""
    async with opened() as hub:
        client = Traced(hub)
        hub._clients._admission.find(client.ticket.number).admitted_at -= 50
        await client.placed()
        hub.release(client.ticket)

        assert 50 <= client.left[0].seconds < 110
        # Nothing was missed, so it was told its position at once.
        assert client.left[0].last_event_id == client.written


async def test_a_write_that_fails():
    """What a sink has refused does not count."""
    async with opened() as hub:
        client = Traced(hub)
        await given_events(hub, client)
        client.sink.faults.add("write")

        await publish(hub, Event("never"))

        await until(lambda: client.left)
        assert client.left[0].last_event_id == client.written


async def test_a_new_epoch():
    """The id is that of the epoch that clients are told last, also for one that comes then."""
    async with opened() as hub:
        clients = [Traced(hub), Traced(hub)]
        await clients[0].placed()
        for epoch in ("one", "two"):
            hub._table.on_restart("a", Position(epoch, 0), gap=False)
        await clients[1].placed()
        for client in clients:
            hub.finish(client.ticket)

            assert client.left[0].last_event_id == client.written
            assert client.written.endswith("two-0")


async def test_only_who_asks_is_traced():
    """Others do nothing for it, and their position is not known."""
    async with opened() as hub:
        ticket, left = hub.admit(Admission(("a",))), []
        for _ in range(2):
            hub.when_left(ticket, left.append)

        assert type(hub._clients._admission.find(ticket.number)) is Subscriber
        hub.release(ticket)

        assert left == [Leave(left[0].seconds, None)] * 2
