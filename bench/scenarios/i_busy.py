"""
(i) Beside busy threads: latency while two threads of the application compute without pause.

They are Python and hold the interpreter lock, which they give away once in
`sys.getswitchinterval()`, 5 ms by default, if another thread waits for it. 100 events a second
are published over HTTP to 100 streams, which is little work: 1,000 streams take most of a core by
themselves. The views need the lock, too. What helps is a shorter interval:
`sys.setswitchinterval` in the application.
"""

from tables import Column, decimal, table

from scenarios.b_steady import at_rate

RATE = 100
STREAMS = 100
THREADS = 2
# Milliseconds, None: as Python has it.
INTERVALS = (None, 1, 0.1)


def measure(bench):
    for interval in bench.some(INTERVALS):
        yield from bench.each(bench.ours, beside, THREADS, interval)
    if bench.is_full:
        yield from bench.each(bench.ours, beside, 0, None)


def beside(bench, hub, threads, interval):
    streams = bench.streams(STREAMS)
    with bench.rig(busy(hub, threads, interval), streams) as rig:
        rig.open(streams)
        row = at_rate(bench, rig, RATE)
        yield {"threads": threads, "interval": interval} | row


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
        (f"{THREADS} threads, {f'{one} ms' if one else 'default'}", THREADS, one)
        for one in INTERVALS
    ]
    for figure in ("p50", "p99"):
        yield table(
            f"{figure} in ms beside busy threads, by switch interval",
            rows,
            [
                Column(heading, figure, decimal, {"threads": threads, "interval": interval})
                for heading, threads, interval in [*lines, ("no threads", 0, None)]
            ],
        )


def plots(_):
    return ()
