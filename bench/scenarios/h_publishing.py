"""
(h) Publishing, while nobody listens.

By broker: a Python program publishes through it, one event at a time and 100 at a time, as fast
as it can. It has a core for itself, and Redis the other one. Beside it is what the same storage
does alone: asyncio without any, sqlite3, and redis-py, which is the limit.

Over HTTP: one connection and 16 publish through the view of each hub. For ours the same view
without a publish takes turns with it, by broker: the difference of the times from one request to
the next, and of the processor times, is what a publish adds to a view: of each turn with the one
that follows it, and the median of all counts.
"""

import statistics

from feeding import broker_url, feeding
from hubs.base import CORE
from rig import GENERATOR_CORE, median_row
from tables import Column, count, decimal, table

BROKERS = ("memory", "SQLite", "Redis")
AT_ONCE = (1, 100)
CONNECTIONS = {16: "16 connections", 1: "1 connection"}
SECONDS = 2
# Of each view of ours, and how long one is.
TURNS, TURN_SECONDS = 15, 0.25
HISTORY = 1000


ALONE = {
    "memory": "a turn of the loop and no storage",
    "SQLite": "sqlite3 alone, an insert",
    "Redis": "redis-py alone, XADD in a pipeline",
}


class Program:
    """What takes the place of a hub in the rows of a broker."""

    def __init__(self, broker, *, is_alone=False):
        self.broker, self.is_alone = broker, is_alone
        self.name = ALONE[broker] if is_alone else f"{broker}, a Python program"


def measure(bench):
    programs = [
        Program(broker, is_alone=is_alone)
        for broker in bench.some(BROKERS, 2)
        for is_alone in (False, True)
    ]
    yield from bench.each(programs, by_broker)
    yield from bench.each(bench.peers, over_http)
    for broker in bench.some(BROKERS):
        yield from bench.each(bench.ours, through_views, broker)


def by_broker(bench, program):
    for at_once in AT_ONCE:

        def run(at_once=at_once):
            with (
                broker_url(program.broker, GENERATOR_CORE) as url,
                feeding(
                    url,
                    cpu=CORE,
                    program="alone.py" if program.is_alone else "feeding.py",
                    at_once=at_once,
                    seconds=bench.seconds(SECONDS),
                ) as feeder,
            ):
                return feeder.feed()

        fed, noise = bench.quietest({CORE, GENERATOR_CORE}, run)
        rate = fed["published"] / fed["seconds"]
        cost = fed["cpu_seconds"] * 1e6 / fed["published"]
        yield {
            "broker": program.broker,
            "is_alone": program.is_alone,
            "at_once": at_once,
            "published_per_second": rate,
            "cpu_us_per_publish": cost,
        } | noise


def over_http(bench, hub):
    with bench.rig(hub, 1) as rig:
        publish = rig.running.publish_request()
        rig.warm_up(0.3, publish=publish, connections=4)
        for connections in bench.some(tuple(CONNECTIONS)):
            row = rig.measure(
                bench.seconds(SECONDS), publish=publish, connections=connections
            )
            yield {"view": "publish", "connections": connections} | row


def through_views(bench, hub, broker):
    with (
        broker_url(broker, GENERATOR_CORE) as url,
        bench.rig(type(hub)(url), 1) as rig,
    ):
        views = rig.running.view_requests()
        rig.warm_up(0.3, publish=views["publish"], connections=4)
        for connections in bench.some(tuple(CONNECTIONS)):
            rows = rig.alternate(
                views,
                TURNS if bench.is_full else 4,
                bench.seconds(TURN_SECONDS),
                connections=connections,
                settle=0.05,
            )
            about = {"broker": broker, "connections": connections}
            publish = {"view": "publish"} | median_row(rows["publish"])
            is_loud = publish["loud"] or median_row(rows["plain"])["loud"]
            difference = added(rows["plain"], rows["publish"])
            yield about | publish | difference | {"loud": is_loud}


def added(plain, publish):
    """What a publish adds to a view: microseconds of wall and of processor time."""
    pairs = list(zip(plain, publish, strict=True))

    def difference(microseconds):
        return statistics.median(microseconds(b) - microseconds(a) for a, b in pairs)

    return {
        "added_wall_us": difference(lambda row: 1e6 / row["published_per_second"]),
        "added_cpu_us": difference(lambda row: row["cpu_us_per_publish"]),
    }


def tables(rows):
    programs = [row for row in rows if "at_once" in row or "failed" in row]
    yield table(
        "Publishes a second by broker",
        programs,
        [
            Column(f"{n} at a time", "published_per_second", count, {"at_once": n})
            for n in AT_ONCE
        ]
        + [
            Column(f"CPU µs, {n}", "cpu_us_per_publish", decimal, {"at_once": n})
            for n in AT_ONCE
        ],
    )
    views = [
        row | {"line": f"{row['hub']}, {row['broker']}" if "broker" in row else row["hub"]}
        for row in rows
        if row.get("view") == "publish"
    ]
    yield table(
        "Publishes a second over HTTP, nobody listens",
        views,
        [
            Column(name, "published_per_second", count, {"connections": n}, max)
            for n, name in CONNECTIONS.items()
        ],
        by="line",
    )
    yield table(
        "What a publish adds to a view, µs",
        [row for row in views if "broker" in row],
        [
            Column(f"{what}, {name}", figure, decimal, {"connections": n})
            for n, name in CONNECTIONS.items()
            for what, figure in (("wall", "added_wall_us"), ("CPU", "added_cpu_us"))
        ],
        by="line",
    )


def plots(_):
    return ()
