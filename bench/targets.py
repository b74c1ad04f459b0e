"""
The targets: what one process of ours has to reach, beside the others, in the same run.

Each is a function of the rows of all scenarios by name: it returns a text and whether the target
is met, or raises `UnmeasuredError` if a row that it needs is not there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from scenarios.b_steady import RATES
from scenarios.cd_idle import flatness
from scenarios.f_channels import ALONE, BESIDE, EACH, MANY, ONE
from scenarios.g_one_stream import FEEDS, RATE
from tables import count, decimal, times


class UnmeasuredError(Exception):
    """A row is missing, or its hub was left out."""


@dataclass(frozen=True)
class Target:
    """A target, what was measured, and the verdict: "met" or "missed"."""

    letter: str
    text: str
    measured: str
    verdict: str


UVICORN, GUNICORN = "on uvicorn", "on gunicorn"
_TARGETS = []


def target(letter, text):
    def register(function):
        _TARGETS.append((letter, text, function))
        return function

    return register


def judge(found):
    """Return the targets that the rows of the scenarios are enough for, judged."""
    judged = []
    for letter, text, function in _TARGETS:
        with contextlib.suppress(UnmeasuredError):
            measured, is_met = function(Rows(found))
            judged.append(Target(letter, text, measured, "met" if is_met else "missed"))
    return sorted(judged, key=lambda one: one.letter)


def markdown(judged):
    """A table for the documentation."""
    lines = [
        f"| ({one.letter}) | {one.text} | {one.measured} | {one.verdict} |"
        for one in judged
    ]
    head = ["| | target | measured | |", "|---|---|---|---|"]
    return "\n".join(head + lines)


class Rows:
    """Rows of scenarios, looked up by fields."""

    def __init__(self, found):
        self._found = found

    def all(self, scenario, **where):
        """Rows that have not failed. A text in `hub` is a part of the name, as in `UVICORN`."""
        hub = where.pop("hub", "")
        if hub in {UVICORN, GUNICORN}:
            # There are peers on the same servers.
            where["kind"] = "ours"
        return [
            row
            for row in self._found.get(scenario, [])
            if "failed" not in row
            and hub in row.get("hub", "")
            and all(row.get(name) == value for name, value in where.items())
        ]

    def one(self, scenario, figure, **where):
        """The figure of the only row, or the first one."""
        for row in self.all(scenario, **where):
            if row.get(figure) is not None:
                return row[figure]
        raise UnmeasuredError(f"{figure} of {where}")

    def best_peer(self, scenario, figure, **where):
        found = [row[figure] for row in self.all(scenario, kind="peer", **where)]
        if not found:
            raise UnmeasuredError("no peer")
        return max(found)


_FLOOD, _IDLE, _STEADY, _ONE = "a_flood", "cd_idle", "b_steady", "g_one_stream"


@target("a", "uvicorn: 12 times the best peer at 1,000 and 5,000 streams")
def _(rows):
    figure, ratios = "deliveries_per_second", []
    for streams in (1000, 5000):
        where = {"streams": streams, "feed": "HTTP"}
        ours = rows.one(_FLOOD, figure, hub=UVICORN, **where)
        ratios.append(ours / rows.best_peer(_FLOOD, figure, **where))
    return " and ".join(map(times, ratios)), min(ratios) >= 12


@target("a", "gunicorn: a publishing view keeps 0.8 of its rate beside 1,000 streams")
def _(rows):
    alone, beside = (
        rows.one(_FLOOD, name, hub=GUNICORN, turns="beside") for name in ("alone", "beside")
    )
    return f"{beside / alone:.2f} ({count(beside)}/s of {count(alone)}/s)", (
        beside / alone >= 0.8
    )


@target("a", "gunicorn, fed by another process: 10 times the best peer, 1,000 streams")
def _(rows):
    figure = "deliveries_per_second"
    best = rows.best_peer(_FLOOD, figure, streams=1000, feed="HTTP")
    ratios = {
        feed: rows.one(_FLOOD, figure, hub=GUNICORN, streams=1000, feed=feed) / best
        for feed in ("SQLite", "Redis")
    }
    text = ", ".join(f"{feed} {times(ratio)}" for feed, ratio in ratios.items())
    return text, min(ratios.values()) >= 10


@target("a", "gunicorn, fed by another process: half of the floor's bytes/s, 1,000 streams")
def _(rows):
    floor = max(
        (row["bytes_per_second"] for row in rows.all(_FLOOD, kind="floor", streams=1000)),
        default=0,
    )
    if not floor:
        raise UnmeasuredError("no floor")
    ratios = {
        feed: rows.one(_FLOOD, "bytes_per_second", hub=GUNICORN, streams=1000, feed=feed)
        / floor
        for feed in ("SQLite", "Redis")
    }
    text = ", ".join(f"{feed} {ratio:.2f}" for feed, ratio in ratios.items())
    return text, min(ratios.values()) >= 0.5


# The classes by which latencies are counted are up to 1.6 % wide: two in neighbouring ones may be
# the same.
_SAME = 1.02


def _steady(rows, streams, rate, hub):
    parts, is_met, are_same = [], True, False
    for figure in ("p50", "p99", "cpu_us_per_delivery"):
        ours = rows.one(_STEADY, figure, streams=streams, rate=rate, hub=hub)
        theirs = rows.one(_STEADY, figure, streams=streams, rate=rate, hub="nchan")
        is_same = theirs < ours <= theirs * _SAME and figure != "cpu_us_per_delivery"
        are_same = are_same or is_same
        is_met = is_met and (ours <= theirs or is_same)
        parts.append(f"{decimal(ours)}/{decimal(theirs)}")
    same = ", of which those within 2 % count as equal" if are_same else ""
    return f"ours/nchan's: p50, p99 ms, CPU µs {', '.join(parts)}{same}", is_met


for _hub in (UVICORN, GUNICORN):
    for _streams, _rate in RATES:
        target(
            "b",
            f"{_hub[3:]}, {_streams:,} x {_rate}/s: p50, p99, CPU not above nchan's",
        )(
            lambda rows, streams=_streams, rate=_rate, hub=_hub: _steady(
                rows, streams, rate, hub
            )
        )


@target("c", "2 KB per idle stream on uvicorn, 2.5 KB in gunicorn")
def _(rows):
    figure = "anonymous_per_stream"
    uvicorn, gunicorn = (
        rows.one(_IDLE, figure, hub=hub, what="streams") for hub in (UVICORN, GUNICORN)
    )
    return f"{uvicorn:,.0f} and {gunicorn:,.0f} bytes", (
        uvicorn <= 2048 and gunicorn <= 2560
    )


@target("d", "uvicorn: 6,000 streams opened a second")
def _(rows):
    rate = rows.one(_IDLE, "opened_per_second", hub=UVICORN, what="streams")
    return f"{count(rate)}/s", rate >= 6000


@target("d", "gunicorn: 0.7 of a plain view with new connections, flat")
def _(rows):
    streams, plain = (
        rows.one(_IDLE, "opened_per_second", hub=GUNICORN, what=what)
        for what in ("streams", "plain view")
    )
    (row,) = rows.all(_IDLE, hub=GUNICORN, what="streams")
    flat = flatness(row) or 1
    text = f"{streams / plain:.2f} ({count(streams)}/s of {count(plain)}/s), last thousand"
    return f"{text} {flat:.2f} of the first", streams / plain >= 0.7 and flat >= 0.9


for _hub in (UVICORN, GUNICORN):

    @target("e", f"{_hub[3:]}: caught up within 4 s, the others' p99 below 150 ms")
    def _(rows, hub=_hub):
        seconds = rows.one("e_storm", "caught_up_seconds", hub=hub)
        p99 = rows.one("e_storm", "others_p99", hub=hub)
        return f"{seconds:.1f} s, {p99:.0f} ms", seconds <= 4 and p99 < 150

    @target("f", f"{_hub[3:]}: a delivery costs at most 2 times one of one channel")
    def _(rows, hub=_hub):
        cost = {
            what: rows.one("f_channels", "cpu_us_per_delivery", hub=hub, what=what)
            for what in (ALONE, EACH, ONE, MANY)
        }
        each, many = cost[EACH] / cost[ALONE], cost[MANY] / cost[ONE]
        text = f"10,000 channels {times(each)}, 64 channels each {times(many)}"
        return text, max(each, many) <= 2

    @target("f", f"{_hub[3:]}: nothing grows (over 1.1x) beside 10,000 idle channels")
    def _(rows, hub=_hub):
        alone, beside = (
            rows.one("f_channels", "cpu_us_per_delivery", hub=hub, what=what)
            for what in (ALONE, BESIDE)
        )
        return times(beside / alone), beside / alone <= 1.1

    @target("g", f"{_hub[3:]}: p50 0.5 ms in one process, 2 ms SQLite, 1.5 ms Redis")
    def _(rows, hub=_hub):
        limits = {"within": 0.5, "SQLite": 2, "Redis": 1.5}
        found = {
            feed: rows.one(_ONE, "p50", hub=hub, feed=feed, rate=RATE) for feed in limits
        }
        text = ", ".join(f"{FEEDS[feed]} {value:.2f} ms" for feed, value in found.items())
        return text, all(found[feed] <= limits[feed] for feed in limits)


@target("h", "20,000 publishes/s through SQLite and Redis, 100 at a time")
def _(rows):
    def rate(broker, *, is_alone):
        where = {"broker": broker, "is_alone": is_alone, "at_once": 100}
        return rows.one("h_publishing", "published_per_second", **where)

    rates = {broker: rate(broker, is_alone=False) for broker in ("SQLite", "Redis")}
    text = ", ".join(
        f"{broker} {count(ours)}/s ({ours / rate(broker, is_alone=True):.2f} of the driver alone)"
        for broker, ours in rates.items()
    )
    return text, min(rates.values()) >= 20_000


@target("h", "a publish adds at most 100 µs to a Flask view (memory, 16 connections)")
def _(rows):
    many, one = (
        rows.one(
            "h_publishing", "added_wall_us", hub=GUNICORN, broker="memory", connections=n
        )
        for n in (16, 1)
    )
    return f"{many:.0f} µs; with 1 connection {one:.0f} µs", many <= 100


for _hub in (UVICORN, GUNICORN):

    @target("i", f"{_hub[3:]}: p99 below 50 ms with two busy threads, interval of 1 ms")
    def _(rows, hub=_hub):
        found = {
            row["interval"]: row["p99"]
            for row in rows.all("i_busy", hub=hub, threads=2, elsewhere=False)
        }
        if 1 not in found:
            raise UnmeasuredError(hub)
        text = ", ".join(
            f"{value:.0f} ms at {f'{interval} ms' if interval else 'the default'}"
            for interval, value in found.items()
        )
        return text, found[1] < 50
