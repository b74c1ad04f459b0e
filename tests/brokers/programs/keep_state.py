"""Change the state of channels, and write a line when each change has returned: PATH ROUND."""

import asyncio
import sys

from sqlite_files import opened

from heliograph import Event
from heliograph.brokers.values import Terms


async def main(path, round_):
    async with opened(path) as broker:
        for n in range(1_000_000):
            name = f"{round_}.{n}"
            await broker.append(name, Event("1"), terms=Terms(retain_as="kept"))
            print(f"{name} retained", flush=True)
            last = Terms(retain_as="last", idempotency_key="once", is_end=True)
            await broker.append(name, Event("2"), terms=last)
            print(f"{name} ended", flush=True)
            await broker.begin(name)
            print(f"{name} begun", flush=True)
            await broker.append(name, Event("3"), terms=Terms(retain_as="new"))
            print(f"{name} again", flush=True)
            await broker.forget(name, "new")
            print(f"{name} forgotten", flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2]))
