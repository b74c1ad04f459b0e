"""
(e) Storm: 10,000 clients reconnect at once, each 100 events behind, while 1,000 others go on.

1,000 streams of another channel stay open and get 10 events a second all the time. 10,000 clients
open streams with the id of an event after which 100 more were published, 256 at once, and are
waited for until each has got those. Only hubs that can resume take part.
"""

from load import Load
from plots import bars
from rig import GENERATOR_CORE
from tables import Column, count, decimal, table

CLIENTS = 10_000
OTHERS = 1000
BEHIND = 100
RATE = 10
SECONDS = 90
FLAWS = ("holes", "repeats", "disorders", "closed")


def measure(bench):
    yield from bench.each(
        [hub for hub in [*bench.ours, *bench.peers] if hub.resumes], storm
    )


def storm(bench, hub):
    clients, others = bench.streams(CLIENTS), bench.streams(OTHERS)
    with (
        bench.rig(hub, clients + others) as rig,
        # A generator numbers all that it publishes in a run.
        Load(rig.running.port, cpu=GENERATOR_CORE) as beside,
    ):
        publish = rig.running.publish_request()
        to_others = rig.running.publish_request("others")
        beside.open(others, rig.running.stream_request("others"), group="others")
        rig.open(1, group="first")
        rig.load.run(10, publish=publish, rate=1000, count=10)
        last, had = rig.load.last_id("first"), rig.load.last_number(publish)
        rig.load.run(10, publish=publish, rate=1000, count=BEHIND)
        until = rig.load.last_number(publish)
        request = rig.running.stream_request(last_event_id=last)

        before = rig.usage()
        beside.begin(SECONDS, publish=to_others, rate=RATE)
        rig.load.begin(SECONDS)
        opening = rig.load.open(
            clients, request, group="back", until=until, after=had, seconds=SECONDS
        )
        runs = rig.load.end(), beside.end()
        spent = rig.usage() - before
        if opening.opened < clients:
            raise RuntimeError(f"opened {opening.opened}; refused: {opening.refused}")
        quiet = runs[1].latency["others"]
        yield {
            "streams": CLIENTS,
            "caught_up": opening.caught_up,
            "silent": clients - opening.caught_up,
            "caught_up_seconds": opening.caught_up_seconds,
            "opened_seconds": opening.seconds,
            "others_p50": quiet.p50,
            "others_p99": quiet.p99,
            "others_max": quiet.max,
            "cpu_us_per_client": spent.cpu_seconds * 1e6 / clients,
            **{flaw: sum(getattr(run, flaw) for run in runs) for flaw in FLAWS},
        }


def tables(rows):
    yield table(
        "10,000 clients come back, 100 events behind, 1,000 others go on",
        rows,
        [
            Column("all caught up, s", "caught_up_seconds", decimal, best=min),
            Column("others' p50 ms", "others_p50", decimal),
            Column("others' p99 ms", "others_p99", decimal, best=min),
            Column("CPU µs per client", "cpu_us_per_client", count),
        ],
    )


def plots(rows):
    yield bars(
        "storm",
        "Seconds until 10,000 clients have caught up",
        {row["hub"]: row["caught_up_seconds"] for row in rows if "caught_up" in row},
        decimal,
    )
