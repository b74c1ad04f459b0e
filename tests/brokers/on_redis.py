"""Brokers and hubs on a Redis of the tests, and what tests do to it."""

import asyncio
import contextlib

from heliograph import BrokerUnavailableError, Event, HubConfig
from heliograph.brokers import PlainChannels, Retention, open_broker
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.plain import with_plain_channels
from heliograph.brokers.redis import Address, RedisBroker
from heliograph.brokers.redis.timings import Timings
from heliograph.brokers.values import Attempt
from heliograph.hub import Hub

RETENTION = Retention(events=10_000, seconds=86_400)


ALL_TEXT = PlainChannels(["a*", "b*", "c*", "g*", "h*", "s*"], format="text")


WEEK = 604_800


# Commands of the scripts; others come from replicas and Sentinels, whenever they like.
COUNTED = ("evalsha", "hdel", "hmget", "xdel", "xlen", "xrange", "xrevrange", "xtrim")


def commands_counter(*servers):
    """Return a function that counts the commands that servers run for one call, in scripts too."""

    def count():
        total = 0
        for server in servers:
            with server.client() as client:
                stats = client.info("commandstats")
            total += sum(
                stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in COUNTED
            )
        return total

    async def cost_of(broker, call):
        before = count()
        await call()
        return count() - before

    return cost_of


def damager(server, fields):
    """Return a function that replaces fields of an entry."""

    async def damage(broker, entry):
        key = broker._names.keys(entry.channel).events
        with server.client() as client:
            rows = client.xrange(key)
            # Only all of a stream can be written anew: its numbers have to grow.
            client.delete(key)
            for number, row in rows:
                if number == f"{entry.position.offset}-0":
                    row.update(fields)
                client.xadd(key, row, id=number)

    return damage


@contextlib.asynccontextmanager
async def opened(
    url, listener=None, retention=RETENTION, plain_channels=None, clock=None, **timings
):
    """A broker that is open; ``timings`` are fields of :class:`Timings`."""
    broker = RedisBroker(
        Address.parse(with_plain_channels(url, plain_channels)),
        retention,
        clock=clock,
        timings=Timings(**timings),
    )
    await broker.open(listener or RecordingListener())
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


class Forwarded:
    """
    A port that leads to a server, as a name does that means another one after a failover.

    Connections stay where they are: change ``server`` for new ones.
    """

    def __init__(self, server):
        self.server = server

    async def __aenter__(self):
        self._listening = await asyncio.start_server(self._connect, "127.0.0.1")
        _, port = self._listening.sockets[0].getsockname()
        self.url = f"redis://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_):
        self._listening.close()

    async def _connect(self, reader, writer):
        with contextlib.suppress(OSError):
            answers, commands = await asyncio.open_connection("127.0.0.1", self.server.port)
            await asyncio.gather(
                self._pass_on(reader, commands), self._pass_on(answers, writer)
            )
        writer.close()

    async def _pass_on(self, reader, writer):
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


async def fill(broker, count, *, ids):
    """Append to channel ``a``, if told so with ids; return the position of the last."""
    events = [Event("x", id=str(n) if ids else None) for n in range(count)]
    return (await asyncio.gather(*(broker.append("a", e) for e in events)))[-1].position
