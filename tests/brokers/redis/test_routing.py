"""Channels come and go while their lines do, too."""

import asyncio
import contextlib

import pytest
from on_redis import ALL_TEXT, appended, opened

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers.contract import RecordingListener
from redises import Cluster, RedisServer
from streams import until


@pytest.mark.parametrize("plain_channels", [None, ALL_TEXT], ids=["ours", "plain"])
@pytest.mark.parametrize("kind", ["server", "cluster"])
async def test_cut_while_channels_come_and_go(tmp_path, chance, kind, plain_channels):
    """Each listened channel gets all its events; calls raise only what they may raise."""
    storage = (RedisServer if kind == "server" else Cluster)(tmp_path / "redis")
    servers = [storage] if kind == "server" else storage.servers
    ear = RecordingListener()
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
            killed = 0
            for _ in range(40):
                await asyncio.sleep(chance.random() * 0.2)
                with chance.choice(servers).client() as client:
                    killed += client.client_kill_filter(_type="pubsub")
            ended.set()
            await asyncio.gather(*tasks)

            await until(
                lambda: all(ear.offsets(name)[-1:] == [last[name]] for name in last)
            )
            # Reconnects back off, so most cuts find nothing to cut.
            assert killed > 2
            assert len(last) > 10
            for name, offset in last.items():
                assert ear.offsets(name) == list(range(1, offset + 1))
            await until(lambda: ear.connection[-1:] == [True])
    finally:
        storage.kill()
