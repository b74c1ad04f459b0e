"""Calls that are sent together on one connection are done once, or fail."""

import asyncio
import contextlib

import pytest
from on_redis import appended, opened

from heliograph import BrokerUnavailableError, ChannelEndedError, Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.values import Attempt, Terms


async def test_script_flush(server):
    """Scripts that Redis has forgotten are given to it again."""
    async with opened(server.url) as broker:
        await broker.append("a", Event("x"))
        with server.client() as client:
            client.script_flush()

        assert (await broker.append("a", Event("x"))).position.offset == 2


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


async def test_replicas_that_are_missing(own_server):
    """The publish fails, since fewer have it than was asked for."""
    async with opened(f"{own_server.url}?replicas=1&socket_timeout=4") as broker:
        with pytest.raises(BrokerUnavailableError, match="only 0 of 1 replicas have it"):
            await broker.append("a", Event("x"))


async def test_three_connections(own_server):
    """However many channels and appends there are."""
    async with opened(own_server.url) as broker:
        await asyncio.gather(*(broker.listen(f"c{n}") for n in range(200)))
        await asyncio.gather(*(broker.append(f"c{n}", Event("x")) for n in range(200)))
        with own_server.client() as client:
            assert len(client.client_list()) == 3 + 1  # and the one that asks


def scripts_called(server):
    with server.client() as client:
        return client.info("commandstats")["cmdstat_evalsha"]["calls"]


async def test_appends_to_a_channel_are_joined(server):
    """One call stores and publishes several events, in the order of the publishes."""
    listener = RecordingListener()
    async with opened(server.url) as broker, opened(server.url, listener) as other:
        await other.listen("a")
        await other.listen("b")
        await broker.append("a", Event("first"))
        before = scripts_called(server)

        appends = [("ab"[n % 2], Event(str(n))) for n in range(200)]
        entries = await asyncio.gather(*(broker.append(*one) for one in appends))

        assert scripts_called(server) - before < 12
        assert [entry.position.offset for entry in entries[::2]] == list(range(2, 102))
        assert [entry.position.offset for entry in entries[1::2]] == list(range(1, 101))
        arrived = await listener.wait_for_entries(201)
        for name in "ab":
            expected = [one for one in entries if one.channel == name]
            stored = (await other.read(name, None, 500)).entries
            assert list(stored[-100:]) == expected
            assert [one for one in arrived if one.channel == name][-100:] == expected


async def test_what_is_not_joined_keeps_its_place(server):
    """Events with an id, with terms or that are repeated are calls of their own."""
    async with opened(server.url) as broker:
        repeated = Attempt()
        first = await broker.append("a", Event("0"), repeats=repeated)
        appends = [
            broker.append("a", Event("1")),
            broker.append("a", Event("2")),
            broker.append("a", Event("3", id="own")),
            broker.append("a", Event("4")),
            broker.append("a", Event("0"), repeats=repeated),
            broker.append("a", Event("5")),
            broker.append("a", Event("6"), terms=Terms(retain_as="k")),
            broker.append("a", Event("7" * 100_000)),
            broker.append("a", Event("8")),
        ]

        entries = await asyncio.gather(*appends)

        assert entries.pop(4) == first
        stored = (await broker.read("a", None, 100)).entries
        assert stored == (first, *entries)
        assert (await broker.find("a", "own")) == entries[2].position


@pytest.mark.parametrize("has_ids", [False, True])
async def test_joined_appends_are_trimmed(server, has_ids):
    """History holds no more than it may, whether ids have an index or not."""
    async with opened(server.url, None, Retention(events=5, seconds=60)) as broker:
        if has_ids:
            await broker.append("a", Event("0", id="own"))

        await asyncio.gather(*(broker.append("a", Event(str(n))) for n in range(60)))

        stored = (await broker.read("a", None, 100)).entries
        assert [one.event.data for one in stored] == ["55", "56", "57", "58", "59"]
        with server.client() as client:
            assert client.xlen("heliograph:{a}:events") == 5


async def test_joined_appends_of_a_channel_that_has_ended(server):
    """Each of the publishers learns of it."""
    async with opened(server.url) as broker:
        await broker.append("a", Event("x"), terms=Terms(is_end=True))
        appends = (broker.append("a", Event("y")) for _ in range(5))

        errors = await asyncio.gather(*appends, return_exceptions=True)

        assert [type(error) for error in errors] == [ChannelEndedError] * 5
