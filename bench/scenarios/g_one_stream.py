"""
(g) Publish to receive: latency with one stream and 100 events a second.

Over HTTP, latency is from sending the request until the event was read, so the view is part of
it: the time until its publisher has read the answer stands beside it.

For ours also from just before the call of `publish`: within the application, by a view that goes on
for as long as the run, and by another process, through SQLite or Redis. That process, Redis and the
load generator share a core. And all of these once more at 1,000 events a second: what differs is
what a processor takes that has done something else in between.
"""

from feeding import broker_url
from rig import GENERATOR_CORE
from tables import Column, decimal, table

FEEDS = {
    "HTTP": "HTTP",
    "within": "the application itself",
    "SQLite": "SQLite",
    "Redis": "Redis",
}
OURS = ("within", "SQLite", "Redis")
RATE, WARM_RATE = 100, 1000
SECONDS = 4


def measure(bench):
    yield from bench.each(bench.hubs, over_http)
    yield from bench.each(bench.ours, within_process)
    for broker in bench.some(("SQLite", "Redis")):
        yield from bench.each(bench.ours, between_processes, broker)


def over_http(bench, hub):
    with bench.rig(hub, 1) as rig:
        publish = rig.running.publish_request()
        rig.open(1)
        rig.warm_up(0.5, publish=publish, rate=RATE)
        row = rig.measure(bench.seconds(SECONDS), publish=publish, rate=RATE)
        yield {"feed": "HTTP", "rate": RATE} | row


def within_process(bench, hub):
    with bench.rig(hub, 1) as rig:
        rig.open(1)
        rig.measure_within(bench.seconds(0.5), RATE)
        for rate in bench.some((RATE, WARM_RATE)):
            row = rig.measure_within(bench.seconds(SECONDS), rate)
            yield {"feed": "within", "rate": rate} | row


def between_processes(bench, hub, broker):
    with (
        broker_url(broker, GENERATOR_CORE) as url,
        bench.rig(type(hub)(url), 1) as rig,
    ):
        rig.open(1)
        for rate in bench.some((RATE, WARM_RATE)):
            row = rig.measure_fed(bench.seconds(SECONDS), rate=rate)
            yield {"feed": broker, "rate": rate} | row


def tables(rows):
    over_http = {"feed": "HTTP", "rate": RATE}
    columns = [
        *latencies("HTTP", RATE, min),
        Column("HTTP, answer, p50 ms", "publish_ms", decimal, over_http),
    ]
    for feed in OURS:
        columns += latencies(feed, RATE)
    yield table("One stream, 100 events a second", rows, columns)
    columns = [column for feed in OURS for column in latencies(feed, WARM_RATE)]
    yield table("One stream, 1,000 events a second", rows, columns)


def latencies(feed, rate, best=None):
    where = {"feed": feed, "rate": rate}
    return [
        Column(f"{FEEDS[feed]}, {figure} ms", figure, decimal, where, best)
        for figure in ("p50", "p99")
    ]


def plots(_):
    return ()
