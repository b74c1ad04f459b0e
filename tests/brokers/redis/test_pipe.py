"""Calls that are sent together on one connection are done once, or fail."""

import asyncio
import contextlib

import pytest
from on_redis import appended, opened

from heliograph import BrokerUnavailableError, Event


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
