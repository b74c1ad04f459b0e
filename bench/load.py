"""
The load generator: a program in C in a process of its own, told by lines what to do.

It opens streams, publishes and reads. Of what it reads it knows only the mark in each event's
data, which holds the event's number and when it was published; by it every event of every
stream is counted, its order is judged and its latency measured.

    with Load(port) as load:
        load.open(1000, stream_request)
        run = load.run(5, publish=publish_request, connections=16)
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass

MARK = b"~n000000000000t0000000000000000~"

_ROOT = pathlib.Path(__file__).parents[1]
_SOURCES = pathlib.Path(__file__).parent / "native"
_BUILT = _ROOT / ".fetched" / "bench"
_PROGRAMS = {
    "load": ("load.c", "streams.c", "order.c", "publishers.c", "response.c"),
    "floor": ("floor.c",),
}
# A generator that had less time to spare than this may have been what limited the rate.
_BUSY = 0.9


def native(name):
    """The path of a program in C, ``load`` or ``floor``, built if it is older than its sources."""
    program = _BUILT / name
    newest = max(path.stat().st_mtime for path in _SOURCES.iterdir())
    if not program.exists() or program.stat().st_mtime < newest:
        _BUILT.mkdir(parents=True, exist_ok=True)
        fresh = program.with_suffix(f".{os.getpid()}")
        sources = [_SOURCES / source for source in _PROGRAMS[name]]
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", fresh, *sources], check=True)
        fresh.replace(program)
    return program


@dataclass(frozen=True)
class Opening:
    """
    What came of opening streams.

    `seconds` until the last was open, `per_thousand` the seconds that each thousand took,
    `refused` how many were not opened, by status or error; `caught_up` streams had got the event
    that was waited for, the last of them after `caught_up_seconds` (None if none was waited for).
    """

    opened: int
    seconds: float
    per_thousand: list[float]
    refused: dict[str, int]
    caught_up: int
    caught_up_seconds: float | None


@dataclass(frozen=True)
class Latency:
    """Milliseconds, right to 1 %: from publishing to reading if not said otherwise."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True)
class Run:
    """
    What came of publishing and reading.

    `seconds` from the beginning to the last delivery, `publishing_seconds` to the end of
    publishing. `published` were answered with 2xx, `sent` is all; `publish_errors` counts the
    rest by status or error (an event that was refused leaves a hole in each stream), `reopened`
    the connections that the server closed. `publish_latency` is from request to answer, or from the
    time at which a request was due for which no connection was free.

    `reads` brought the `deliveries`: their ratio shows how many events a server sends at once.

    Over all streams and events: `holes` never came, though later ones did, or the stream had
    others of this run; `repeats` came again, `disorders` after one that was published when they
    had been answered. `silent` streams got nothing, `closed` were ended by the server.
    `unfinished`: the server still had events to send when it was not waited for any longer.
    """

    published: int
    sent: int
    publish_errors: dict[str, int]
    unanswered: int
    reopened: int
    publish_latency: Latency
    deliveries: int
    reads: int
    bytes: int
    seconds: float
    publishing_seconds: float
    holes: int
    repeats: int
    disorders: int
    closed: int
    silent: int
    unfinished: bool
    load_cpu: float
    latency: dict[str, Latency]

    @property
    def deliveries_per_second(self):
        return self.deliveries / self.seconds


class Load:
    """
    A process that loads one server.

    Args:
        port: Where the server listens.
        host: Its address, in numbers.
        cpu: The core that the process is pinned to, None for any.
    """

    def __init__(self, port, host="127.0.0.1", *, cpu=None):
        self._numbers = {}
        self._templates = []
        self._answers = {}
        self._process = subprocess.Popen(
            [native("load"), host, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if cpu is not None:
            os.sched_setaffinity(self._process.pid, {cpu})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # It ends when it has nobody to listen to.
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.stdout.close()

    @property
    def pid(self):
        return self._process.pid

    def open(
        self,
        streams,
        request,
        *,
        group="a",
        at_once=256,
        until=None,
        after=None,
        seconds=60,
    ):
        """
        Open streams and wait until they are open: their heads have been read.

        Args:
            streams: How many.
            request: The bytes to send: for all, or a list that the streams take in turns.
            group: Streams whose latency is reported together.
            at_once: How many may be connecting or waiting for their heads.
            until: Wait until each stream has had the event with this number.
            after: The number of the last event that the streams have: what they lack behind it
                is a hole. None: each begins with what it gets first.
            seconds: Do not wait longer.
        """
        with _blobs([request] if isinstance(request, bytes) else request) as path:
            answer = self._ask(
                f"open {group} {streams} {at_once} {until or 0} "
                f"{-1 if after is None else after} {seconds} {path}"
            )
        if until is None:
            answer["caught_up_seconds"] = None
        return Opening(**answer)

    def run(self, seconds, **how):
        """Publish and read for some seconds; the arguments are those of `begin`."""
        self.begin(seconds, **how)
        return self.end(now=False)

    def begin(
        self,
        seconds,
        *,
        publish=None,
        connections=1,
        rate=None,
        count=None,
        settle=0.3,
        check=True,
    ):
        """
        Begin to publish and to count, and return: streams can be opened meanwhile.

        Args:
            seconds: How long to publish.
            publish: A request with `MARK` in it, or a list of them for several channels, taken in
                turns, each with numbers of its own. None: only read, others publish.
            connections: Each has one request in flight.
            rate: Publishes a second in sum, None for as many as are answered.
            count: Publish no more than this.
            settle: At the end, read on until nothing has come for so many seconds.
            check: Judge numbers. Not for streams of several channels.
        """
        self._templates = [publish] if isinstance(publish, bytes) else publish or []
        numbers = [self._numbers.get(template, 0) for template in self._templates]
        with _blobs(self._templates, numbers) as path:
            self._ask(
                f"run {seconds} {connections} {rate or 0} {count or 0} {settle} {int(check)} "
                f"{path if self._templates else '-'}"
            )

    def end(self, *, now=True):
        """The run's result: it is stopped now, or waited for."""
        if now:
            self._tell("stop")
        answer = self._read("end")
        rounds, rest = divmod(answer["sent"], len(self._templates) or 1)
        for turn, template in enumerate(self._templates):
            self._numbers[template] = (
                self._numbers.get(template, 0) + rounds + (turn < rest)
            )
        latency = {
            group: Latency(**figures) for group, figures in answer.pop("latency").items()
        }
        publish_latency = Latency(**answer.pop("publish_latency"))
        run = Run(**answer, latency=latency, publish_latency=publish_latency)
        if run.load_cpu > _BUSY:
            print(
                f"the load generator was busy for {run.load_cpu:.0%}: it was the limit",
                file=sys.stderr,
            )
        return run

    def last_number(self, publish):
        """The number of the last event that was published with this template."""
        return self._numbers.get(publish, 0)

    def last_id(self, group="a"):
        """The last ``id`` that the first stream of a group got, to resume with."""
        return bytes.fromhex(self._ask(f"last {group}")["id"]).decode()

    def close_streams(self, group=None, *, reset=False):
        """Close a group's streams, or all; with `reset` by RST, so that no port is kept."""
        self._ask(f"close {group or '*'} {int(reset)}")

    def _tell(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _read(self, to):
        # A run may end while streams are being opened: its answer is kept.
        while to not in self._answers:
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError(f"the load generator ended with {self._process.wait()}")
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(answer["error"])
            self._answers[answer.pop("to")] = answer
        return self._answers.pop(to)

    def _ask(self, line):
        self._tell(line)
        return self._read(line.split()[0])


@contextlib.contextmanager
def _blobs(blobs, numbers=None):
    """A file with byte strings and a number for each, while the program reads it."""
    with tempfile.NamedTemporaryFile(prefix="load-") as file:
        for blob, number in zip(blobs, numbers or [0] * len(blobs), strict=True):
            file.write(struct.pack("<QQ", len(blob), number) + blob)
        file.flush()
        yield file.name
