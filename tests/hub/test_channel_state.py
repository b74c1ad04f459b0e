"""The end of a channel, its state, and what is asked of its past."""

import asyncio
import dataclasses

import pytest

from heliograph import ChannelEndedError, Event, InvalidFieldError
from heliograph.brokers import Terms
from heliograph.channels.start import Start
from heliograph.hub import Admission
from heliograph.hub.timings import DEFAULT_TIMINGS
from hubs import opened, resume
from streams import StreamParser, connect, until

RETAINED = Terms(retain_as="")


def end(channel, event=None, terms=Terms()):  # noqa: B008 - frozen
    return lambda state: state.end(channel, event, terms)


def seen(client):
    """What a client has got: data, or the type of an event of ours and its channel."""
    return [
        event.data if event.type == "message" else f"{event.type} {event.data}"
        for event in client.events
    ]


def ended(channel="a"):
    return f'heliograph.end {{"channel": "{channel}"}}'


async def is_refused(client):
    """Whether the client gets 204 and nothing else."""
    await client.ended()
    return client.raw == b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize("last", [None, Event("last")], ids=["bare", "with-an-event"])
async def test_open_streams_end(url, last):
    """They get all that was published, the end, and an id at which nothing comes again."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        for n in range(3):
            await hub.publish(["a"], Event(str(n)))

        id_ = await hub.ask(end("a", last))

        await client.ended()
        assert seen(client) == ["0", "1", "2", *([last.data] if last else []), ended()]
        assert client.parser.last_event_id == client.events[-1].id == id_
        assert await is_refused(await resume(hub, client, "a"))
        await until(lambda: hub.statistics().subscribers == 0)


async def test_an_end_with_an_id_of_its_own(url):
    """The end has another id than the last event, and history is not asked for it."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        id_ = await hub.ask(end("a", Event("last", id="own")))
        await client.ended()

        assert [event.id for event in client.events] == ["own", id_]
        late = await connect(hub, "a", last_event_id="own").ended()
        assert seen(late) == [ended()]
        assert await is_refused(connect(hub, "a", last_event_id=id_))
        await hub.ask(lambda state: state.begin("a"))
        await hub.publish(["a"], Event("next"))
        assert (await connect(hub, "a", last_event_id=id_).wait(1))[0].data == "next"


@pytest.mark.parametrize("own_id", [None, "own"])
@pytest.mark.parametrize("channels", ["a", "ab"])
@pytest.mark.parametrize("start", ["live", "retained", "start"])
async def test_cut_off_before_the_end(url, channels, start, own_id):
    """Wherever a client is cut off, it gets the rest and the end when it resumes, once."""
    async with opened(url) as hub:

        async def given(**options):
            client = connect(hub, *channels, **options)
            if "b" in channels and client.raw == b"":
                await client.placed()
                await hub.publish(["b"], Event("then"))
                await client.wait_for(lambda it: "then" in it.data)
            await client.ended() if channels == "a" else client.leave()
            return client

        for n in range(3):
            await hub.publish(["a"], Event(str(n)), Terms(retain_as=str(n)))
        last = end("a", Event("last", id=own_id), RETAINED)
        if start == "live":
            client = await connect(hub, *channels, start=Start.parse("start")).wait_for(
                lambda it: "2" in it.data
            )
            await hub.ask(last)
            await client.wait_for(lambda it: ended() in seen(it))
        else:
            await hub.ask(last)
            client = await given(start=Start.parse(start))
        whole = [name for name in seen(client) if name != "then"]
        assert whole == ["0", "1", "2", "last", ended()]

        blocks = client.body.split(b"\n\n")
        for cut in range(1, len(blocks)):
            before = StreamParser()
            got = before.feed(b"\n\n".join([*blocks[:cut], b""]))
            late = await given(last_event_id=before.last_event_id)
            names = [event.data for event in got if event.data != "then"]
            rest = [name for name in seen(late) if name != "then"]
            assert len(names) + len(rest) == len(whole), (cut, names, rest)
            assert rest == whole[len(names) :]


@pytest.mark.parametrize("channels", ["a", "ab"])
async def test_cut_off_before_an_end_that_is_past(url, channels):
    """Also if the channel has begun again before the client is back, and ended again."""
    async with opened(url) as hub:
        client = await connect(hub, *channels).placed()
        await hub.ask(end("a", Event("last")))
        await client.wait_for(lambda it: ended() in seen(it))
        cut = StreamParser()
        cut.feed(client.body.partition(b"event: heliograph.end")[0])
        client.leave()
        await hub.ask(lambda state: state.begin("a"))

        for news in ([], ["new"], ["new", "newer", ended()]):
            if len(news) == 1:
                await hub.publish(["a"], Event("new"))
            elif news:
                await hub.ask(end("a", Event("newer")))
            late = connect(hub, *channels, last_event_id=cut.last_event_id)
            await late.wait(1 + len(news))
            assert seen(late) == [ended(), *news]
            again = connect(hub, *channels, last_event_id=late.events[0].id)
            await again.wait(len(news))
            assert seen(again) == news
            late.leave(), again.leave()


async def test_an_id_that_claims_an_end(url):
    """An id comes from a client: what it says of storage is looked up there."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        for n in range(3):
            await hub.publish(["a"], Event(str(n)))
        await client.wait(3)
        for n in (0, 2, 7):
            id_ = client.parser.last_event_id.replace("-3", f"-{n}~{n}")
            late = await connect(hub, "a", last_event_id=id_).placed()
            await hub.publish(["a"], Event("next"))
            await late.wait_for(lambda it: "next" in it.data)
            assert ended() not in seen(late)
            late.leave()


# Where a stream begins that has no position -> what it gets of a channel that has ended.
LATE = {
    "now": None,
    "retained": None,
    "start": ["0", "1", "2", ended()],
    2: ["2", ended()],
}


@pytest.mark.parametrize("start", LATE)
async def test_whoever_comes_late(url, start):
    """A stream that begins now has nothing to get; others get the rest, and the end."""
    async with opened(url) as hub:
        for n in range(3):
            await hub.publish(["a"], Event(str(n)))
        await hub.ask(end("a"))

        client = connect(hub, "a", start=Start.parse(start))

        if LATE[start] is None:
            assert await is_refused(client)
        else:
            await client.ended()
            assert seen(client) == LATE[start]
            assert await is_refused(await resume(hub, client, "a"))


async def test_resuming_before_the_end(url):
    """What was missed comes first."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("0"))
        await client.wait(1)
        client.leave()
        await hub.publish(["a"], Event("1"))
        await hub.ask(end("a", Event("2")))

        late = await resume(hub, client, "a")

        await late.ended()
        assert seen(late) == ["1", "2", ended()]


async def test_what_is_retained_of_an_ended_channel(url):
    """A page that is opened after the end of a job shows how it has ended."""
    async with opened(url) as hub:
        await hub.publish(["a"], Event("half"), RETAINED)
        await hub.ask(end("a", Event("all"), RETAINED))

        client = await connect(hub, "a").ended()

        assert seen(client) == ["all", ended()]
        assert await is_refused(await resume(hub, client, "a"))
        assert await is_refused(connect(hub, "a", start=Start.parse("now")))


async def test_the_end_beyond_history(url):
    """It is told also when history no longer holds it, and once."""
    async with opened(url, events=2) as hub:
        await hub.publish(["a"], Event("kept"), RETAINED)
        for n in range(4):
            await hub.publish(["a"], Event(str(n)))
        await hub.ask(end("a"))

        client = await connect(hub, "a").ended()

        assert seen(client) == ["kept", ended()]
        assert await is_refused(await resume(hub, client, "a"))


async def test_a_stream_of_two(url):
    """It goes on until the second has ended; each end is told once."""
    async with opened(url) as hub:
        client = await connect(hub, "a", "b").placed()
        await hub.ask(end("a"))
        await client.wait(1)
        client = await resume(hub, client, "a", "b")
        await client.placed()
        fresh = await connect(hub, "a", "b").placed()
        await hub.publish(["b"], Event("1"))
        await hub.ask(end("b"))

        for each in (client, fresh):
            await each.ended()
        assert seen(client) == ["1", ended("b")]
        assert seen(fresh) == [ended("a"), "1", ended("b")]
        assert await is_refused(await resume(hub, fresh, "a", "b"))


async def test_an_ended_channel_begins_again(url):
    """A client that has seen the end gets the new life, whole and without a gap."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("old"), RETAINED)
        await hub.ask(end("a"))
        await client.ended()
        with pytest.raises(ChannelEndedError):
            await hub.publish(["a"], Event("late"))

        id_ = await hub.ask(lambda state: state.begin("a"))

        assert id_ == client.parser.last_event_id
        resumed = await (await resume(hub, client, "a")).placed()
        started = await connect(hub, "a", start=Start.parse("start")).placed()
        now = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("new"))
        for each in (resumed, started, now):
            await each.wait(1)
            assert seen(each) == ["new"]


async def test_begun_in_another_process(sqlite):
    """A process that has not heard of it yet asks storage before it sends a client away."""
    async with opened(sqlite) as hub, opened(sqlite) as other:
        client = await connect(hub, "a").placed()
        await hub.ask(end("a"))
        await client.ended()
        await other.ask(lambda state: state.begin("a"))

        resumed = await (await resume(hub, client, "a")).placed()
        now = await connect(hub, "a").placed()

        await other.publish(["a"], Event("new"))
        for each in (resumed, now):
            await each.wait(1)
            assert seen(each) == ["new"]


async def test_ended_in_another_process(sqlite):
    """Its streams end everywhere, and so does one in a process that was not there."""
    async with opened(sqlite) as hub:
        client = await connect(hub, "a").placed()
        async with opened(sqlite) as other:
            await other.ask(end("a"))
        await client.ended()
        assert seen(client) == [ended()]
        async with opened(sqlite) as third:
            assert await is_refused(await resume(third, client, "a"))


async def test_ending_twice(url):
    """Without an event it is the same as once; a last event would be lost."""
    async with opened(url) as hub:
        first = await hub.ask(end("a", Event("last")))

        assert await hub.ask(end("a")) == first
        with pytest.raises(ChannelEndedError):
            await hub.ask(end("a", Event("more")))


async def test_a_slow_client_gets_the_end(url):
    """All that waits for it is sent before its stream ends."""
    async with opened(url, send_buffer_bytes=4096) as hub:
        client = await connect(hub, "a", read_buffer=4096).placed()
        for n in range(40):
            await hub.publish(["a"], Event(f"{n} {'x' * 10_000}"))
        await hub.ask(end("a"))

        await client.ended()

        assert [text[:2].strip() for text in seen(client)[:-1]] == [
            str(n) for n in range(40)
        ]
        assert seen(client)[-1] == ended()


async def test_a_program_iterates_to_the_end(url):
    """The iteration ends, and the end is no event of it."""
    async with opened(url) as hub:
        await hub.publish(["a"], Event("0"))
        start = Start.parse("start")
        async with hub.subscribe(("a",), start=start) as subscription:
            await hub.publish(["a"], Event("1"))
            await hub.ask(end("a", Event("2")))
            assert [event.data async for event in subscription] == ["0", "1", "2"]
        async with hub.subscribe(("a",)) as subscription:
            assert [event async for event in subscription] == []


async def test_position(url):
    """A stream with that id gets what is published after it was asked for."""
    async with opened(url) as hub:
        await hub.publish(["a", "b"], Event("before"))

        id_ = await hub.ask(lambda state: state.position(("a", "b")))

        await hub.publish(["b"], Event("after"))
        client = connect(hub, "a", "b", last_event_id=id_)
        assert [event.data for event in await client.wait(1)] == ["after"]
        assert (await client.placed()).parser.openings[0]["resumed"]


async def test_position_of_a_channel_without_events(url):
    """It is as good as any other."""
    async with opened(url) as hub:
        id_ = await hub.ask(lambda state: state.position(("a",)))
        await hub.publish(["a"], Event("first"))

        client = connect(hub, "a", last_event_id=id_)

        assert seen(await client.wait_for(lambda c: c.events)) == ["first"]


async def test_last(url):
    """The newest event, or the one with a key, with the id to resume after it."""
    async with opened(url) as hub:

        async def last(key=None):
            return await hub.ask(lambda state: state.last("a", key))

        assert await last() is None
        await hub.publish(["a"], Event("1"), Terms(retain_as="x"))
        await hub.publish(["a"], Event("2", type="t"))
        newest, kept = await last(), await last("x")
        assert (newest.data, newest.type, kept.data) == ("2", "t", "1")
        assert await last("") is None
        client = connect(hub, "a", last_event_id=kept.id)
        assert seen(await client.wait_for(lambda c: c.events)) == ["t 2"]

        await hub.ask(end("a"))
        assert await last() == newest
        await hub.ask(lambda state: state.begin("a"))
        await hub.ask(end("a"))
        assert await last() is None


async def test_history(url):
    """Page by page, as a stream would give it."""
    async with opened(url, events=3) as hub:

        async def page(after=None, limit=100):
            events = await hub.ask(lambda state: state.history("a", after, limit))
            return [f"{e.type or ''}{e.data}" for e in events], [e.id for e in events]

        early = await hub.ask(lambda state: state.position(("a",)))
        assert await page() == ([], [])
        for n in range(1, 4):
            await hub.publish(["a"], Event(str(n), id="own" if n == 3 else None))
        texts, ids = await page(limit=2)
        assert texts == ["1", "2"]
        assert (await page(ids[-1]))[0] == (await page(ids[1]))[0] == ["3"]
        await hub.ask(end("a", Event("4")))
        assert (await page("own"))[0] == ["4", 'heliograph.end{"channel": "a"}']
        texts, ids = await page(early)
        assert texts[0].startswith("heliograph.gap")
        assert texts[1:3] == ["2", "3"]
        assert (await page(ids[0]))[0] == texts[1:]
        with pytest.raises(InvalidFieldError, match="must be the id of an event"):
            await page("junk")


async def test_forget(url):
    """What is retained no longer is given to nobody; later pages need not ask storage."""
    async with opened(url) as hub:
        await hub.publish(["a"], Event("kept"), Terms(retain_as="x"))
        assert seen(await connect(hub, "a").wait_for(lambda c: c.events)) == ["kept"]

        await hub.ask(lambda state: state.forget(("a",), "x"))

        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("live"))
        await client.wait(1)
        assert seen(client) == ["live"]
        assert not hub._table["a"].has_retained


async def test_the_end_while_storage_is_slow(url):
    """A client that cannot be told at once gets a stream, which ends when storage answers."""
    timings = dataclasses.replace(DEFAULT_TIMINGS, heads_seconds=0.1)
    async with opened(url, timings=timings) as hub:
        client = await connect(hub, "a").placed()
        await hub.ask(end("a"))
        await client.ended()
        held = hub._storage._broker = Held(hub._broker)

        client = connect(hub, "a", last_event_id=client.parser.last_event_id)

        await client.wait_for(lambda c: c.body)
        held.goes_on.set()
        await client.ended()
        assert client.raw.startswith(b"HTTP/1.1 200 OK")
        assert seen(client) == []


class Held:
    """A broker that answers no read until it is told to."""

    def __init__(self, broker):
        self.broker, self.goes_on = broker, asyncio.Event()

    async def read(self, *args):
        await self.goes_on.wait()
        return await self.broker.read(*args)


def test_admissions_begin_with_what_is_retained():
    """A page that is loaded shows the state of its channels."""
    assert Admission(("a",)).start == Start.parse("retained")
