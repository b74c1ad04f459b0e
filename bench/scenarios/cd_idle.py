"""
(c, d) Opening 10,000 streams, and what they cost while nothing happens.

Streams are opened at once, 256 being connected or waiting for their response; the rate is that of
each thousand. A second later the memory of the hub's processes is compared with before (anonymous
pages, which nobody shares), and that of the kernel, for which both ends of a connection count.

Then these are closed, and for ours a plain view of the same process is asked as often, in a new
connection each, as many at once; and after it the same server without a framework, which is the
limit of all that it can serve. A connection counts when the head of its response was read, as for
streams.
"""

import time

from plots import bars, curves
from tables import Column, count, decimal, table

STREAMS = 10_000
AT_ONCE = 256
PLAIN, ALONE = "plain view", "server alone"


def measure(bench):
    yield from bench.each([*bench.ours, *bench.peers], idle)


def idle(bench, hub):
    streams = bench.streams(STREAMS)
    with bench.rig(hub, streams) as rig:
        # What is imported and allocated once is not the streams'.
        rig.open(10, group="first")
        rig.warm_up(0.2, publish=rig.running.publish_request(), count=1)
        time.sleep(bench.seconds(0.5))
        before = rig.usage()
        with rig.watch() as noise:
            opening = rig.open(streams, at_once=AT_ONCE, seconds=120)
        opening_cpu = rig.usage().cpu_seconds - before.cpu_seconds
        time.sleep(bench.seconds(1))
        used = rig.usage() - before
        idle_before = rig.usage().cpu_seconds
        time.sleep(bench.seconds(2))
        idle_cpu = rig.usage().cpu_seconds - idle_before
        yield {
            "streams": STREAMS,
            "what": "streams",
            "opened_per_second": streams / opening.seconds,
            "refused": sum(opening.refused.values()),
            "thousands": [1000 / one for one in opening.per_thousand if one],
            "opening_cpu_us": opening_cpu * 1e6 / streams,
            "anonymous_per_stream": used.anonymous_bytes / streams,
            "kernel_per_stream": used.kernel_bytes / streams,
            "descriptors_per_stream": used.descriptors / streams,
            "process_bytes": before.anonymous_bytes,
            "idle_cpu_share": idle_cpu / bench.seconds(2),
            "foreign": noise.foreign,
            "loud": noise.is_loud,
        }
        if hub in bench.ours:
            rig.load.close_streams(reset=True)
            time.sleep(bench.seconds(2))
            yield {"what": PLAIN} | answered(bench, rig)
    if hub in bench.ours and bench.is_full:
        with bench.rig(type(hub)(is_alone=True), streams) as rig:
            yield {"what": ALONE} | answered(bench, rig)


def answered(bench, rig):
    """The row of a view: each "stream" is a request that has been answered."""
    streams = bench.streams(STREAMS)
    request = b"GET /plain HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    rig.open(10, request, group="first")
    with rig.watch() as noise:
        opening = rig.open(streams, request, at_once=AT_ONCE, seconds=120)
    return {
        "streams": STREAMS,
        "opened_per_second": streams / opening.seconds,
        "thousands": [1000 / one for one in opening.per_thousand if one],
        "foreign": noise.foreign,
        "loud": noise.is_loud,
    }


def flatness(row):
    """The rate of the last thousand beside that of the first."""
    thousands = row.get("thousands") or [0]
    return thousands[-1] / thousands[0] if len(thousands) > 1 else None


def tables(rows):
    streams = {"what": "streams"}
    yield table(
        "10,000 idle streams",
        rows,
        [
            Column("bytes per stream", "anonymous_per_stream", count, streams, min),
            Column("in the kernel, both ends", "kernel_per_stream", count, streams),
            Column("descriptors", "descriptors_per_stream", decimal, streams),
        ],
    )
    yield table(
        "Opening 10,000 streams, 256 at once",
        rows,
        [
            Column("streams/s", "opened_per_second", count, streams, max),
            Column("last thousand / first", flatness, decimal, streams),
            Column("refused once", "refused", count, streams),
            Column("CPU µs each", "opening_cpu_us", decimal, streams),
            *(
                Column(
                    f"{what}, new connections/s", "opened_per_second", count, {"what": what}
                )
                for what in (PLAIN, ALONE)
            ),
        ],
    )


def plots(rows):
    opened = [row for row in rows if row.get("what") == "streams"]
    yield bars(
        "idle",
        "Bytes of memory per idle stream",
        {row["hub"]: row["anonymous_per_stream"] for row in opened},
        count,
    )
    yield bars(
        "opening",
        "Streams opened a second",
        {row["hub"]: row["opened_per_second"] for row in opened},
        count,
    )
    yield curves(
        "opening-thousands",
        "Ours: opened a second, by thousands",
        {
            f"{row['hub']}, {row['what']}": row["thousands"]
            for row in rows
            if row.get("kind") == "ours" and "thousands" in row
        },
        "thousand",
        count,
    )
