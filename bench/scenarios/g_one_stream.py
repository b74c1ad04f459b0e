"""
(g) Publish to receive: latency with one stream and 100 events a second.

Over HTTP, latency is from sending the request until the event was read, so the view is part of
it: the time until its publisher has read the answer stands beside it.

For ours also from just before the call of `publish`: within the application, by a view that goes on
for as long as the run, and by another process, through SQLite or Redis. That process, Redis and the
load generator share a core.
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
RATE = 100
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
        yield {"feed": "HTTP"} | row


def within_process(bench, hub):
    with bench.rig(hub, 1) as rig:
        rig.open(1)
        rig.measure_within(bench.seconds(0.5), RATE)
        yield {"feed": "within"} | rig.measure_within(bench.seconds(SECONDS), RATE)


def between_processes(bench, hub, broker):
    with (
        broker_url(broker, GENERATOR_CORE) as url,
        bench.rig(type(hub)(url), 1) as rig,
    ):
        rig.open(1)
        yield {"feed": broker} | rig.measure_fed(bench.seconds(SECONDS), rate=RATE)


def tables(rows):
    columns = []
    for feed, name in FEEDS.items():
        for figure in ("p50", "p99"):
            best = min if feed == "HTTP" else None
            columns.append(
                Column(f"{name}, {figure} ms", figure, decimal, {"feed": feed}, best)
            )
    answer = Column("HTTP, answer, p50 ms", "publish_ms", decimal, {"feed": "HTTP"})
    columns.insert(2, answer)
    yield table("One stream, 100 events a second", rows, columns)


def plots(_):
    return ()
