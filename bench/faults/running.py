"""One storage with two servers on it, their clients, and the harm that is done to all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path

import redis
from book import Book
from storages import STORAGES
from traffic import Reader, publish_until

from servers import serving

CHANNELS = [f"c{n}" for n in range(6)]
PUBLISHERS = 3
# How long all may take until readers have everything, once nothing is harmed any more.
CATCH_UP_SECONDS = 90.0
SETTINGS = {
    "APP_SSE_PUBLISH_WAITS": "true",
    "APP_SSE_HEARTBEAT_SECONDS": "5",
    # Small, so that those who resume read from storage, and history is trimmed in an hour.
    "APP_SSE_LOG_EVENTS": "30",
    "APP_SSE_HISTORY_EVENTS": "1000",
    "APP_SSE_LINGER_SECONDS": "2",
    "APP_SSE_COMPRESSION": "blocks",
    "MARK_LOG": "1",
}


def gunicorn(worker_class):
    return [
        sys.executable, "-m", "gunicorn", "plain:app", "--bind", "127.0.0.1:{port}",
        "--workers", "2", "--worker-class", worker_class, "--threads", "8",
        "--graceful-timeout", "5", "--no-control-socket",
    ]  # fmt: skip


UVICORN = [
    sys.executable, "-m", "uvicorn", "streams:app", "--port", "{port}", "--workers", "2",
    "--no-access-log", "--timeout-graceful-shutdown", "5",
]  # fmt: skip
# Each with the other worker class than its neighbour.
WORKER_CLASSES = {
    "sqlite": "gthread",
    "redis": "gevent",
    "sentinel": "gthread",
    "cluster": "gevent",
}


class Site:
    """Everything around one storage. Enter it to start its parts."""

    def __init__(self, name, folder, options, log):
        self.name = name
        self._folder = folder / name
        self._folder.mkdir()
        trace = (self._folder / "trace.log").open("w")
        self.book = Book(name, log, trace)
        self._options = options
        # Of each loop its own: what one draws does not depend on how fast another is.
        self._chance = lambda what: random.Random(f"{options.seed} {name} {what}")
        self._parts = contextlib.ExitStack()
        self._parts.callback(trace.close)
        self.servers = []
        self._readers = []

    def __enter__(self):
        with self._parts as parts:
            self.storage = STORAGES[self.name](
                self._folder / "storage", self._options.replicas
            )
            parts.callback(self.storage.stop)
            self.storage.settle()
            env = {**SETTINGS, "APP_SSE_URL": self.storage.url}
            for command in (gunicorn(WORKER_CLASSES[self.name]), UVICORN):
                self.servers.append(
                    parts.enter_context(serving(command, self._folder, env=env))
                )
            self._parts = parts.pop_all()
        return self

    def __exit__(self, *error):
        return self._parts.__exit__(*error)

    async def run(self, until):
        ports = [server.port for server in self.servers]
        chance = self._chance("channels")
        for n in range(self._options.readers):
            channels = chance.sample(CHANNELS, chance.randint(1, 4))
            view = self.book.view(f"r{n}", channels)
            self._readers.append(Reader(view, ports, self._chance(f"reader {n}")))
        reading = [asyncio.create_task(reader.run()) for reader in self._readers]
        await self._wait(lambda: all(view.since for view in self.book.views))
        chances = {
            what: self._chance(what)
            for what in ("server faults", "storage faults", *range(PUBLISHERS))
        }
        while not any(task.done() for task in reading):
            left = until - time.monotonic()
            if left <= 0:
                break
            await self._phase(min(left, self._options.checkpoint), ports, chances)
        for task in reading:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    async def _phase(self, seconds, ports, chances):
        stopping = asyncio.Event()
        between = PUBLISHERS / self._options.events
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._harm_servers(stopping, chances["server faults"]))
            tasks.create_task(self._harm_storage(stopping, chances["storage faults"]))
            for n in range(PUBLISHERS):
                tasks.create_task(
                    publish_until(
                        stopping, self.book, f"p{n}", CHANNELS, ports, chances[n], between
                    )
                )
            await asyncio.sleep(seconds)
            stopping.set()
        await self._wait(self.book.has_arrived)
        self.book.check()
        counts = self.book.counts
        self.book.note(f"checkpoint: {counts['acknowledged']} acknowledged,"
                       f" {counts['deliveries']} deliveries, {self.book.faults.total()} faults")  # fmt: skip

    async def _wait(self, condition):
        ends = time.monotonic() + CATCH_UP_SECONDS
        while not condition() and time.monotonic() < ends:
            await asyncio.sleep(0.2)

    async def _pauses(self, stopping, chance):
        """Yield at random times until the end of the phase."""
        while True:
            with contextlib.suppress(TimeoutError):
                seconds = chance.expovariate(1 / self._options.between)
                await asyncio.wait_for(stopping.wait(), seconds)
                return
            yield

    async def _harm_storage(self, stopping, chance):
        async for _ in self._pauses(stopping, chance):
            fault = chance.choice(self._options.faults or self.storage.FAULTS)
            began = time.monotonic()
            self.book.faults[fault] += 1
            self.book.note(fault)
            own = random.Random(chance.random())
            try:
                await asyncio.to_thread(getattr(self.storage, fault), own)
            except (redis.RedisError, OSError) as error:
                # A Sentinel that has just failed over refuses, and so on.
                self.book.faults[fault] -= 1
                self.book.note(f"{fault} could not be done: {error}")
            self.book.note(f"{fault} is over", began)
            await asyncio.to_thread(self.storage.settle)
            self.book.note("storage has settled", began)

    async def _harm_servers(self, stopping, chance):
        faults = (self._kill, self._end, self._stop_for_a_while, self._reload, self._cut)
        async for _ in self._pauses(stopping, chance):
            fault = chance.choice(faults)
            server = chance.choice(self.servers)
            worker = chance.random()
            name = f"{fault.__name__.strip('_')} {'uvicorn' if server is self.servers[1] else 'gunicorn'}"
            self.book.faults[name] += 1
            self.book.note(name)
            with contextlib.suppress(ProcessLookupError):
                await fault(server, worker)

    def _worker(self, server, share):
        """Return one of the processes that serve; not the one that counts semaphores."""
        pids = [
            pid
            for pid in server.workers()
            if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return sorted(pids)[int(share * len(pids))]

    async def _kill(self, server, share):
        os.kill(self._worker(server, share), signal.SIGKILL)

    async def _end(self, server, share):
        os.kill(self._worker(server, share), signal.SIGTERM)

    async def _stop_for_a_while(self, server, share):
        pid = self._worker(server, share)
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(0.2 + 4 * share)
        os.kill(pid, signal.SIGCONT)

    async def _reload(self, server, share):
        del share
        server.signal(signal.SIGHUP)

    async def _cut(self, server, share):
        del server
        for reader in random.Random(share).sample(self._readers, len(self._readers) // 2):
            reader.cut()
