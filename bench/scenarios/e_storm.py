"""
(e) Storm: 10,000 clients reconnect at once, each 100 events behind, while 1,000 others go on.

1,000 streams of another channel stay open and get 10 events a second all the time. 10,000 clients
open streams with the id of an event after which 100 more were published, 256 at once, and are
waited for until each has got those. Only hubs that can resume take part.

Where the time of ours goes is seen from two more runs without the others: of clients that have
missed nothing, and of those that are 100 events behind.
"""

import contextlib

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
    for behind in bench.some((0, BEHIND), 0):
        yield from bench.each(bench.ours, storm, others=0, behind=behind)


def storm(bench, hub, *, others=OTHERS, behind=BEHIND):
    clients, some = bench.streams(CLIENTS), bench.streams(others) if others else 0
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(bench.rig(hub, clients + some))
        publish = rig.running.publish_request()
        rig.open(1, group="first")
        rig.load.run(10, publish=publish, rate=1000, count=10)
        last, had = rig.load.last_id("first"), rig.load.last_number(publish)
        if behind:
            rig.load.run(10, publish=publish, rate=1000, count=behind)
        until = rig.load.last_number(publish) if behind else None
        request = rig.running.stream_request(last_event_id=last)
        # A generator numbers all that it publishes in a run.
        beside = stack.enter_context(Load(rig.running.port, cpu=GENERATOR_CORE))
        if some:
            to_others = rig.running.publish_request("others")
            beside.open(some, rig.running.stream_request("others"), group="others")

        before, noise = rig.usage(), stack.enter_context(rig.watch())
        if some:
            beside.begin(SECONDS, publish=to_others, rate=RATE)
        rig.load.begin(SECONDS)
        opening = rig.load.open(
            clients, request, group="back", until=until, after=had, seconds=SECONDS
        )
        runs = [rig.load.end(), *([beside.end()] if some else [])]
        spent = rig.usage() - before
    if opening.opened < clients:
        raise RuntimeError(f"opened {opening.opened}; refused: {opening.refused}")
    row = {
        "streams": CLIENTS,
        "others": others,
        "behind": behind,
        "opened_seconds": opening.seconds,
        "cpu_us_per_client": spent.cpu_seconds * 1e6 / clients,
        "foreign": noise.foreign,
        "loud": noise.is_loud,
        **{flaw: sum(getattr(run, flaw) for run in runs) for flaw in FLAWS},
    }
    if behind:
        row["caught_up_seconds"] = opening.caught_up_seconds
        row["silent"] = clients - opening.caught_up
    if some:
        quiet = runs[1].latency["others"]
        row |= {
            "others_p50": quiet.p50,
            "others_p99": quiet.p99,
            "others_max": quiet.max,
        }
    yield row


def tables(rows):
    whole = {"others": OTHERS}
    yield table(
        "10,000 clients come back, 100 events behind, 1,000 others go on",
        [row for row in rows if row.get("others", OTHERS)],
        [
            Column("all caught up, s", "caught_up_seconds", decimal, whole, min),
            Column("others' p50 ms", "others_p50", decimal, whole),
            Column("others' p99 ms", "others_p99", decimal, whole, min),
            Column("CPU µs per client", "cpu_us_per_client", count, whole),
        ],
    )
    yield table(
        "CPU µs per client, without the others",
        [row for row in rows if row.get("others") == 0],
        [
            Column(
                f"{behind} events behind", "cpu_us_per_client", count, {"behind": behind}
            )
            for behind in (0, BEHIND)
        ],
    )


def plots(rows):
    yield bars(
        "storm",
        "Seconds until 10,000 clients have caught up",
        {row["hub"]: row["caught_up_seconds"] for row in rows if row.get("others")},
        decimal,
    )
