"""Redis returns to an older state: who has seen what is lost is told, and nobody else."""

import contextlib

import pytest
from on_redis import appended, hub_at, kept_away, opened

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import RecordingListener, offsets
from heliograph.channels.position import Position
from redises import RedisServer
from streams import connect, until


def go_back(server, head):
    """Make channel ``a`` what it was at an earlier head, as on a replica that is behind."""
    with server.client() as client, client.pipeline() as pipe:
        pipe.xdel("heliograph:{a}:events", *(f"{n}-0" for n in range(head + 1, head + 9)))
        pipe.execute_command("XSETID", "heliograph:{a}:events", f"{head}-0")
        pipe.hset("heliograph:{a}:channel", "head", head)
        pipe.execute()


async def rolled_back(server, here, there, ear):
    """Let five entries be saved and five more be lost; return the position of the last."""
    await here.listen("a")
    for n in range(5):
        await there.append("a", Event(f"saved {n}"))
    with server.client() as client:
        client.save()
    for n in range(5):
        last = await there.append("a", Event(f"lost {n}"))
    await ear.wait_for_entries(10)
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
    ear = RecordingListener()
    async with opened(snapshots.url, ear) as here, opened(snapshots.url) as there:
        lost = await rolled_back(snapshots, here, there, ear)

        snapshots.start()
        await until(lambda: ear.restarts)
        entry = await appended(there, "a", Event("after"))

        assert entry.position.offset == 6
        assert entry.position.epoch != lost.epoch
        assert ear.restarts == [("a", Position(entry.position.epoch, 5), True)]
        await ear.wait_for_entries(11)
        assert ear.entries[10] == entry
        history = await there.read("a", lost, 9)
        assert (history.gap, list(history.entries)) == ("epoch", [entry])


async def test_who_is_behind_at_a_rollback_misses_nothing(snapshots):
    """A client that was behind gets what was restored, without a gap event."""
    ear = RecordingListener()
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
    ear = RecordingListener()
    async with opened(server.url) as here, opened(server.url, ear) as there:
        for n in range(9):
            first = await here.append("a", Event(str(n)))
        await there.listen("a")
        epochs = [first.position.epoch]
        for n in range(18):
            lost = await appended(here, "a", Event("lost"))
            assert lost.position == Position(epochs[-1], 10)
            await ear.wait_for_entries(n + 1)
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
    """Return the state of channel ``a``, which :func:`put_back` restores."""
    with server.client() as client:
        return [client.dump(f"heliograph:{{a}}:{part}") for part in ("channel", "events")]


def put_back(server, dumps):
    with server.client() as client, client.pipeline() as pipe:
        for part, dump in zip(("channel", "events"), dumps, strict=True):
            pipe.restore(f"heliograph:{{a}}:{part}", 0, dump, replace=True)
        pipe.execute()


async def append_all(broker, word, *offsets):
    """Append events that say which they are; return the last."""
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
    ear = RecordingListener()
    async with opened(server.url, ear) as away:
        await away.listen("a")
        await append_all(away, "saved", 1, 2, 3, 4, 5)
        saved = kept(server)
        first = await append_all(away, "lost", 6, 7)
        await ear.wait_for_entries(7)
        with kept_away(away, server):
            put_back(server, saved)
            async with opened(server.url) as other:
                await append_all(other, "new", 6, 7, 8)
                saved = kept(server)
                await append_all(other, "lost", 9, 10)
                put_back(server, saved)
                last = await append_all(other, "new", 9)
                assert last.position.epoch != first.position.epoch

        await ear.wait_for_entries(11)

        assert ear.restarts == [("a", Position(last.position.epoch, 5), True)]
        assert [entry.event.data for entry in ear.entries[7:]] == [
            f"new {n}" for n in (6, 7, 8, 9)
        ]
        # What it knows counts for its clients, too, whichever process they reconnect to.
        history = await away.read("a", first.position, 9)
        assert (history.gap, offsets(history)) == ("epoch", [6, 7, 8, 9])


async def test_a_rollback_before_which_nothing_is_held(server):
    """Nothing vouches for any position then, not even for the one before the oldest entry."""
    few = Retention(events=3, seconds=86_400)
    ear = RecordingListener()
    async with opened(server.url, ear, few) as away:
        await away.listen("a")
        await append_all(away, "saved", 1, 2, 3, 4, 5)
        saved = kept(server)
        lost = await append_all(away, "lost", *range(6, 12))
        await ear.wait_for_entries(11)
        with kept_away(away, server):
            put_back(server, saved)
            async with opened(server.url, None, few) as other:
                await append_all(other, "new", *range(6, 13))

        await ear.wait_for_entries(14)

        for offset in range(1, 12):
            history = await away.read("a", Position(lost.position.epoch, offset), 9)
            assert (history.gap, offsets(history)) == ("epoch", [10, 11, 12])


async def test_what_was_seen_before_a_channel_was_dropped(server):
    """A process that listens again says what it saw last, and so a loss is noticed."""
    ear = RecordingListener()
    async with opened(server.url, ear) as here, opened(server.url) as other:
        await here.listen("a")
        await append_all(here, "saved", 1, 2, 3)
        saved = kept(server)
        lost = await append_all(here, "lost", 4, 5)
        await ear.wait_for_entries(5)
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
    ear = RecordingListener()
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
        await ear.wait_for_entries(20)
        ((_, start, gap),) = ear.restarts
        assert (start.offset, start.epoch != lost.epoch, gap) == (5, True, True)
        # These offsets are in both lives: a client that has seen them may mean other entries.
        for offset, reason in [(5, None), (6, "epoch"), (10, "epoch"), (14, "epoch")]:
            history = await here.read("a", Position(lost.epoch, offset), 99)
            assert (history.gap, offsets(history)) == (reason, list(range(6, 16)))
        assert [one.event.data for one in ear.entries[10:]] == [
            *(f"again {n}" for n in range(9)),
            "after",
        ]


async def test_a_publisher_notices_an_older_snapshot(snapshots):
    """Nobody listens: the one who has published says what he knows."""
    ear = RecordingListener()
    async with opened(snapshots.url, ear) as here, opened(snapshots.url) as there:
        lost = await rolled_back(snapshots, here, there, ear)
        here.unlisten("a")
        snapshots.start()

        entry = await appended(there, "a", Event("after"))

        assert (entry.position.offset, entry.position.epoch != lost.epoch) == (6, True)
