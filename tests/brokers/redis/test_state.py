"""What Redis holds of retained entries, ends and idempotency keys, and what may befall it."""

import asyncio
from dataclasses import replace

import pytest
from on_redis import RETENTION, appended, opened

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import ManualClock, RecordingListener, offsets
from heliograph.brokers.redis.seen import LastSeen
from heliograph.brokers.redis.writer import Writer
from heliograph.brokers.values import PLAIN, Attempt, Terms
from heliograph.channels.position import Position
from heliograph.errors import ChannelEndedError, TooManyRetainedError

ROW, EVENTS, KEYS, RETAINED = (
    f"heliograph:{{a}}:{part}" for part in ("channel", "events", "keys", "retained")
)
KEPT = Terms(retain_as="")
END = Terms(is_end=True)
ALL = Terms(retain_as="k", idempotency_key="o", is_end=True)


def keyed(key):
    return Terms(retain_as=key)


def once(key):
    return Terms(idempotency_key=key)


def keys_of(client):
    return {key for key in client.scan_iter() if "{a}" in key}


async def data_of_retained(broker):
    return [entry.event.data for entry in (await broker.retained("a", 0, 99)).entries]


async def test_a_killed_server(own_server):
    """All of it has survived, and so has what a repeated append asks for."""
    attempt = Attempt()
    async with opened(own_server.url) as broker:
        await broker.append("a", Event("1"), terms=keyed("k"))
        first = await broker.append("a", Event("2"), terms=once("o"))
        last = await broker.append("a", Event("3"), terms=END, repeats=attempt)
        await broker.append("b", Event("1"), terms=END)
        await broker.begin("b")

        own_server.restart()

        assert await appended(broker, "a", Event("3"), attempt) == replace(
            last, is_end=False
        )
        history = await broker.read("a", None, 9)
        assert (offsets(history), history.has_ended) == ([1, 2, 3], True)
        assert await data_of_retained(broker) == ["1"]
        assert await broker.append("a", Event("2"), terms=once("o")) == first
        with pytest.raises(ChannelEndedError):
            await broker.append("a", Event("x"))
        begun = await broker.read("b", None, 9)
        assert (begun.began, begun.has_ended, offsets(begun)) == (1, False, [])


# What is published; the keys that there are, and whether the row says so. Add a row.
HELD = {
    "plain": ([PLAIN], {ROW, EVENTS}, None),
    "end": ([END], {ROW, EVENTS}, "0 1 0 2592000"),
    "once": ([once("o")], {ROW, EVENTS, KEYS}, "0 0 1 2592000"),
    "retained": ([KEPT, PLAIN], {ROW, EVENTS, KEYS, RETAINED}, "0 0 2 2592000"),
    "all": ([once("p"), ALL], {ROW, EVENTS, KEYS, RETAINED}, "0 2 2 2592000"),
}


@pytest.mark.parametrize(("terms", "keys", "state"), HELD.values(), ids=HELD.keys())
async def test_keys(server, terms, keys, state):
    """A plain channel has what it had; all keys expire; nothing is left by a new beginning."""
    async with opened(server.url) as broker:
        for one in terms:
            await broker.append("a", Event("x"), terms=one)
        with server.client() as client:
            assert keys_of(client) == keys
            assert client.hget(ROW, "state") == state
            for key in keys:
                is_short = key == EVENTS or (key == KEYS and RETAINED not in keys)
                seconds = RETENTION.seconds if is_short else RETENTION.forget_seconds
                assert seconds - 60 < client.ttl(key) <= seconds + 1

            await broker.begin("a")

            assert keys_of(client) == {ROW}
            assert client.ttl(ROW) > 28 * 86_400


async def test_forgetting_the_last_key(server):
    """What is not needed is not held."""
    async with opened(server.url) as broker:
        await broker.append("a", Event("x"), terms=replace(ALL, is_end=False))
        await broker.append("a", Event("x"), terms=KEPT)
        with server.client() as client:
            await broker.forget("a", "k")
            assert keys_of(client) == {ROW, EVENTS, KEYS, RETAINED}
            await broker.forget("a", "")
            assert keys_of(client) == {ROW, EVENTS, KEYS}
            assert client.zrange(KEYS, 0, -1) == ["!o"]


async def test_idempotency_keys_outgrow_nothing(server):
    """Each goes with its entry, whether many go at once or somebody else has trimmed."""
    clock = ManualClock()
    retention = Retention(events=50, seconds=100)
    async with opened(server.url, None, retention, clock=clock) as broker:
        for n in range(120):
            await broker.append("a", Event("x", id=str(n)), terms=once(str(n)))
        with server.client() as client:
            assert client.zcard(KEYS) == 50
            client.xtrim(EVENTS, maxlen=10, approximate=False)
            again = await broker.append("a", Event("x"), terms=once("75"))
            assert again.position.offset == 121
            assert client.zcard(KEYS) == client.xlen(EVENTS) == 11
            clock.now += 1000
            await broker.append("a", Event("x"))
            assert (client.zcard(KEYS), client.xlen(EVENTS)) == (0, 1)


# What somebody else does to a channel with three entries, of which 2 and 3 are retained as
# "k" and "l" and 1 is known as "o"; what is retained then. Add a row, not a test.
DAMAGE = {
    "no-keys": (f"DEL {KEYS}", []),
    "no-entries": (f"DEL {RETAINED}", []),
    "keys-of-another-type": (f"SET {KEYS} x", []),
    "entries-of-another-type": (f"SET {RETAINED} x", []),
    "an-entry": (f"HSET {RETAINED} @k garbage", ["3"]),
    "another-offset": (f"ZADD {KEYS} 1 @k", ["3"]),
    "no-number": (f"ZADD {KEYS} 1.5 @k", ["3"]),
    "beyond-the-head": (f"ZADD {KEYS} 9 @k", ["3"]),
    "a-key-of-nothing": (f"ZADD {KEYS} 2 @m", ["2", "3"]),
    "an-idempotency-key": (f"ZADD {KEYS} -2 !p", ["2", "3"]),
    "state": (f"HSET {ROW} state garbage", ["2", "3"]),
    "forgets-at-once": (f"HSET {ROW} state", ["2", "3"]),
    "no-state": (f"HDEL {ROW} state", []),
}


@pytest.mark.parametrize(("command", "left"), DAMAGE.values(), ids=DAMAGE.keys())
async def test_damage(server, command, left):
    """The others are kept, history is untouched, and what is published next is as ever."""
    async with opened(server.url) as broker:
        await broker.append("a", Event("1"), terms=once("o"))
        for key, data in (("k", "2"), ("l", "3")):
            await broker.append("a", Event(data), terms=keyed(key))
        words = command.split()
        with server.client() as client:
            client.execute_command(*words, *(["0 0 2 0"] if words[-1] == "state" else []))

        assert await data_of_retained(broker) == left
        found = [await broker.retained_as("a", key) for key in "kl"]
        assert [entry.event.data for entry in found if entry] == left
        await broker.listen("a")
        await broker.append("a", Event("4"), terms=keyed("k"))

        assert (await broker.retained_as("a", "k")).event.data == "4"
        assert offsets(await broker.read("a", None, 9)) == [1, 2, 3, 4]
        await broker.append("a", Event("5"), terms=Terms(idempotency_key="p", is_end=True))
        assert (await broker.append("a", Event("5"), terms=once("p"))).position.offset == 5
        await broker.begin("a")
        assert await data_of_retained(broker) == []


async def test_a_page_of_damaged_entries(server):
    """What follows them is found, and the log tells of one."""
    async with opened(server.url) as broker:
        for n in range(5):
            await broker.append("a", Event(str(n)), terms=keyed(str(n)))
        with server.client() as client:
            client.hset(RETAINED, mapping={f"@{n}": "garbage" for n in range(4)})
            client.zadd(KEYS, {"@none": 0.5, "@also": "-inf", "@or": "inf"})

        assert [one.event.data for one in (await broker.retained("a", 0, 1)).entries] == [
            "4"
        ]


async def test_a_damaged_first_event(server):
    """The entry that has an idempotency key cannot be read: the repetition knows it."""
    async with opened(server.url) as broker:
        first = await broker.append("a", Event("x"), terms=once("o"))
        with server.client() as client:
            ((_, fields),) = client.xrange(EVENTS)
            client.delete(EVENTS)
            client.xadd(EVENTS, fields | {"event": "{bad"}, id="1-0")

        assert await broker.append("a", Event("x"), terms=once("o")) == first


async def test_large_retained_entries(server):
    """A page is bounded by bytes; all of them together are complete, in order."""
    async with opened(server.url) as broker:
        for n in range(20):
            await broker.append("a", Event(f"{n} " + "x" * 50_000), terms=keyed(str(n)))
        await broker.append("a", Event("3 again"), terms=keyed("3"))

        found, pages, after = [], 0, 0
        while page := (await broker.retained("a", after, 100)).entries:
            assert sum(len(entry.event.data) for entry in page) <= 262_144
            found += [entry.event.data.split()[0] for entry in page]
            pages, after = pages + 1, page[-1].position.offset

        assert found == [str(n) for n in (*range(3), *range(4, 20), 3)]
        assert pages > 3


async def test_a_process_of_the_last_release(server):
    """It knows no end, and what it then publishes is as any other event."""
    async with opened(server.url) as broker:
        last = await broker.append("a", Event("1"), terms=ALL)
        with server.client() as client:
            # What its script does.
            client.xadd(
                EVENTS, {"event": '{"data": "2"}', "at": "9", "token": "t"}, id="2-0"
            )
            client.hset(ROW, "head", 2)

        history = await broker.read("a", last.position, 9)

        assert ([one.event.data for one in history.entries], history.has_ended) == (
            ["2"],
            False,
        )
        await broker.append("a", Event("3"))
        assert await data_of_retained(broker) == ["1"]


async def test_an_event_as_the_last_release_reads_it(server):
    """Its JSON has what it had, and more that is passed over."""
    async with opened(server.url) as broker:
        await broker.append("a", Event("x", type="t"), terms=ALL)
        with server.client() as client:
            ((_, fields),) = client.xrange(EVENTS)

    assert list(fields) == ["event", "at", "token", "id", "once"]
    assert fields["event"] == '{"data": "x", "type": "t", "end": true, "retained": "k"}'


async def test_who_listens_keeps_a_channel(server):
    """A channel is forgotten if nobody does; then nothing of it is left."""
    retention = Retention(events=9, seconds=1, forget_seconds=1)
    ear = RecordingListener()
    async with opened(server.url, ear, retention) as broker:
        start = await broker.listen("never")
        for name in ("kept", "a"):
            await broker.append(name, Event("x"), terms=KEPT)
        kept = await broker.listen("kept")
        with server.client() as client:
            async with asyncio.timeout(30):
                while keys_of(client):
                    await asyncio.sleep(0.05)

        assert (await broker.read("kept", kept, 9)).gap is None
        assert (await broker.retained_as("kept", "")).position == kept
        # Where the listener is, and it was told so without a gap.
        assert ear.restarts == []
        at = [position for name, position, _ in ear.renamed if name == "never"][-1]
        assert at != start
        entry = await broker.append("never", Event("x"))
        history = await broker.read("never", at, 9)
        assert (history.gap, list(history.entries)) == (None, [entry])


@pytest.mark.parametrize("turn", range(2))
async def test_nothing_is_lost_in_silence(server, turn, chance):
    """Whenever channels are forgotten: no gap means that no event is missing."""
    clock = ManualClock()
    forget = chance.choice((1, 60, 3600, 40 * 86_400))
    retention = Retention(events=50, seconds=forget, forget_seconds=forget)
    published = {name: [] for name in "abc"}
    expires, clients = {}, []
    resumed = {None: 0, "epoch": 0}
    async with opened(server.url, None, retention, clock=clock) as broker:
        for step in range(1500):
            name = chance.choice("abc")
            what = chance.choice(("publish", "join", "join", "resume", "time"))
            if what == "publish" and chance.random() < 0.3:
                await broker.append(name, Event(str(step)))
                published[name].append(str(step))
                expires[name] = clock.now + forget
            elif what == "join":
                head = (await broker.read(name, None, 0)).head
                clients.append((name, head, len(published[name])))
            elif what == "resume" and clients:
                name, position, seen = chance.choice(clients[-30:])
                history = await broker.read(name, position, 99)
                if history.gap is None:
                    missed = [entry.event.data for entry in history.entries]
                    assert missed == published[name][seen:]
                resumed[history.gap] = resumed.get(history.gap, 0) + 1
            elif what == "time":
                clock.now += chance.choice((0.01, 0.1, 0.3, 1.01)) * forget
                # Redis does it by a clock of its own.
                with server.client() as client:
                    for gone in [one for one, at in expires.items() if at <= clock.now]:
                        del expires[gone]
                        client.delete(
                            *(key.replace("{a}", f"{{{gone}}}") for key in (ROW, EVENTS))
                        )

    # It has been tried.
    assert resumed[None] > 20
    assert resumed["epoch"] > 20


async def test_readers_leave_the_time_of_an_ended_channel(server):
    """Publishers decide when it is forgotten, and nobody prolongs it."""
    retention = Retention(events=9, seconds=100, forget_seconds=1000)
    async with opened(server.url, None, retention) as broker, opened(server.url) as other:
        await broker.append("a", Event("x"), terms=ALL)
        await broker.append("b", Event("x"), terms=KEPT)
        own = [ROW, KEYS, RETAINED]
        others = [key.replace("{a}", "{b}") for key in own]
        with server.client() as client:
            for key in own + others:
                client.expire(key, 300)
            for name in "ab":
                await other.read(name, None, 9)
                await other.retained(name, 0, 9)
                assert client.ttl(ROW.replace("{a}", f"{{{name}}}")) <= 300

                await other.listen(name)

            assert {client.ttl(key) for key in own} <= {299, 300}
            assert {client.ttl(key) for key in others} <= {999, 1000}


class TestAnnounced:
    """With ``replicas=all`` what replicas may not have is not seen."""

    @pytest.fixture
    async def here(self, watched):
        with watched.primary().client() as client:
            client.flushall()
        async with opened(f"{watched.url}?replicas=all") as here:
            yield here

    async def leave(self, broker, event, terms):
        """Append as a publisher does that dies before it announces the entry."""
        writer = Writer(
            broker._address,
            execution=broker._execution,
            names=broker._names,
            exchange=broker._exchange,
            retention=RETENTION,
            seen=LastSeen(),
        )
        call = writer._call("a", event, terms, Attempt())
        await broker._execution.call(call)

    async def test_what_is_retained(self, here):
        """The entry before is, until the new one is announced with what follows."""
        padding = " " * 100_000
        for n in range(6):
            await here.append("a", Event(f"{n}{padding}"), terms=keyed(str(n)))
        for n in (1, 3, 5, 6):
            await self.leave(here, Event(f"{n} unseen"), keyed(str(n)))

        for limit in (1, 99):
            found, after = [], 0
            while page := (await here.retained("a", after, limit)).entries:
                found += [entry.event.data.strip() for entry in page]
                after = page[-1].position.offset
            assert found == ["0", "1", "2", "3", "4", "5"]
        assert (await here.retained_as("a", "3")).event.data == f"3{padding}"
        assert await here.retained_as("a", "6") is None

        await here.append("a", Event("next"))

        page = await here.retained("a", 6, 99)
        assert [one.event.data for one in page.entries] == [
            f"{n} unseen" for n in (1, 3, 5, 6)
        ]
        assert (await here.retained_as("a", "3")).event.data == "3 unseen"

    async def test_an_end(self, here):
        """Readers get it once somebody else tries to publish."""
        first = await here.append("a", Event("1"))
        await self.leave(here, Event("2"), END)
        history = await here.read("a", None, 9)
        assert (history.has_ended, history.head) == (False, first.position)

        with pytest.raises(ChannelEndedError):
            await here.append("a", Event("3"))

        history = await here.read("a", None, 9)
        assert (history.has_ended, offsets(history)) == (True, [1, 2])

    async def test_a_new_beginning(self, here):
        """Listeners get what came before."""
        ear = RecordingListener()
        async with opened(f"{here._address.shown}?replicas=all", ear) as there:
            await there.listen("a")
            await self.leave(here, Event("1"), KEPT)
            assert (await here.begin("a")).offset == 1

            assert [entry.event.data for entry in await ear.wait_for_entries(1)] == ["1"]
            assert await data_of_retained(here) == []

    async def test_a_damaged_token(self, here, watched):
        """It keeps nobody from beginning anew."""
        await self.leave(here, Event("1"), KEPT)
        with watched.primary().client() as client:
            (number, row), *_ = client.xrange(EVENTS)
            client.delete(EVENTS)
            client.xadd(EVENTS, {**row, "token": b"\xff"}, id=number)

        async with asyncio.timeout(10):
            assert (await here.begin("a")).offset == 1

    async def test_a_repeated_publish(self, here):
        """The first one is announced by the second."""
        await self.leave(here, Event("1"), once("o"))

        entry = await here.append("a", Event("other"), terms=once("o"))

        assert (entry.event.data, entry.position.offset) == ("1", 1)
        assert (await here.read("a", None, 9)).entries == (entry,)

    async def test_too_many(self, here):
        """The bound holds whatever is announced."""
        url = f"{here._address.shown}?replicas=all"
        few = replace(RETENTION, retained_keys=2)
        async with opened(url, None, few) as there:
            await self.leave(here, Event("1"), keyed("1"))
            await there.append("a", Event("2"), terms=keyed("2"))
            with pytest.raises(TooManyRetainedError):
                await there.append("a", Event("3"), terms=keyed("3"))
            await there.append("a", Event("1 again"), terms=keyed("1"))
            assert await data_of_retained(there) == ["2", "1 again"]


async def test_positions_of_another_life(server):
    """A channel that was restored without its end is open."""
    async with opened(server.url) as broker:
        await broker.append("a", Event("1"), terms=KEPT)
        with server.client() as client:
            snapshot = {key: client.dump(key) for key in keys_of(client)}
            await broker.append("a", Event("2"), terms=ALL)
            for key in keys_of(client):
                client.delete(key)
            for key, value in snapshot.items():
                client.restore(key, 0, value)

        history = await broker.read("a", None, 9)

        assert (history.has_ended, offsets(history)) == (False, [1])
        assert await data_of_retained(broker) == ["1"]
        entry = await broker.append("a", Event("3"), terms=ALL)
        assert entry.position == Position(history.head.epoch, 2)


async def test_no_more_large_entries_are_read_than_fit(server):
    """Redis does nothing else meanwhile."""
    async with opened(server.url) as broker:
        for n in range(20):
            await broker.append("a", Event("x" * 200_000), terms=keyed(str(n)))
        # Of each HMGET, how many fields it names.
        fields = 0
        with server.client() as client, client.monitor() as monitor:
            page = await broker.retained("a", 0, 99)
            client.ping()
            for command in monitor.listen():
                words = command["command"].split()
                if words == ["PING"]:
                    break
                if words[:2] == ["HMGET", RETAINED]:
                    fields += len(words) - 2
        assert [entry.position.offset for entry in page.entries] == [1]
        assert fields == 2
