"""
What many streams take, calculated from what one process was measured to cost.

Nothing here is measured at that size: it multiplies unit costs of the scenarios (b) to (e) and
(l). What it assumes stands at the top, and is said on the page.
"""

from __future__ import annotations

import math

from tables import count, decimal
from targets import GUNICORN, UVICORN, Rows, UnmeasuredError

TOTALS = (100_000, 1_000_000)
# Of each process. More would fit, but would take longer to come back.
STREAMS_PER_PROCESS = 20_000
# Each stream gets an event in so many seconds, and shares its channel with so many others. Every
# process has streams of every channel, which is the worst case.
SECONDS_PER_EVENT = 1
STREAMS_PER_CHANNEL = 1000


def units(rows, hub):
    """Return what a process of ours was measured to cost, by name."""
    idle = {"hub": hub, "what": "streams"}
    (storm,) = rows.all("e_storm", hub=hub)[:1] or [None]
    if storm is None:
        raise UnmeasuredError("(e)")
    redis = {"hub": hub, "broker": "Redis"}
    its, other = ({"listens": what} | redis for what in ("its channel", "another channel"))
    traffic = [
        rows.one("l_workers", "redis_bytes_per_event", **where) for where in (its, other)
    ]
    return {
        "bytes_per_stream": rows.one("cd_idle", "anonymous_per_stream", **idle),
        # Both ends are here; in production the other one is the client's.
        "kernel_per_stream": rows.one("cd_idle", "kernel_per_stream", **idle) / 2,
        "process_bytes": rows.one("cd_idle", "process_bytes", **idle),
        "opened_per_second": rows.one("cd_idle", "opened_per_second", **idle),
        "caught_up_per_second": storm["streams"] / storm["caught_up_seconds"],
        "cpu_us_per_delivery": rows.one(
            "b_steady", "cpu_us_per_delivery", hub=hub, streams=5000
        ),
        "cpu_us_per_event": rows.one("l_workers", "cpu_us_per_event", **its),
        "redis_bytes_per_event": max(0, traffic[0] - traffic[1]),
        "redis_connections": rows.one("l_workers", "redis_connections", **its),
    }


def needs(unit, total):
    """Return what so many streams take, by name."""
    processes = math.ceil(total / STREAMS_PER_PROCESS)
    each = total / processes
    events = total / STREAMS_PER_CHANNEL / SECONDS_PER_EVENT
    deliveries = each / SECONDS_PER_EVENT
    cores = (
        deliveries * unit["cpu_us_per_delivery"] + events * unit["cpu_us_per_event"]
    ) / 1e6
    return {
        "processes": processes,
        "cores": cores * processes,
        "share of a core, each": cores,
        "memory, GB": (total * unit["bytes_per_stream"] + processes * unit["process_bytes"])
        / 1e9,
        "kernel memory, GB": total * unit["kernel_per_stream"] / 1e9,
        "events/s through Redis": events,
        "Redis sends, MB/s": events * processes * unit["redis_bytes_per_event"] / 1e6,
        "connections to Redis": processes * unit["redis_connections"],
        "all are open again after a deploy, s": each / unit["opened_per_second"],
        "all have caught up with 100 events, s": each / unit["caught_up_per_second"],
    }


def markdown(found):
    """The unit costs and what follows from them, as tables for the documentation."""
    rows, measured = Rows(found), {}
    for hub in (UVICORN, GUNICORN):
        try:
            measured[hub.removeprefix("on ")] = units(rows, hub)
        except UnmeasuredError as error:
            missing = f"Not calculated: {error} has not been measured."
    if not measured:
        return missing
    names = next(iter(measured.values()))
    unit_table = _table(
        ["unit cost", *measured],
        {
            name.replace("_", " "): [unit[name] for unit in measured.values()]
            for name in names
        },
    )
    headings, columns = [], []
    for server, unit in measured.items():
        for total in TOTALS:
            headings.append(f"{total:,} on {server}")
            columns.append(needs(unit, total))
    need_table = _table(
        ["", *headings], {name: [column[name] for column in columns] for name in columns[0]}
    )
    return f"{unit_table}\n\n{need_table}"


def _table(headings, lines):
    drawn = [f"| {' | '.join(headings)} |", "|---|" + "---:|" * (len(headings) - 1)]
    for name, values in lines.items():
        cells = (count(value) if value >= 100 else decimal(value) for value in values)
        drawn.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(drawn)
