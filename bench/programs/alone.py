"""
Store events with as little as each kind of storage asks for: the limit of what publishes can be.

    python bench/programs/alone.py URL --at-once 100 --seconds 3

It talks as programs/feeding.py does. In memory an event waits for a turn of the loop and nothing
is stored. In Redis it is an XADD by redis-py, in one pipeline with all that are published at the same
time; in SQLite an INSERT, in one transaction with them. No other thread or process learns of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3

import redis.asyncio
import uvloop
from pace import as_fast_as_it_can, event, when_told


@contextlib.asynccontextmanager
async def in_memory(_):
    async def publish(_):
        await asyncio.sleep(0)

    yield publish


@contextlib.asynccontextmanager
async def in_redis(url):
    async with redis.asyncio.Redis.from_url(url) as client:

        async def store(some):
            pipeline = client.pipeline(transaction=False)
            for one in some:
                pipeline.xadd("alone", {"event": one}, maxlen=1000)
            await pipeline.execute()

        yield together(store)


@contextlib.asynccontextmanager
async def in_sqlite(url):
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE TABLE alone (number INTEGER PRIMARY KEY, event TEXT)")

        async def store(some):
            with connection:
                connection.executemany(
                    "INSERT INTO alone (event) VALUES (?)", [(one,) for one in some]
                )

        yield together(store)


def together(store):
    """What publishes: all that are called in one turn of the loop are stored together."""
    waiting, storing = [], None

    async def store_them():
        nonlocal waiting, storing
        await asyncio.sleep(0)
        some, waiting, storing = waiting, [], None
        await store(some)

    async def publish(number):
        nonlocal storing
        waiting.append(event(number))
        if storing is None:
            storing = asyncio.create_task(store_them())
        await storing

    return publish


async def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("url")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    if options.url.startswith("redis:"):
        storage = in_redis(options.url)
    elif options.url.startswith("sqlite:"):
        storage = in_sqlite(options.url)
    else:
        storage = in_memory(options.url)
    async with storage as publish:
        await when_told(
            lambda: as_fast_as_it_can(publish, options.seconds, options.at_once)
        )


uvloop.run(main())
