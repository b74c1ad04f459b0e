"""Whatever happens to Redis, what is handed on has no hole, or says so."""

import asyncio
import contextlib
import shutil
import subprocess
import time

import pytest
import uvloop
from contract import Ear, offsets
from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from heliograph import BrokerUnavailableError, Event, HubConfig
from heliograph.brokers import PlainChannels, Retention, open_broker
from heliograph.brokers.base import Attempt
from heliograph.brokers.redis.subscription import Subscription
from heliograph.channels.position import Position
from heliograph.hub import Hub, HubThread
from redises import Cluster, RedisServer, Watched, wait_for
from streams import connect, until

RETENTION = Retention(events=10_000, seconds=86_400)
ALL_TEXT = PlainChannels(["a*", "b*", "c*", "g*", "h*", "s*"], format="text")


@pytest.fixture
def server(tmp_path):
    server = RedisServer(tmp_path / "redis")
    yield server
    server.kill()


@contextlib.asynccontextmanager
async def opened(url, listener=None, retention=RETENTION, plain_channels=None):
    broker = open_broker(url, retention, plain_channels=plain_channels)
    await broker.open(listener or Ear())
    try:
        yield broker
    finally:
        await broker.close()


@contextlib.asynccontextmanager
async def hub_at(url, **config):
    hub = Hub(open_broker(url, RETENTION), HubConfig(**config))
    await hub.open()
    try:
        yield hub
    finally:
        await hub.close()


async def appended(broker, channel, event, attempt=None):
    """Append, however often it takes."""
    attempt = attempt or Attempt()
    while True:
        try:
            return await broker.append(channel, event, repeats=attempt)
        except BrokerUnavailableError:
            await asyncio.sleep(0.05)


@contextlib.contextmanager
def kept_away(broker, server):
    """Cut the connection on which a broker listens, and keep it so."""
    settings = broker._routing.topology.nodes[
        0
    ].line._client.connection_pool.connection_kwargs
    settings["port"] = 1
    with server.client() as client:
        client.client_kill_filter(_type="pubsub")
    yield
    settings["port"] = server.port


def go_back(server, head):
    """Make channel ``a`` what it was at an earlier head, as on a replica that is behind."""
    with server.client() as client, client.pipeline() as pipe:
        pipe.xdel("heliograph:{a}:events", *(f"{n}-0" for n in range(head + 1, head + 9)))
        pipe.execute_command("XSETID", "heliograph:{a}:events", f"{head}-0")
        pipe.hset("heliograph:{a}:channel", "head", head)
        pipe.execute()


async def rolled_back(server, here, there, ear):
    """Let five entries be saved and five more be lost; give the position of the last."""
    await here.listen("a")
    for n in range(5):
        await there.append("a", Event(f"saved {n}"))
    with server.client() as client:
        client.save()
    for n in range(5):
        last = await there.append("a", Event(f"lost {n}"))
    await ear.hear(10)
    server.kill()
    return last.position


@pytest.fixture
def snapshots(tmp_path):
    """A server that keeps what it has saved, and nothing more."""
    server = RedisServer(tmp_path / "redis", "--appendonly", "no")
    yield server
    server.kill()


async def test_an_older_snapshot(snapshots):
    """Offsets that would be given twice are those of another life: listeners are told."""
    ear = Ear()
    async with opened(snapshots.url, ear) as here, opened(snapshots.url) as there:
        lost = await rolled_back(snapshots, here, there, ear)

        snapshots.start()
        await until(lambda: ear.restarts)
        entry = await appended(there, "a", Event("after"))

        assert entry.position.offset == 6
        assert entry.position.epoch != lost.epoch
        assert ear.restarts == [("a", Position(entry.position.epoch, 5), True)]
        await ear.hear(11)
        assert ear.entries[10] == entry
        history = await there.read("a", lost, 9)
        assert (history.gap, list(history.entries)) == ("epoch", [entry])


async def test_who_is_behind_at_a_rollback_misses_nothing(snapshots):
    """What has come back is given to whoever had yet to see it, and is no gap for him."""
    ear = Ear()
    async with opened(snapshots.url, ear) as here, opened(snapshots.url) as there:
        lost = await rolled_back(snapshots, here, there, ear)
        snapshots.start()
        await until(lambda: ear.restarts)
        entry = await appended(there, "a", Event("after"))

        history = await there.read("a", Position(lost.epoch, 3), 9)

        assert (history.gap, history.start) == (None, Position(entry.position.epoch, 3))
        assert offsets(history) == [4, 5, 6]
        last = await there.read("a", Position(lost.epoch, 5), 9)
        assert (last.gap, list(last.entries)) == (None, [entry])
        past = await there.read("a", Position(lost.epoch, 6), 9)
        assert (past.gap, list(past.entries)) == ("epoch", [entry])


async def test_positions_survive_many_lives(server):
    """Each life is remembered, up to where the present one is the same; not for ever."""
    ear = Ear()
    async with opened(server.url) as here, opened(server.url, ear) as there:
        for n in range(9):
            first = await here.append("a", Event(str(n)))
        await there.listen("a")
        epochs = [first.position.epoch]
        for n in range(18):
            lost = await appended(here, "a", Event("lost"))
            assert lost.position == Position(epochs[-1], 10)
            await ear.hear(n + 1)
            go_back(server, 9)
            epochs.append((await here.read("a", None, 0)).head.epoch)

        reads = [await here.read("a", Position(epoch, 7), 9) for epoch in epochs]

        assert len(set(epochs)) == 19
        assert [history.gap for history in reads] == ["epoch"] * 2 + [None] * 17
        assert {tuple(offsets(history)) for history in reads[2:]} == {(8, 9)}
        # The second time more was lost.
        go_back(server, 5)
        assert (await here.read("a", Position(epochs[5], 5), 9)).gap is None
        assert (await here.read("a", Position(epochs[5], 7), 9)).gap == "epoch"


def kept(server):
    """Give channel ``a`` as it is, to be put back with :func:`put_back`."""
    with server.client() as client:
        return [client.dump(f"heliograph:{{a}}:{part}") for part in ("channel", "events")]


def put_back(server, dumps):
    with server.client() as client, client.pipeline() as pipe:
        for part, dump in zip(("channel", "events"), dumps, strict=True):
            pipe.restore(f"heliograph:{{a}}:{part}", 0, dump, replace=True)
        pipe.execute()


async def append_all(broker, word, *offsets):
    """Append events that say which they are; give the last."""
    for offset in offsets:
        entry = await broker.append("a", Event(f"{word} {offset}"))
        assert entry.position.offset == offset
    return entry


def data(history):
    return [entry.event.data for entry in history.entries]


async def test_an_older_life_that_comes_back(server):
    """The same state twice: what was given between is noticed by who knows the later life."""
    async with opened(server.url) as broker:
        await append_all(broker, "saved", 1, 2, 3, 4, 5)
        saved = kept(server)
        first = await append_all(broker, "lost", 6, 7, 8)
        put_back(server, saved)
        second = await append_all(broker, "lost again", 6, 7)
        put_back(server, saved)
        third = await append_all(broker, "new", 6, 7, 8)

        epochs = {one.position.epoch for one in (first, second, third)}
        assert len(epochs) == 3
        for offset, gap, expected in [
            (3, None, ["saved 4", "saved 5", "new 6", "new 7", "new 8"]),
            (5, None, ["new 6", "new 7", "new 8"]),
            (7, "epoch", ["new 6", "new 7", "new 8"]),
        ]:
            history = await broker.read("a", Position(first.position.epoch, offset), 99)
            assert (history.gap, data(history)) == (gap, expected)
        # Of the life that was lost as a whole nothing is known.
        history = await broker.read("a", second.position, 99)
        assert (history.gap, len(history.entries)) == ("epoch", 8)


async def test_callers_of_many_ages_agree(server):
    """After a loss of everything nobody begins a life that others have begun already."""
    async with contextlib.AsyncExitStack() as stack:
        brokers = [await stack.enter_async_context(opened(server.url)) for _ in range(4)]
        for broker in brokers:
            last = await broker.append("a", Event("x"))
        with server.client() as client:
            client.flushall()

        positions = [(await broker.append("a", Event("y"))).position for broker in brokers]
        again = [(await broker.append("a", Event("z"))).position for broker in brokers]

        assert {position.epoch for position in positions + again} == {again[0].epoch}
        assert again[0].epoch != last.position.epoch
        assert [position.offset for position in positions + again] == list(range(1, 9))


async def test_who_was_away_over_two_failovers(server):
    """Somebody else has noticed them, who had not seen what the one who was away has."""
    ear = Ear()
    async with opened(server.url, ear) as away:
        await away.listen("a")
        await append_all(away, "saved", 1, 2, 3, 4, 5)
        saved = kept(server)
        first = await append_all(away, "lost", 6, 7)
        await ear.hear(7)
        with kept_away(away, server):
            put_back(server, saved)
            async with opened(server.url) as other:
                await append_all(other, "new", 6, 7, 8)
                saved = kept(server)
                await append_all(other, "lost", 9, 10)
                put_back(server, saved)
                last = await append_all(other, "new", 9)
                assert last.position.epoch != first.position.epoch

        await ear.hear(11)

        assert ear.restarts == [("a", Position(last.position.epoch, 5), True)]
        assert [entry.event.data for entry in ear.entries[7:]] == [
            f"new {n}" for n in (6, 7, 8, 9)
        ]
        # What it knows counts for its clients, too, wherever they come back.
        history = await away.read("a", first.position, 9)
        assert (history.gap, offsets(history)) == ("epoch", [6, 7, 8, 9])


async def test_a_rollback_before_which_nothing_is_held(server):
    """Nothing vouches for any place then, not even for the one before the oldest entry."""
    few = Retention(events=3, seconds=86_400)
    ear = Ear()
    async with opened(server.url, ear, few) as away:
        await away.listen("a")
        await append_all(away, "saved", 1, 2, 3, 4, 5)
        saved = kept(server)
        lost = await append_all(away, "lost", *range(6, 12))
        await ear.hear(11)
        with kept_away(away, server):
            put_back(server, saved)
            async with opened(server.url, None, few) as other:
                await append_all(other, "new", *range(6, 13))

        await ear.hear(14)

        for offset in range(1, 12):
            history = await away.read("a", Position(lost.position.epoch, offset), 9)
            assert (history.gap, offsets(history)) == ("epoch", [10, 11, 12])


async def test_what_was_seen_before_a_channel_was_dropped(server):
    """A process that listens anew says what it has seen, and so a loss is noticed."""
    ear = Ear()
    async with opened(server.url, ear) as here, opened(server.url) as other:
        await here.listen("a")
        await append_all(here, "saved", 1, 2, 3)
        saved = kept(server)
        lost = await append_all(here, "lost", 4, 5)
        await ear.hear(5)
        here.unlisten("a")
        put_back(server, saved)
        await append_all(other, "new", 4, 5, 6)

        await here.listen("a")

        history = await here.read("a", lost.position, 9)
        assert (history.gap, data(history)) == ("epoch", ["new 4", "new 5", "new 6"])


async def test_streams_that_are_behind_at_a_rollback(snapshots):
    """Who had not seen what was lost is not told of it, in whatever process he is."""
    url = snapshots.url
    async with hub_at(url) as ahead, hub_at(url) as behind:
        seers = [await connect(hub, "a", "b").placed() for hub in (ahead, ahead, behind)]
        for n in range(5):
            await ahead.publish(["a"], Event(f"saved {n}"))
            if n == 2:
                await seers[1].wait(3)
                seers[1].leave()
        await seers[2].wait(5)
        with snapshots.client() as client:
            client.save()
        with kept_away(behind._broker, snapshots):
            for n in range(2):
                await ahead.publish(["a"], Event(f"lost {n}"))
            await seers[0].wait(7)
            snapshots.kill()
            snapshots.start()
            await seers[0].wait(8)
            back = [
                connect(hub, "a", "b", last_event_id=seers[1].parser.last_event_id)
                for hub in (ahead, behind)
            ]
            for client in back:
                await client.wait(2)
        await ahead.publish(["a"], Event("after"))

        assert (await seers[0].wait(9))[7].type == "heliograph.gap"
        assert seers[0].data[8] == "after"
        await seers[2].wait(6)
        assert seers[2].data == [*(f"saved {n}" for n in range(5)), "after"]
        for client in back:
            await client.wait(3)
            assert client.data == ["saved 3", "saved 4", "after"]
        assert {client.parser.last_event_id for client in (*back, seers[0], seers[2])} == {
            back[0].parser.last_event_id
        }
        assert (ahead.statistics().gaps, behind.statistics().gaps) == (1, 0)


async def test_an_older_snapshot_that_was_published_to(snapshots):
    """A stranger has given the offsets again, and more, before the listener is back."""
    ear = Ear()
    async with opened(snapshots.url, ear) as here, opened(snapshots.url) as there:
        lost = await rolled_back(snapshots, here, there, ear)
        snapshots.start()
        with kept_away(here, snapshots):
            async with opened(snapshots.url) as stranger:
                for n in range(9):
                    again = await stranger.append("a", Event(f"again {n}"))
                assert (again.position.epoch, again.position.offset) == (lost.epoch, 14)

        # What the stranger has published is the beginning of the new life.
        await appended(here, "a", Event("after"))
        await ear.hear(20)
        ((_, start, gap),) = ear.restarts
        assert (start.offset, start.epoch != lost.epoch, gap) == (5, True, True)
        # These places are of both lives: who says that he has seen them may mean others.
        for offset, reason in [(5, None), (6, "epoch"), (10, "epoch"), (14, "epoch")]:
            history = await here.read("a", Position(lost.epoch, offset), 99)
            assert (history.gap, offsets(history)) == (reason, list(range(6, 16)))
        assert [one.event.data for one in ear.entries[10:]] == [
            *(f"again {n}" for n in range(9)),
            "after",
        ]


async def test_a_publisher_notices_an_older_snapshot(snapshots):
    """Nobody listens: the one who has published says what he knows."""
    ear = Ear()
    async with opened(snapshots.url, ear) as here, opened(snapshots.url) as there:
        lost = await rolled_back(snapshots, here, there, ear)
        here.unlisten("a")
        snapshots.start()

        entry = await appended(there, "a", Event("after"))

        assert (entry.position.offset, entry.position.epoch != lost.epoch) == (6, True)


async def test_nothing_left(server):
    """A Redis that comes back empty is another life, and is announced before it begins."""
    ear = Ear()
    async with opened(server.url, ear) as broker:
        await broker.listen("a")
        await broker.append("a", Event("x"))
        await ear.hear(1)
        server.kill()
        shutil.rmtree(server.folder / "appendonlydir")
        server.start()

        await until(lambda: ear.restarts)
        second = await appended(broker, "a", Event("y"))

        assert (await ear.hear(2))[1] == second
        # Its life has no row at first, and nobody misses anything when it gets one.
        ((_, start, _),) = ear.restarts
        assert start.offset == 0
        assert ear.renamed[-1] == ("a", Position(second.position.epoch, 0), False)


@pytest.mark.parametrize("part", ["channel", "events"])
async def test_evicted_keys(server, part):
    """Whichever of a channel's two keys is evicted, nobody takes new entries for old ones."""
    ear = Ear()
    async with opened(server.url, ear) as broker:
        await broker.listen("a")
        for _ in range(3):
            last = await broker.append("a", Event("x"))
        await ear.hear(3)
        with server.client() as client:
            client.delete(f"heliograph:{{a}}:{part}")

        after = await broker.append("a", Event("y"))

        assert (await ear.hear(4))[3] == after
        old = Position(last.position.epoch, 1)
        history = await broker.read("a", old, 9)
        assert history.gap == ("epoch" if part == "channel" else "trimmed")
        assert history.entries == (after,)


async def test_appends_that_are_repeated_are_stored_once(server):
    """Connections are cut in the middle of appends, which are repeated until they return."""
    async with opened(server.url) as broker, opened(server.url) as reader:
        stop, killed = asyncio.Event(), 0

        async def cut():
            nonlocal killed
            with server.client() as client:
                while not stop.is_set():
                    for one in client.client_list(_type="normal"):
                        if one["cmd"].startswith(("evalsha", "script")):
                            killed += int(client.client_kill_filter(_id=one["id"]))
                    await asyncio.sleep(0.003)

        cutting = asyncio.create_task(cut())
        attempts = [
            asyncio.create_task(appended(broker, "a", Event(str(n)))) for n in range(2000)
        ]
        await asyncio.gather(*attempts)
        stop.set()
        await cutting
        assert killed

        history, found = None, []
        while history is None or history.entries:
            after = history.entries[-1].position if history else None
            history = await appended_read(reader, after)
            found += [entry.event.data for entry in history.entries]
        assert sorted(found, key=int) == [str(n) for n in range(2000)]


async def appended_read(broker, after):
    while True:
        with contextlib.suppress(BrokerUnavailableError):
            return await broker.read("a", after, 500)


async def test_a_repeated_append_gives_the_first_entry(server):
    """As long as it is held; afterwards it is another one."""
    async with opened(server.url) as broker:
        attempt = Attempt()
        first = await broker.append("a", Event("x"), repeats=attempt)
        for _ in range(250):
            await broker.append("a", Event("between"))

        assert await broker.append("a", Event("x"), repeats=attempt) == first
        with server.client() as client:
            client.xdel("heliograph:{a}:events", "1-0")
        again = await broker.append("a", Event("x"), repeats=attempt)
        assert again.position.offset == 252


@pytest.mark.parametrize("skew", [-7200, 7200])
async def test_a_repeated_append_is_found_whatever_time_it_is(server, monkeypatch, skew):
    """The clocks of a publisher and of Redis may be far apart."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    async with opened(server.url) as broker, opened(server.url) as other:
        attempt = Attempt()
        first = await broker.append("a", Event("x"), repeats=attempt)
        await other.append("a", Event("between"))
        assert await broker.append("a", Event("x"), repeats=attempt) == first


async def test_a_repeated_append_passes_what_is_not_ours(server):
    """An entry of somebody's own, before the first event, is no place to go on from."""
    with server.client() as client:
        client.hset("heliograph:{a}:channel", mapping={"epoch": "e" * 11, "head": 0})
        forged = {"event": "{}", "at": "9999999999", "token": "t"}
        client.xadd("heliograph:{a}:events", forged, id="0-5")
        async with opened(server.url) as broker:
            for _ in range(99):
                await broker.append("a", Event("x"))
            attempt = Attempt()
            attempt.was_tried = True
            entry = await broker.append("a", Event("x"), repeats=attempt)
            assert entry.position.offset == 100


async def test_a_publish_that_waits(server, caplog):
    """It is done when Redis is back. One line says that it went, and one that it came."""
    async with hub_at(server.url, publish_waits=True) as hub:
        await hub.publish(["a"], Event("before"))
        server.kill()
        waiting = [asyncio.create_task(hub.publish(["a"], Event(str(n)))) for n in range(3)]
        await until(lambda: not hub.statistics().broker_available)
        await asyncio.sleep(0.3)
        server.start()

        entries = await asyncio.gather(*waiting)

        assert sorted(entry.position.offset for (entry,) in entries) == [2, 3, 4]
        await until(lambda: hub.statistics().broker_available)
        said = [
            record.message.partition(":")[0]
            for record in caplog.records
            if "broker" in record.message
        ]
        assert said == ["the broker is unavailable", "the broker is available again"]


async def test_a_publish_that_does_not_wait(server):
    """It fails at once, with the address; one that waits fails when its time is over."""
    async with (
        hub_at(server.url) as hub,
        hub_at(server.url, publish_waits=True, publish_timeout_seconds=0.2) as patient,
    ):
        server.kill()

        with pytest.raises(BrokerUnavailableError, match="127"):
            await hub.publish(["a"], Event("x"))
        with pytest.raises(BrokerUnavailableError, match=r"no answer within 0\.2 seconds"):
            await patient.publish(["a"], Event("x"))
        server.start()


async def test_a_redis_that_hangs(server):
    """It answers nothing, and keeps its connections: a publish fails in time."""
    async with hub_at(server.url, publish_timeout_seconds=2) as hub:
        await hub.publish(["a"], Event("x"))
        server.pause()
        try:
            with pytest.raises(BrokerUnavailableError, match="no answer within"):
                await hub.publish(["a"], Event("x"))
        finally:
            server.go_on()


async def test_output_buffer_limit(server):
    """Redis disconnects who does not read in time; what he missed is read from history."""
    server.set("client-output-buffer-limit", "pubsub 200kb 0 0")
    ear = Ear()
    async with opened(server.url, ear) as here:
        await here.listen("a")
        hub = HubThread(server.url, HubConfig())
        # Blocks the loop on which the other one listens.
        for n in range(600):
            hub.publish(["a"], Event(f"{n} {'x' * 20_000}"))
        hub.close()

        await ear.hear(600)

        assert ear.offsets("a") == list(range(1, 601))
        await until(lambda: ear.connection == [False, True])


async def test_pages_are_bounded_by_bytes(server):
    """However many entries are asked for; at least one is given."""
    async with opened(server.url) as broker:
        for n in (400_000, 400_000, 400_000, 2_000_000, 10):
            await broker.append("a", Event("x" * n))

        pages, after = [], None
        while True:
            page = await broker.read("a", after, 100)
            if not page.entries:
                break
            pages.append(offsets(page))
            after = page.entries[-1].position

    assert pages == [[1, 2], [3], [4], [5]]


async def test_close_finishes_appends(server):
    """What has begun is stored, and whoever waits is told."""
    broker = open_broker(server.url, RETENTION)
    await broker.open(Ear())
    waiting = [asyncio.create_task(broker.append("a", Event("x"))) for _ in range(1000)]
    await asyncio.sleep(0)
    await broker.close()

    entries = await asyncio.gather(*waiting)

    assert sorted(entry.position.offset for entry in entries) == list(range(1, 1001))
    with pytest.raises(BrokerUnavailableError, match="has been closed"):
        await broker.append("a", Event("x"))


async def test_replicas_that_are_missing(server):
    """The publish fails, since fewer have it than was asked for."""
    async with opened(f"{server.url}?replicas=1&socket_timeout=4") as broker:
        with pytest.raises(BrokerUnavailableError, match="only 0 of 1 replicas have it"):
            await broker.append("a", Event("x"))


async def test_three_connections(server):
    """However many channels and appends there are."""
    async with opened(server.url) as broker:
        await asyncio.gather(*(broker.listen(f"c{n}") for n in range(200)))
        await asyncio.gather(*(broker.append(f"c{n}", Event("x")) for n in range(200)))
        with server.client() as client:
            assert len(client.client_list()) == 3 + 1  # and the one that asks


@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_failover(tmp_path, how):
    """
    A replica takes over: with ``replicas=1`` all that was published reaches everyone.

    A primary that only hangs comes back as a replica, and nobody stays with it.
    """
    watched = Watched(tmp_path / "watched")
    ear = Ear()
    url = f"{watched.url}?replicas=1&socket_timeout=1"
    try:
        async with (
            opened(url, ear) as here,
            opened(watched.url + "?socket_timeout=1") as there,
        ):
            await here.listen("a")
            for n in range(20):
                await here.append("a", Event(f"before {n}"))
            first = watched.primary()
            getattr(first, how)()
            await asyncio.to_thread(wait_for, lambda: watched.primary() is not first)
            if how == "pause":
                first.go_on()
            for n in range(20):
                await appended(there, "a", Event(f"after {n}"))

            await ear.hear(40)

            assert ear.offsets("a") == list(range(1, 41))
            assert (ear.restarts, len(ear.renamed)) == ([], 1)
            assert ear.entries[-1].event.data == "after 19"
    finally:
        watched.kill()


@pytest.mark.timeout(240)
async def test_a_primary_of_a_cluster_is_lost(tmp_path):
    """Its replica takes over; channels on the other nodes do not notice."""
    cluster = Cluster(tmp_path / "cluster", replicas=1)
    ear = Ear()
    names = [f"c{n}" for n in range(12)]
    try:
        async with opened(f"{cluster.url}?socket_timeout=1", ear) as here:
            for name in names:
                await here.listen(name)
                await here.append(name, Event("before"))
            primary = cluster.primaries()[0]
            assert primary.is_replicated()
            primary.kill()
            for name in names:
                await appended(here, name, Event("after"))

            await ear.hear(24)

            assert [ear.offsets(name) for name in names] == [[1, 2]] * 12
            assert (ear.restarts, len(ear.renamed)) == ([], 12)
            await until(lambda: ear.connection[-1])
    finally:
        cluster.kill()


async def test_slots_move(tmp_path):
    """While events are published all slots of a node move to another."""
    cluster = Cluster(tmp_path / "cluster")
    ear = Ear()
    names = [f"c{n}" for n in range(12)]
    try:
        async with opened(cluster.url, ear) as here, opened(cluster.url) as there:
            for name in names:
                await here.listen(name)
            stop, published = asyncio.Event(), dict.fromkeys(names, 0)

            async def publish():
                while not stop.is_set():
                    for name in names:
                        await appended(there, name, Event("x"))
                        published[name] += 1

            publishing = asyncio.create_task(publish())
            with cluster.servers[0].client() as client:
                me = client.execute_command("CLUSTER", "MYID")
            with cluster.servers[1].client() as client:
                other = client.execute_command("CLUSTER", "MYID")
            process = await asyncio.create_subprocess_exec(
                "redis-cli", "--cluster", "reshard", f"127.0.0.1:{cluster.servers[0].port}",
                "--cluster-from", me, "--cluster-to", other, "--cluster-slots", "5461",
                "--cluster-yes", "--cluster-pipeline", "100",
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            assert await process.wait() == 0
            stop.set()
            await publishing

            await until(lambda: len(ear.entries) == sum(published.values()))
            for name in names:
                assert ear.offsets(name) == list(range(1, published[name] + 1))
    finally:
        cluster.kill()


@pytest.mark.parametrize("plain_channels", [None, ALL_TEXT], ids=["ours", "plain"])
@pytest.mark.parametrize("kind", ["server", "cluster"])
async def test_cut_while_channels_come_and_go(tmp_path, chance, kind, plain_channels):
    """Nobody is left deaf, and no call fails with anything but what it may fail with."""
    storage = (RedisServer if kind == "server" else Cluster)(tmp_path / "redis")
    servers = [storage] if kind == "server" else storage.servers
    ear = Ear()
    steady = [f"s{n}" for n in range(20)]
    ended = asyncio.Event()

    async def come_and_go(broker, name):
        while not ended.is_set():
            with contextlib.suppress(BrokerUnavailableError):
                await broker.listen(name)
                await asyncio.sleep(chance.random() * 0.05)
            broker.unlisten(name)

    async def publish(broker, last):
        while not ended.is_set():
            name = chance.choice(steady)
            last[name] = (await appended(broker, name, Event("x"))).position.offset
            await asyncio.sleep(0.002)

    try:
        async with (
            opened(storage.url, ear, plain_channels=plain_channels) as broker,
            opened(storage.url, plain_channels=plain_channels) as publisher,
        ):
            for name in steady:
                await broker.listen(name)
            last = {}
            tasks = [asyncio.create_task(come_and_go(broker, f"c{n}")) for n in range(20)]
            tasks.append(asyncio.create_task(publish(publisher, last)))
            for _ in range(40):
                await asyncio.sleep(chance.random() * 0.2)
                with chance.choice(servers).client() as client:
                    client.client_kill_filter(_type="pubsub")
            ended.set()
            await asyncio.gather(*tasks)

            await until(
                lambda: all(ear.offsets(name)[-1:] == [last[name]] for name in last)
            )
            for name, offset in last.items():
                assert ear.offsets(name) == list(range(1, offset + 1))
            await until(lambda: ear.connection[-1:] == [True])
    finally:
        storage.kill()


async def test_memory_is_full(server):
    """Publishes fail, with what Redis says; history is kept, and can be read."""
    async with opened(server.url) as broker:
        first = await broker.append("a", Event("x"))
        with server.client() as client:
            used = client.info("memory")["used_memory"]
        server.set("maxmemory", used + 300_000)

        with pytest.raises(BrokerUnavailableError, match="maxmemory"):
            for _ in range(200):
                await broker.append("a", Event("x" * 10_000))

        assert (await broker.read("a", None, 1)).entries == (first,)
        await broker.listen("a")
        server.set("maxmemory", 0)
        await broker.append("a", Event("x"))


async def test_who_reads_does_not_trim(server):
    """How long history is kept is said by who publishes."""
    short = Retention(events=10, seconds=0.01)
    async with opened(server.url) as broker, opened(server.url, None, short) as reader:
        entry = await broker.append("a", Event("x"))
        await asyncio.sleep(0.05)

        assert (await reader.read("a", None, 9)).entries == (entry,)
        assert (await broker.read("a", None, 9)).entries == (entry,)


async def test_a_primary_that_takes_nothing(server):
    """With min-replicas-to-write and no replica, what is there can be read."""
    async with opened(server.url) as broker:
        entry = await broker.append("a", Event("x"))
        server.set("min-replicas-to-write", 1)

        with pytest.raises(BrokerUnavailableError, match="NOREPLICAS"):
            await broker.append("a", Event("x"))
        assert (await broker.read("a", None, 9)).entries == (entry,)
        assert await broker.listen("a") == entry.position


async def test_a_hash_without_its_head(server):
    """Somebody has damaged a channel: it begins another life."""
    async with opened(server.url) as broker:
        entry = await broker.append("a", Event("x"))
        with server.client() as client:
            client.hdel("heliograph:{a}:channel", "head")

        again = await broker.append("a", Event("x"))

        assert again.position.offset == 1
        assert again.position.epoch != entry.position.epoch


async def test_a_channel_with_the_name_of_another_in_redis(server):
    """A stream of it takes nothing from the other, and is given nothing of it."""
    ear = Ear()
    async with opened(server.url, ear, plain_channels=ALL_TEXT) as broker:
        await broker.listen("a")
        for name in ("heliograph:{a}:live", "heliograph:alive"):
            await broker.listen(name)
            broker.unlisten(name)
            await broker.listen(name)

        entries = [await broker.append("a", Event(str(n))) for n in range(3)]

        assert await ear.hear(3) == entries
        assert ear.passing == []


async def test_a_plain_channel_that_is_forbidden(server, caplog):
    """It is not exchanged, and said once; the others are."""
    ear = Ear()
    with server.client() as client:
        client.execute_command(
            "ACL",
            "SETUSER",
            "push",
            "on",
            ">secret",
            "~*",
            "+@all",
            "&heliograph:*",
            "&good",
        )
    url = server.url.replace("//", "//push:secret@")
    async with opened(url, ear, plain_channels=ALL_TEXT) as broker:
        for name in ("good", "bad", "good2"):
            await broker.listen(name)
        with server.client() as client:
            client.publish("good", "from outside")
        await until(lambda: ear.passing)

        assert ear.passing == [("good", Event("from outside"))]
        assert ear.connection == []
    assert caplog.text.count("plain channel 'bad' is not listened to") == 1


async def test_twins_of_who_exchanges_nothing(server):
    """An event of a process without the setting hides none of others' that say the same."""
    ear = Ear()
    async with (
        opened(server.url, ear, plain_channels=ALL_TEXT) as broker,
        opened(server.url) as other,
    ):
        await broker.listen("a")
        entry = await other.append("a", Event("same"))
        assert await ear.hear(1) == [entry]
        with server.client() as client:
            client.publish("a", "same")

        await until(lambda: ear.passing)
        assert ear.passing == [("a", Event("same"))]


async def test_a_node_of_a_cluster_is_lost(tmp_path):
    """Where full coverage is not required its channels wait, and others do not notice."""
    cluster = Cluster(tmp_path / "cluster")
    ear = Ear()
    names = [f"c{n}" for n in range(12)]
    try:
        for server in cluster.servers:
            server.set("cluster-require-full-coverage", "no")
        async with opened(f"{cluster.url}?socket_timeout=1", ear) as broker:
            for name in names:
                await broker.listen(name)
            cluster.servers[2].kill()
            done = {}
            for name in names:
                with contextlib.suppress(BrokerUnavailableError):
                    done[name] = await broker.append(name, Event("x"))
            await ear.hear(len(done))
            assert 0 < len(done) < len(names)
            assert not ear.connection[-1]

            cluster.servers[2].start()
            for name in names:
                await appended(broker, name, Event("back"))
            await ear.hear(len(done) + len(names))
            await until(lambda: ear.connection[-1])
    finally:
        cluster.kill()


async def test_listened_to_again_at_once(server):
    """Whoever leaves and comes back in the same moment is not left deaf."""
    ear = Ear()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        for heard in range(1, 51):
            await here.listen("a")
            here.unlisten("a")
            if heard % 2:
                await asyncio.sleep(0)
            await here.listen("a")
            await there.append("a", Event("x"))
            await ear.hear(heard)
            here.unlisten("a")


def test_a_connection_that_uvloop_has_closed(server):
    """What uvloop raises then is an error of the connection, as everywhere else."""

    async def send_on_it():
        connection = Connection(port=server.port, retry=Retry(NoBackoff(), 0))
        subscription = Subscription(connection)
        await subscription.connect()
        connection._writer.transport.abort()
        await asyncio.sleep(0.05)
        with pytest.raises(RedisConnectionError, match="was closed"):
            await subscription.send("PING")
        await subscription.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(send_on_it())
