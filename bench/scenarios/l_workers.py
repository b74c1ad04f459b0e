"""
(l) Past one process: workers on one port, and processes that an event does not concern.

One and two workers of ours share a port, SQLite or Redis between them, and both cores with the
load generator, which takes its share: 1,000 streams are flooded by 16 connections.

What an event costs a process that has a stream of its channel, and one that has only streams of
others: another process publishes 500 events a second. With Redis also what it sends each.
"""

from feeding import Redis, broker_url
from rig import GENERATOR_CORE
from tables import Column, count, decimal, table

STREAMS = 1000
SECONDS = 3
HISTORY = 200_000
WORKERS = (1, 2)
BROKERS = ("SQLite", "Redis")
RATE = 500


def measure(bench):
    for broker in bench.some(BROKERS):
        for workers in WORKERS:
            yield from bench.each(bench.ours, spread, broker, workers)
        if bench.is_full:
            yield from bench.each(bench.ours, bystander, broker)


def spread(bench, hub, broker, workers):
    streams = bench.streams(STREAMS)
    with broker_url(broker) as url:
        served = type(hub)(url, {"history_events": HISTORY}, workers=workers)
        with bench.rig(served, streams, core=None) as rig:
            opening = rig.open(streams)
            row = rig.measure(
                bench.seconds(SECONDS),
                publish=rig.running.publish_request(),
                connections=16,
            )
            about = {"broker": broker, "workers": workers}
            yield about | {"opened_per_second": streams / opening.seconds} | row


def bystander(bench, hub, broker):
    with (
        broker_url(broker, GENERATOR_CORE) as url,
        bench.rig(type(hub)(url), 2) as rig,
    ):
        for what, channel in (("another channel", "other"), ("its channel", "a")):
            rig.open(1, rig.running.stream_request(channel), group=what[:3])
            before, fed = sent_by(broker, url), rig.fed
            row = rig.measure_fed(bench.seconds(SECONDS), rate=RATE)
            sent = sent_by(broker, url) - before
            yield {
                "broker": broker,
                "listens": what,
                "cpu_us_per_event": row["cpu_us_per_publish"],
                "redis_bytes_per_event": sent / (rig.fed - fed),
                "redis_connections": connections(broker, url),
                **{name: row[name] for name in ("foreign", "loud", "published")},
            }


def sent_by(broker, url):
    """How many bytes Redis has sent."""
    return int(_info(url)["total_net_output_bytes"]) if broker == "Redis" else 0


def connections(broker, url):
    """How many the processes have to Redis."""
    # One of them asks for this figure. The program that fed has ended.
    return int(_info(url)["connected_clients"]) - 1 if broker == "Redis" else 0


def _info(url):
    return Redis(int(url.rpartition(":")[2])).info()


def tables(rows):
    grown = [row for row in rows if "workers" in row]
    for broker in BROKERS:
        yield table(
            f"Deliveries a second by workers, {broker}",
            grown,
            [
                Column(
                    f"{n} {'workers' if n > 1 else 'worker'}",
                    "deliveries_per_second",
                    count,
                    {"workers": n, "broker": broker},
                )
                for n in WORKERS
            ],
        )
    columns = []
    for broker in BROKERS:
        for what in ("its channel", "another channel"):
            where = {"broker": broker, "listens": what}
            heading = f"{broker}, streams of {what}"
            columns.append(Column(heading, "cpu_us_per_event", decimal, where))
    yield table(
        "CPU µs of a process for an event that another one publishes", rows, columns
    )


def plots(_):
    return ()
