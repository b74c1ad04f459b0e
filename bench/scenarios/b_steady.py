"""
(b) Steady: latency and processor time at rates that a hub should be able to follow.

One connection publishes at a fixed rate over HTTP: 50 and 100 events a second to 1,000 streams,
then 10 a second to 5,000. Latency is from sending the request until the event was read. Processor
time is that of all processes of the hub, divided by the deliveries; publishing is part of it.

A hub that cannot follow publishes less, since the next request is not sent before the last one is
answered. Latency counts from the time at which it was due, so it grows then for as long as a run
lasts.

Ours and nchan, which the targets compare, take turns, and the median of each figure counts.
"""

from plots import bars
from rig import median_row
from tables import Column, decimal, table

RATES = ((1000, 50), (1000, 100), (5000, 10))
SECONDS = 5
ROUNDS = 3


def measure(bench):
    compared = [hub for hub in bench.hubs if hub in bench.ours or "nchan" in hub.name]
    rounds = []
    for _ in bench.some(range(ROUNDS)):
        rounds += bench.each(compared, steady)
    yield from medians(rounds)
    yield from bench.each([hub for hub in bench.hubs if hub not in compared], steady)


def medians(rows):
    """A row for each hub and rate."""
    together = {}
    for row in rows:
        about = (row["hub"], row.get("streams"), row.get("rate"))
        together.setdefault(about, []).append(row)
    yield from map(median_row, together.values())


def steady(bench, hub):
    opened = 0
    with bench.rig(hub, bench.streams(RATES[-1][0])) as rig:
        for nominal, rate in RATES:
            rig.open(bench.streams(nominal) - opened)
            opened = bench.streams(nominal)
            yield {"streams": nominal, "rate": rate} | at_rate(bench, rig, rate)


def at_rate(bench, rig, rate, channel="a"):
    """What comes of publishing at a rate, once what is done for the first time is done."""
    publish = rig.running.publish_request(channel)
    rig.warm_up(0.5, publish=publish, rate=rate)
    return rig.measure(bench.seconds(SECONDS), publish=publish, rate=rate)


def tables(rows):
    for streams, rate in RATES:
        where = {"streams": streams, "rate": rate}
        yield table(
            f"{streams:,} streams, {rate} events a second",
            rows,
            [
                Column("published/s", "published_per_second", decimal, where),
                Column("p50 ms", "p50", decimal, where, min),
                Column("p99 ms", "p99", decimal, where, min),
                Column("CPU µs per delivery", "cpu_us_per_delivery", decimal, where, min),
                Column("events per read", "deliveries_per_read", decimal, where),
            ],
        )


def plots(rows):
    for streams, rate in RATES:
        where = {"streams": streams, "rate": rate}
        own = [row for row in rows if "p99" in row and where.items() <= row.items()]
        yield bars(
            f"steady-{streams}-{rate}",
            f"p99 in ms: {streams:,} streams, {rate} events a second",
            {row["hub"]: row["p99"] for row in own},
            decimal,
        )
