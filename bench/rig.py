"""
What scenarios share: a hub on one core, the load generator on another, runs that are repeated.

    def measure(bench):
        yield from bench.each(bench.hubs, flood)

`Bench.each` leaves a hub out that fails, with a word. `Rig.measure` returns what came of a run as
a flat dict, a row of the results.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import signal
import statistics
import sys
import time

from feeding import feeding
from hubs.base import CORE
from load import Load
from measuring import cpu_seconds, usage, waiting_seconds, with_children
from noise import watch
from tables import FLAWS

GENERATOR_CORE = 0
# All repeats together: a machine that is never quiet must not keep the bench for hours.
REPEATING_SECONDS = 180
# Of one hub in one scenario.
LONGEST_SECONDS = 240
OPENING_ATTEMPTS = 5


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much of a scenario is done: a share of its streams and of its seconds."""

    name: str
    streams: float
    seconds: float
    attempts: int = 1


FULL = Scale("full", 1, 1, attempts=3)
QUICK = Scale("quick", 0.1, 0.15)


class Bench:
    """
    What a scenario is given.

    Args:
        ours: Our own hubs: their kind is "ours" in each row, and so on.
        peers: Those they are compared with.
        floor: The least that has to be done, or None.
        scale: How much is done.
    """

    def __init__(self, ours, peers, floor, scale):
        self.ours, self.peers, self.floor, self.scale = ours, peers, floor, scale
        self._repeated = 0.0

    @property
    def hubs(self):
        """All that were asked for, the floor last."""
        return [*self.ours, *self.peers, *([self.floor] if self.floor else [])]

    @property
    def is_full(self):
        return self.scale.streams >= 1

    def streams(self, count):
        """How many streams stand for so many."""
        return max(min(count, 5), round(count * self.scale.streams))

    def seconds(self, count):
        return max(0.1, count * self.scale.seconds)

    @property
    def settle(self):
        """How long nothing has to come until all has."""
        return 0.3 if self.is_full else 0.1

    def kind(self, hub):
        if hub is self.floor:
            return "floor"
        return "peer" if hub in self.peers else "ours"

    def each(self, hubs, function, *arguments, **options):
        """Yield the rows that a function returns for each hub, or one that says why it failed."""
        for hub in hubs:
            about = {"hub": hub.name, "kind": self.kind(hub)}
            try:
                with deadline(LONGEST_SECONDS):
                    for row in function(self, hub, *arguments, **options):
                        yield about | row
            except Exception as error:  # noqa: BLE001 - one hub's failure is not the bench's
                yield about | {"failed": f"{type(error).__name__}: {error}"[:400]}

    @contextlib.contextmanager
    def rig(self, hub, streams, *, core=CORE):
        """Serve with a hub, and yield a `Rig` with a generator for it."""
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(hub.serving(streams=streams, core=core))
            cpu = None if core is None else GENERATOR_CORE
            load = stack.enter_context(Load(running.port, cpu=cpu))
            publisher = load
            if running.publish_port != running.port:
                publisher = stack.enter_context(Load(running.publish_port, cpu=cpu))
            cores = set(range(os.cpu_count())) if core is None else {core, GENERATOR_CORE}
            yield Rig(self, running, load, publisher, cores)

    def some(self, variants, few=1):
        """Return all variants, or the first few of them in a run that is quick."""
        return variants if self.is_full else variants[:few]

    def quietest(self, cores, function, *, pids=(), again=lambda _: True):
        """
        Return what `function` returns in a run without much noise, and the noise.

        It is called again if other programs disturbed it and `again` agrees to its result; if
        they always do, the quietest run counts.
        """
        best = None
        for attempt in range(1, self.scale.attempts + 1):
            began = time.monotonic()
            with watch(cores, pids) as noise:
                result = function()
            if best is None or noise.sum < best[1].sum:
                best = result, noise
            if attempt > 1:
                self._repeated += time.monotonic() - began
            is_late = self._repeated > REPEATING_SECONDS
            if not noise.is_loud or is_late or not again(result):
                break
        result, noise = best
        return result, {
            "attempts": attempt,
            "foreign": noise.foreign,
            "stolen": noise.stolen,
            "loud": noise.is_loud,
        }


class Rig:
    """A hub that is served, and what loads it."""

    def __init__(self, bench, running, load, publisher, cores):
        self.bench, self.running, self.load = bench, running, load
        self._publisher, self.cores = publisher, cores
        self.fed = 0

    def open(self, streams, request=None, **how):
        """
        Open streams and return the `Opening`.

        Those that are refused come again, as clients would: `refused` says how many did.

        Raises:
            RuntimeError: Some were not opened at all.
        """
        request = request or self.running.stream_request()
        parts = []
        for _ in range(OPENING_ATTEMPTS):
            missing = streams - sum(part.opened for part in parts)
            parts.append(self.load.open(missing, request, **how))
            if parts[-1].opened == missing:
                return _joined(parts)
        raise RuntimeError(
            f"{streams} streams: {missing - parts[-1].opened} were refused for good:"
            f" {parts[-1].refused}"
        )

    def watch(self):
        """Watch the cores while something other than a run is measured."""
        return watch(self.cores, self.running.processes())

    def usage(self):
        return usage(self.running.processes())

    def warm_up(self, seconds, **how):
        """Publish without measuring: what is done for the first time is done. Not if quick."""
        if self.bench.is_full:
            self._publisher.run(self.bench.seconds(seconds), **how)

    def measure(self, seconds, **how):
        """Return the row of a run: the arguments are those of `Load.run`."""
        return self._measure(lambda: self._run(seconds, **how))

    def alternate(self, requests, rounds, seconds, **how):
        """
        Return the rows of runs that take turns, by name: what they differ in is no noise.

        Args:
            requests: Name -> what is published.
            rounds: How often each has its turn.
            seconds: How long a turn is.
            how: As for `measure`.
        """
        rows = {name: [] for name in requests}
        for _ in range(rounds):
            for name, request in requests.items():
                rows[name].append(self.measure(seconds, publish=request, **how))
        return rows

    def measure_fed(self, seconds, **how):
        """Return the row of a run in which another process publishes, as `feeding` does."""
        return self._measure(lambda: self._run_fed(seconds, **how))

    def measure_within(self, seconds, rate):
        """Return the row of a run in which an application of ours publishes by itself."""
        return self._measure(lambda: self._run_within(seconds, rate))

    def _measure(self, run):
        def once():
            pids = with_children(self.running.processes())
            before = cpu_seconds(pids), waiting_seconds(pids)
            result, extra = run()
            after = cpu_seconds(pids), waiting_seconds(pids)
            spent = [b - a for a, b in zip(before, after, strict=True)]
            return _row(result, *spent) | extra

        # Streams that were closed are missing from then on.
        row, noise = self.bench.quietest(
            self.cores,
            once,
            pids=self.running.processes(),
            again=lambda row: not row["closed"],
        )
        return row | noise

    def _run(self, seconds, **how):
        how = {"settle": self.bench.settle} | how
        if self._publisher is self.load:
            return self.load.run(seconds, **how), {}
        # What is published at another port: there are two generators.
        self.load.begin(LONGEST_SECONDS, check=how.get("check", True))
        sent = self._publisher.run(seconds, **how)
        time.sleep(how["settle"])
        fields = ("published", "sent", "publish_errors", "publishing_seconds")
        changes = {name: getattr(sent, name) for name in fields}
        changes["publish_latency"] = sent.publish_latency
        return dataclasses.replace(self.load.end(), **changes), {}

    def _run_fed(self, seconds, *, check=True, **how):
        cpu = None if len(self.cores) > 2 else GENERATOR_CORE
        url = self.running.url
        with feeding(url, seconds=seconds, first=self.fed + 1, cpu=cpu, **how) as feeder:
            self.load.begin(LONGEST_SECONDS, check=check)
            fed = feeder.feed()
            time.sleep(0.02)
            run = self.load.end()
        self.fed += fed["published"]
        run = dataclasses.replace(run, published=fed["published"], sent=fed["published"])
        return run, {
            "feeder_cpu": fed["cpu_seconds"] / fed["seconds"],
            "published_per_second": fed["published"] / fed["seconds"],
        }

    def _run_within(self, seconds, rate):
        self.load.begin(LONGEST_SECONDS)
        began = time.monotonic()
        published = self.running.publish_within(self.fed + 1, rate, seconds)
        rate = published / (time.monotonic() - began)
        time.sleep(self.bench.settle)
        self.fed += published
        run = dataclasses.replace(self.load.end(), published=published)
        return run, {"published_per_second": rate}


def median_row(rows):
    """
    A row of the medians of some rows that tell of the same.

    It has the flaws of all of them, and is disturbed if most of them are.
    """

    def median(name, example):
        values = [row[name] for row in rows if name in row]
        if name in FLAWS:
            return max(values)
        if isinstance(example, bool):
            return sum(values) > len(values) / 2
        return statistics.median(values) if isinstance(example, int | float) else example

    return {name: median(name, value) for name, value in rows[0].items()}


def _joined(parts):
    """What came of opening in several parts."""
    refused = collections.Counter()
    for part in parts:
        refused.update(part.refused)
    return dataclasses.replace(
        parts[-1],
        opened=sum(part.opened for part in parts),
        seconds=sum(part.seconds for part in parts),
        per_thousand=[one for part in parts for one in part.per_thousand],
        refused=dict(refused),
    )


def _row(run, cpu, waiting):
    """A run and what the hub used for it, as plain values."""
    latency = max(run.latency.values(), key=lambda one: one.count, default=None)
    row = {
        "deliveries_per_second": run.deliveries_per_second,
        "published_per_second": run.published / max(run.publishing_seconds, 1e-9),
        "bytes_per_second": run.bytes / run.seconds,
        "deliveries": run.deliveries,
        "deliveries_per_read": run.deliveries / max(1, run.reads),
        "published": run.published,
        "errors": sum(run.publish_errors.values()),
        "publish_ms": run.publish_latency.p50,
        "seconds": run.seconds,
        "cpu_seconds": cpu,
        "cpu_share": cpu / run.seconds,
        "cpu_us_per_delivery": cpu * 1e6 / max(1, run.deliveries),
        "cpu_us_per_publish": cpu * 1e6 / max(1, run.published),
        "waiting": max(0.0, waiting) / run.seconds,
        "load_cpu": run.load_cpu,
    }
    for name in ("holes", "repeats", "disorders", "closed", "silent", "unfinished"):
        row[name] = getattr(run, name)
    if latency:
        row |= {
            "p50": latency.p50,
            "p90": latency.p90,
            "p99": latency.p99,
            "max": latency.max,
        }
    groups = {name: dataclasses.asdict(one) for name, one in run.latency.items()}
    return row | {"latency": groups}


@contextlib.contextmanager
def deadline(seconds):
    """Raise `TimeoutError` in the main thread if the block takes longer."""

    def expire(*_):
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def say(text):
    """Tell whoever waits what happens: not on standard output, where the tables are."""
    print(text, file=sys.stderr, flush=True)
