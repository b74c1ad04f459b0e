"""
(k) Large events: 64 KB each, to 500 streams.

16 connections publish over HTTP without pause, as in (a); then one publishes 4 events a second,
which a hub should be able to follow, and latency is measured.
"""

from plots import bars
from tables import Column, count, decimal, megabytes, table

STREAMS = 500
# With the mark and JSON's signs an event is just below 64 KB.
PADDING = 65_536 - 64
SECONDS = 3
RATE = 4


def measure(bench):
    yield from bench.each(bench.hubs, large)


def large(bench, hub):
    streams = bench.streams(STREAMS)
    with bench.rig(hub, streams) as rig:
        publish = rig.running.publish_request(padding=PADDING)
        rig.open(streams)
        if bench.is_full:
            row = rig.measure(bench.seconds(SECONDS), publish=publish, rate=RATE)
            yield {"how": "steady"} | row
        row = rig.measure(bench.seconds(SECONDS), publish=publish, connections=16)
        yield {"how": "flood"} | row


def tables(rows):
    flood, steady = {"how": "flood"}, {"how": "steady"}
    yield table(
        "64 KB to 500 streams",
        rows,
        [
            Column("flood, MB/s", "bytes_per_second", megabytes, flood, max),
            Column("deliveries/s", "deliveries_per_second", count, flood, max),
            Column("4 a second, p50 ms", "p50", decimal, steady, min),
            Column("p99 ms", "p99", decimal, steady, min),
        ],
    )


def plots(rows):
    yield bars(
        "large",
        "MB/s to 500 streams, events of 64 KB",
        {
            row["hub"]: row["bytes_per_second"] / 1e6
            for row in rows
            if row.get("how") == "flood" and "bytes_per_second" in row
        },
        decimal,
    )
