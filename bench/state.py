"""
What the state of channels costs: those that have one beside those that have none.

    python bench/state.py [--rounds 9] [--before FOLDER]

A hub publishes to channels, and clients join them, in one process and without a network, with
each broker of one machine. What is shown is the CPU time of one operation, medians of the
rounds, and how many times that of a plain channel it is. The rounds take turns, each in a
process of its own; the machine's noise is the spread of the plain ones.

With ``--before`` the plain channels of another checkout, such as that of an older release, take
turns as well: what a channel without a state costs must not have changed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
PUBLISHES, JOINS, STREAMS = 2_000, 2_000, 200


async def measure(url, only_plain):
    """The CPU time of each operation, in microseconds."""
    # Imported here: which checkout they come from is the process's.
    from heliograph import Event, HubConfig
    from heliograph.hub import Admission, open_hub

    times = {}
    hub = await open_hub(url, HubConfig())

    async def timed(name, count, operation):
        begin = time.process_time()
        for n in range(count):
            await operation(n)
        times[name] = (time.process_time() - begin) / count * 1e6

    def join(channel, **options):
        async def one(_):
            ticket = hub.admit(Admission((channel,), **options))
            await hub.locate(ticket)
            hub.attach(ticket, Sink())
            await asyncio.sleep(0)
            hub.release(ticket)

        return one

    event = Event("x" * 200)
    await timed("publish", PUBLISHES, lambda _: hub.publish(["plain"], event))
    # In use all the time, as a channel with streams is.
    kept = hub.admit(Admission(("plain",)))
    await hub.locate(kept)
    hub.attach(kept, Sink())
    await timed("join", JOINS, join("plain"))
    for _ in range(STREAMS):
        ticket = hub.admit(Admission(("plain",)))
        await hub.locate(ticket)
        hub.attach(ticket, Sink())

    async def deliver(_):
        await hub.publish(["plain"], event)
        await asyncio.sleep(0)

    await timed(f"publish to {STREAMS} streams", 500, deliver)
    if not only_plain:
        await with_state(hub, timed, event)
    await hub.close()
    return times


async def with_state(hub, timed, event):
    from heliograph.brokers import Terms
    from heliograph.hub import Admission

    await timed(
        "publish, retained",
        PUBLISHES,
        lambda _: hub.publish(["one"], event, Terms(retain_as="")),
    )
    await timed(
        "publish, retained, 100 keys",
        PUBLISHES,
        lambda n: hub.publish(["many"], event, Terms(retain_as=str(n % 100))),
    )
    await timed(
        "publish, idempotency key",
        PUBLISHES,
        lambda n: hub.publish(["once"], event, Terms(idempotency_key=str(n))),
    )
    for channel, count in [("one", 1), ("many", 100)]:
        kept = hub.admit(Admission((channel,)))
        await hub.locate(kept)
        hub.attach(kept, Sink())
        await asyncio.sleep(0.1)
        await timed(f"join, {count} retained", JOINS // 10, joined(hub, channel, count))
    await hub.ask(lambda state: state.end("ended", None))
    await timed("204 after the end", JOINS // 10, refused(hub, "ended"))


def joined(hub, channel, expected):
    """An operation that ends when the client has got what is retained."""
    from heliograph.hub import Admission

    async def one(_):
        ticket = hub.admit(Admission((channel,)))
        await hub.locate(ticket)
        sink = Sink()
        hub.attach(ticket, sink)
        while not sink.is_done(expected):
            await asyncio.sleep(0.0005)
        hub.release(ticket)

    return one


def refused(hub, channel):
    """An operation that ends when storage has confirmed that there is nothing to serve."""
    from heliograph.hub import Admission

    async def one(_):
        ticket = hub.admit(Admission((channel,)))
        assert not await hub.locate(ticket)
        hub.release(ticket)

    return one


class Sink:
    """A client that takes everything at once."""

    paused = False
    unsent_bytes = 0

    def __init__(self):
        from heliograph.wire.framing import Framing

        self.framing = Framing.IDENTITY
        self.events = 0

    def attach(self, client):
        pass

    def write(self, data):
        self.events += data.count(b"\ndata: x")

    def is_done(self, events):
        return self.events >= events

    def close(self):
        pass

    def abort(self):
        pass


def run_once(folder, broker, *, only_plain):
    """The times of a process that imports from a checkout."""
    with tempfile.TemporaryDirectory() as storage:
        url = "memory:" if broker == "memory" else f"sqlite:///{storage}/log"
        options = ["--url", url, *(["--plain"] if only_plain else [])]
        done = subprocess.run(
            [sys.executable, __file__, *options],
            env={**os.environ, "PYTHONPATH": str(folder / "src")},
            stdout=subprocess.PIPE,
            check=True,
        )
    return json.loads(done.stdout)


def report(broker, now, before):
    print(f"\n{broker}: CPU time of one operation, microseconds")
    for name in now[0]:
        ours = [times[name] for times in now]
        plain = [times[name.partition(",")[0]] for times in now] if "," in name else None
        line = f"  {name:32} {statistics.median(ours):8.1f}  ({min(ours):.1f} to {max(ours):.1f})"
        if plain is not None:
            ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
            line += f"  {ratio:.2f} times that of a plain channel"
        elif before and name in before[0]:
            ratios = sorted(a[name] / b[name] for a, b in zip(now, before, strict=True))
            line += (
                f"  {statistics.median(ratios):.2f} times what it was"
                f" ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            )
        print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.url:
        print(json.dumps(asyncio.run(measure(options.url, options.plain))))
        return
    for broker in ("memory", "sqlite"):
        now, before = [], []
        for _ in range(options.rounds):
            now.append(run_once(HERE, broker, only_plain=False))
            if options.before:
                before.append(run_once(options.before, broker, only_plain=True))
        report(broker, now, before)


if __name__ == "__main__":
    main()
