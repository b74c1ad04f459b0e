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
