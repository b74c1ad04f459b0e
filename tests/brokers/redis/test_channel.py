"""What a channel hands on has no hole, whatever happens to the connection or the data."""

import asyncio
import logging
import shutil

import pytest
from on_redis import appended, kept_away, opened

from heliograph import BrokerUnavailableError, Event, HubConfig
from heliograph.brokers.contract import RecordingListener
from heliograph.channels.position import Position
from heliograph.hub import HubThread
from streams import until


async def test_clients_killed(server):
    """After a reconnect what was missed is read before new messages are handed on."""
    ear = RecordingListener()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        await here.listen("a")
        killed = 0
        with server.client() as client:
            for round_ in range(1, 6):
                killed += client.client_kill_filter(_type="pubsub")
                for _ in range(20):
                    await there.append("a", Event("x"))
                await ear.wait_for_entries(20 * round_)

    assert killed == 5
    assert ear.offsets("a") == list(range(1, 101))


async def test_restart(server, caplog):
    """Redis is restarted with its file: nothing is lost, and offsets continue."""
    caplog.set_level(logging.WARNING)
    ear = RecordingListener()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        await here.listen("a")
        for _ in range(5):
            last = await there.append("a", Event("before"))
        await ear.wait_for_entries(5)

        server.kill()
        with pytest.raises(BrokerUnavailableError, match="127"):
            await there.append("a", Event("while it is away"))
        server.start()
        after = await there.append("a", Event("after"))

        assert after.position == Position(last.position.epoch, 6)
        await ear.wait_for_entries(6)
        assert ear.offsets("a") == [1, 2, 3, 4, 5, 6]
        assert ear.connection == [False, True]


async def test_data_lost(server):
    """FLUSHALL is another life, for readers and for listeners."""
    ear = RecordingListener()
    async with opened(server.url, ear) as broker:
        await broker.listen("a")
        first = await broker.append("a", Event("x"))
        await ear.wait_for_entries(1)
        with server.client() as client:
            client.flushall()

        second = await broker.append("a", Event("y"))

        assert second.position.offset == 1
        assert second.position.epoch != first.position.epoch
        assert await ear.wait_for_entries(2) == [first, second]
        assert (await broker.read("a", first.position, 9)).gap == "epoch"


async def test_published_while_it_begins_to_listen(server):
    """What comes between Redis's confirmation and its answer is not lost, nor given twice."""
    ear = RecordingListener()
    async with opened(server.url, ear) as broker, opened(server.url) as other:
        stop = asyncio.Event()

        async def publish(channel):
            while not stop.is_set():
                await other.append(channel, Event("x"))

        publishers = [asyncio.create_task(publish(f"c{n}")) for n in range(4)]
        heads = {}
        for n in range(4):
            heads[f"c{n}"] = await broker.listen(f"c{n}")
            await asyncio.sleep(0.05)
        stop.set()
        await asyncio.gather(*publishers)

        for n in range(4):
            last = (await other.append(f"c{n}", Event("last"))).position.offset
            expected = list(range(heads[f"c{n}"].offset + 1, last + 1))
            while ear.offsets(f"c{n}")[-1:] != [last]:
                await asyncio.sleep(0.01)
            assert ear.offsets(f"c{n}") == expected


async def test_listening_over_the_first_event(server):
    """Who listened before it goes over to the channel's own life without a gap."""
    ear = RecordingListener()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        start = await here.listen("a")
        assert start == (await there.read("b", None, 0)).head
        entry = await there.append("a", Event("x"))

        assert await ear.wait_for_entries(1) == [entry]
        assert entry.position.epoch != start.epoch
        assert ear.restarts == []
        assert ear.renamed == [("a", Position(entry.position.epoch, 0), False)]


async def test_output_buffer_limit(own_server):
    """Redis disconnects who does not read in time; what he missed is read from history."""
    own_server.set("client-output-buffer-limit", "pubsub 200kb 0 0")
    ear = RecordingListener()
    async with opened(own_server.url, ear) as here:
        await here.listen("a")
        hub = HubThread(own_server.url, HubConfig())
        # Blocks the loop on which the other one listens.
        for n in range(600):
            hub.publish(["a"], Event(f"{n} {'x' * 20_000}"))
        hub.close()

        await ear.wait_for_entries(600)

        assert ear.offsets("a") == list(range(1, 601))
        await until(lambda: ear.connection == [False, True])


async def test_nothing_left(own_server):
    """After a restart without data the channel's next life is announced before it begins."""
    ear = RecordingListener()
    async with opened(own_server.url, ear) as broker:
        await broker.listen("a")
        await broker.append("a", Event("x"))
        await ear.wait_for_entries(1)
        own_server.kill()
        shutil.rmtree(own_server.folder / "appendonlydir")
        own_server.start()

        await until(lambda: ear.restarts)
        second = await appended(broker, "a", Event("y"))

        assert (await ear.wait_for_entries(2))[1] == second
        # Its life has no row at first, and nobody misses anything when it gets one.
        ((_, start, _),) = ear.restarts
        assert start.offset == 0
        assert ear.renamed[-1] == ("a", Position(second.position.epoch, 0), False)


@pytest.mark.parametrize("part", ["channel", "events"])
async def test_evicted_keys(server, part):
    """Whichever of a channel's two keys is evicted, nobody takes new entries for old ones."""
    ear = RecordingListener()
    async with opened(server.url, ear) as broker:
        await broker.listen("a")
        for _ in range(3):
            last = await broker.append("a", Event("x"))
        await ear.wait_for_entries(3)
        with server.client() as client:
            client.delete(f"heliograph:{{a}}:{part}")

        after = await broker.append("a", Event("y"))

        assert (await ear.wait_for_entries(4))[3] == after
        old = Position(last.position.epoch, 1)
        history = await broker.read("a", old, 9)
        assert history.gap == ("epoch" if part == "channel" else "trimmed")
        assert history.entries == (after,)


async def test_listened_to_again_at_once(server):
    """A channel that is dropped and listened to again at once gets its events."""
    ear = RecordingListener()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        for heard in range(1, 51):
            await here.listen("a")
            here.unlisten("a")
            if heard % 2:
                await asyncio.sleep(0)
            await here.listen("a")
            await there.append("a", Event("x"))
            await ear.wait_for_entries(heard)
            here.unlisten("a")


async def test_a_fault_while_it_begins_to_listen(server):
    """The caller gets it, instead of an error that says that the channel was closed."""
    async with opened(server.url) as broker:
        broker._storage._names = None

        with pytest.raises(AttributeError):
            await broker.listen("a")


async def test_many_channels_catch_up(server):
    """After a reconnect few pages are held at a time, each of bounded size."""
    ear = RecordingListener()
    channels = [f"c{n}" for n in range(50)]
    async with opened(server.url, ear) as here, opened(server.url) as there:
        for name in channels:
            await here.listen(name)
        held, most, sizes = 0, 0, []

        async def watched(channel, *args, take=here._storage.read, **options):
            nonlocal held, most
            held, most = held + 1, max(most, held + 1)
            try:
                page = await take(channel, *args, **options)
            finally:
                held -= 1
            sizes.append(sum(len(one.event.data) for one in page.history.entries))
            return page

        here._storage.read = watched
        with kept_away(here, server):
            for _ in range(3):
                event = Event("x" * 100_000)
                await asyncio.gather(*(there.append(name, event) for name in channels))
        await ear.wait_for_entries(150)

    for name in channels:
        assert ear.offsets(name) == [1, 2, 3]
    assert 1 < most <= 32
    assert max(sizes) <= 300_000


# A message that arrives once a channel has been ended. Add a row, not a test.
LATE = {
    "the-next-entry": b'{epoch} 2 1 token - {"data": "x"}',
    "an-entry-after-a-hole": b'{epoch} 9 1 token - {"data": "x"}',
    "another-life": b'other 1 1 token - {"data": "x"}',
}


@pytest.mark.parametrize("message", LATE.values(), ids=LATE.keys())
async def test_messages_after_the_end(server, message):
    """They are ignored: the line delivers while its broker is closed, when no task may begin."""
    ear = RecordingListener()
    async with opened(server.url, ear) as broker:
        await broker.append("a", Event("x"))
        epoch = (await broker.listen("a")).epoch
        (channel,) = broker._routing.channels
        await until(lambda: not channel.is_catching_up)

        await channel.end()
        channel.on_message(message.replace(b"{epoch}", epoch.encode()))
        channel.on_subscribed()

        assert not channel.is_catching_up
        assert ear.entries == []
