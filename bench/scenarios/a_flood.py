"""
(a) Flood: deliveries a second when more is published than can be delivered.

16 connections publish over HTTP, each its next event as soon as the last one is answered, while
100, 1,000 and 5,000 streams of one channel are read. The floor is measured alike, and with 256
connections, which is the most bytes that one core sends here.

Ours is also fed by another process, which publishes 100 events at a time through SQLite or Redis
as fast as it can. It and Redis share a core with the load generator, as the publishers do.

A publishing view of ours is compared with the same view that does not publish; and beside 1,000
streams, publishing to them with publishing to a channel that nobody has. They take turns, and
the medians count.
"""

from feeding import broker_url
from plots import bars
from rig import GENERATOR_CORE, median_row
from tables import Column, count, decimal, megabytes, table

STREAMS = (100, 1000, 5000)
BESIDE = 1000
CONNECTIONS = 16
# Turns of each view, and how long one is.
TURNS, TURN_SECONDS = 5, 0.7
MOST_CONNECTIONS = 256
SECONDS = 3
# What is fed faster than it is delivered is behind by more than the usual history.
HISTORY = 200_000


def measure(bench):
    yield from bench.each(bench.hubs, flood)
    for broker in bench.some(("SQLite", "Redis")):
        yield from bench.each(bench.ours, fed, broker)


def flood(bench, hub):
    """As many streams as before, and some more: a hub is started once."""
    with bench.rig(hub, bench.streams(STREAMS[-1])) as rig:
        publish, opened = rig.running.publish_request(), 0
        if hub in bench.ours:
            rig.warm_up(1, publish=publish, connections=CONNECTIONS)
            yield in_turns(bench, rig, "views", rig.running.view_requests())
        for nominal in bench.some(STREAMS, 2):
            rig.open(bench.streams(nominal) - opened)
            opened = bench.streams(nominal)
            about = {"streams": nominal, "feed": "HTTP"}
            for connections in (
                (CONNECTIONS, MOST_CONNECTIONS) if hub is bench.floor else (CONNECTIONS,)
            ):
                row = rig.measure(
                    bench.seconds(SECONDS), publish=publish, connections=connections
                )
                yield about | {"connections": connections} | row
            if hub in bench.ours and nominal == BESIDE:
                nobody = rig.running.publish_request("nobody")
                yield in_turns(bench, rig, "beside", {"alone": nobody, "beside": publish})


def fed(bench, hub, broker):
    with broker_url(broker, GENERATOR_CORE) as url:
        served = type(hub)(url, {"history_events": HISTORY})
        with bench.rig(served, bench.streams(STREAMS[-1])) as rig:
            opened = 0
            for nominal in bench.some(STREAMS[1:]):
                rig.open(bench.streams(nominal) - opened)
                opened = bench.streams(nominal)
                row = rig.measure_fed(bench.seconds(SECONDS), at_once=100, history=HISTORY)
                yield {"streams": nominal, "feed": broker} | row


def in_turns(bench, rig, turns, requests):
    """The row of views that take turns: requests a second by their names."""
    seconds = bench.seconds(TURN_SECONDS)
    rows = rig.alternate(requests, TURNS, seconds, connections=CONNECTIONS)
    return {"turns": turns, "loud": False} | {
        name: median_row(found)["published_per_second"] for name, found in rows.items()
    }


def tables(rows):
    rows = [row | {"line": _line(row)} for row in rows]
    floods = [row for row in rows if "turns" not in row]
    yield table(
        "Deliveries a second, by streams",
        floods,
        [
            Column(f"{n:,}", "deliveries_per_second", count, {"streams": n}, max)
            for n in STREAMS
        ],
        by="line",
    )
    yield table(
        "The same in MB/s",
        floods,
        [
            Column(f"{n:,}", "bytes_per_second", megabytes, {"streams": n}, max)
            for n in STREAMS
        ],
        by="line",
    )
    yield table(
        "Requests a second of a view that publishes, beside one that does not",
        [row for row in rows if row.get("turns") == "views"],
        [Column("plain view", "plain", count), Column("publishes", "publish", count)],
    )
    yield table(
        f"Requests a second of a view that publishes, beside {BESIDE:,} streams",
        [row for row in rows if row.get("turns") == "beside"],
        [
            Column("to a channel without streams", "alone", count),
            Column("to the streams", "beside", count),
            Column("keeps", lambda row: row["beside"] / row["alone"], decimal),
        ],
    )


def _line(row):
    if row.get("feed", "HTTP") != "HTTP":
        return f"{row['hub']}, fed by {row['feed']}"
    if row.get("connections") == MOST_CONNECTIONS:
        return f"{row['hub']}, {MOST_CONNECTIONS} connections"
    return row["hub"]


def plots(rows):
    floods = [row | {"line": _line(row)} for row in rows if "deliveries" in row]
    floods.sort(key=lambda row: row["kind"] != "ours")
    yield bars(
        "flood",
        "Deliveries a second to 1,000 streams, flood",
        {
            row["line"]: row["deliveries_per_second"]
            for row in floods
            if row.get("streams") == 1000
        },
        count,
    )
