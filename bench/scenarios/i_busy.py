"""
(i) Beside busy threads: latency while two threads of the application compute without pause.

They are Python and hold the interpreter lock, which they give away once in
`sys.getswitchinterval()`, 5 ms by default, if another thread waits for it. 100 events a second
are published over HTTP to 100 streams, which is little work: 1,000 streams take most of a core by
themselves. The views need the lock, too. What helps is a shorter interval,
`sys.setswitchinterval` in the application; or another process, for what computes or for the hub:
then they share the core and not the lock.
"""

import contextlib
import subprocess
import sys

from hubs.base import CORE, HERE, on_core
from tables import Column, decimal, table

from scenarios.b_steady import at_rate

RATE = 100
STREAMS = 100
THREADS = 2
# Milliseconds, None: as Python has it.
INTERVALS = (None, 1, 0.1)
ELSEWHERE = "2 threads of another process"


def measure(bench):
    for interval in bench.some(INTERVALS):
        yield from bench.each(bench.ours, beside, THREADS, interval)
    if bench.is_full:
        yield from bench.each(bench.ours, beside, THREADS, None, elsewhere=True)
        yield from bench.each(bench.ours, beside, 0, None)


def beside(bench, hub, threads, interval, *, elsewhere=False):
    streams = bench.streams(STREAMS)
    served = busy(hub, 0 if elsewhere else threads, interval)
    with bench.rig(served, streams) as rig, computing(elsewhere):
        rig.open(streams)
        row = at_rate(bench, rig, RATE)
        yield {"threads": threads, "interval": interval, "elsewhere": elsewhere} | row


@contextlib.contextmanager
def computing(is_wanted):
    """Run the threads in a process of their own, on the core of the hub, if they are wanted."""
    if not is_wanted:
        yield
        return
    program = f"import busy; busy.begin({THREADS}); import time; time.sleep(1e9)"
    with on_core(CORE):
        process = subprocess.Popen([sys.executable, "-c", program], cwd=HERE / "apps")
    try:
        yield
    finally:
        process.kill()
        process.wait()


def busy(hub, threads, interval):
    """The hub with threads that compute in its application."""
    served = type(hub)()
    command = served.command

    def with_threads(port, streams):
        arguments = [str(one) for one in command(port, streams)]
        place = next(i for i, one in enumerate(arguments) if one.endswith(":app"))
        application = arguments[place].removesuffix(":app")
        arguments[place] = "busy:app"
        variables = {
            "APP": application,
            "BUSY_THREADS": threads,
            "SWITCH_INTERVAL": (interval or 0) / 1000,
        }
        return ["env", *(f"{k}={v}" for k, v in variables.items()), *arguments]

    served.command = with_threads
    return served


def tables(rows):
    lines = [
        (f"{THREADS} threads, {f'{one} ms' if one else 'default'}", THREADS, one, False)
        for one in INTERVALS
    ]
    lines += [(ELSEWHERE, THREADS, None, True), ("no threads", 0, None, False)]
    for figure in ("p50", "p99"):
        yield table(
            f"{figure} in ms beside busy threads, by switch interval",
            rows,
            [
                Column(
                    heading,
                    figure,
                    decimal,
                    {"threads": threads, "interval": interval, "elsewhere": elsewhere},
                )
                for heading, threads, interval, elsewhere in lines
            ],
        )


def plots(_):
    return ()
