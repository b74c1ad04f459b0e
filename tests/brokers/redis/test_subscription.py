"""Errors of a connection in subscriber mode are the driver's, on every loop."""

import asyncio

import pytest
import uvloop
from redis.asyncio import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from heliograph.brokers.redis.subscription import Subscription


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


class Stubborn(Connection):
    """A connection that cannot be closed, as one of uvloop's whose handle has gone."""

    async def disconnect(self, *args, **options):
        await super().disconnect(*args, **options)
        raise RuntimeError("unable to perform operation; the handler is closed")


async def test_a_connection_that_cannot_be_closed(server):
    """It is given up: the task of a line, which closes it, would end."""
    subscription = Subscription(Stubborn(port=server.port, retry=Retry(NoBackoff(), 0)))
    await subscription.connect()

    await subscription.close()

    with pytest.raises(RedisConnectionError, match="was closed"):
        await subscription.send("PING")
