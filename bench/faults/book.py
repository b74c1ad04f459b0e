"""
What was published, what each reader got, and what follows from comparing the two.

An attempt is one request to publish. Its data names it: ``channel publisher number attempt``.
A publisher repeats a number that was not acknowledged, as another attempt, so that an attempt
arrives once at most, and exactly once if it was acknowledged.

A reader is checked as it reads: within an epoch, the offsets of a channel follow each other
without a hole. At a checkpoint, when nothing is published, it is compared with what was
acknowledged.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field, replace

from heliograph.channels.position import Position, Positions

# Each is a promise that was not kept: with one of them the run has failed.
BROKEN = ("lost", "twice", "out of order", "hole", "another offset", "silent")


@dataclass
class Attempt:
    """A request to publish, and where its event is if it was acknowledged."""

    channel: str
    began: float
    acknowledged: float | None = None
    position: Position | None = None


@dataclass
class Arrival:
    """Where a reader got an event, and after how many gap events of its channel."""

    position: Position
    gaps: int


@dataclass
class Track:
    """What a reader got of a channel: since the last checkpoint, and before it."""

    last: Position | None = None
    # By attempt, in the order in which they came.
    got: dict[str, Arrival] = field(default_factory=dict)
    before: dict[str, Arrival] = field(default_factory=dict)
    gaps: int = 0
    gap_at: float = 0.0


class Book:
    """
    The record of one site. Times are those of the monotonic clock.

    Faults and what follows from them are written to ``log``, all events to ``trace``.
    """

    def __init__(self, name, log, trace):
        self.name = name
        self.counts = Counter()
        self.faults = Counter()
        self.attempts = {}
        # Those of before the last checkpoint, and all that were not acknowledged.
        self.older = {}
        self.repeated = []
        self.views = []
        self.began = time.monotonic()
        self._log = log
        self._trace = trace

    def note(self, text, began=None):
        since = time.monotonic() - self.began
        lasted = f" after {time.monotonic() - began:.1f} s" if began else ""
        print(f"{since:8.2f} {self.name} {text}{lasted}", file=self._log, flush=True)

    def trace(self, text):
        print(f"{time.monotonic() - self.began:8.2f} {text}", file=self._trace)

    def finding(self, kind, text):
        self.counts[kind] += 1
        self.note(f"{'!!' if kind in BROKEN else '--'} {kind}: {text}")

    def view(self, name, channels):
        view = View(self, name, channels)
        self.views.append(view)
        return view

    def begin(self, key, channel):
        self.attempts[key] = Attempt(channel, time.monotonic())
        self.trace(f"begin {key}")

    def acknowledge(self, key, stream_id):
        attempt = self.attempts[key]
        attempt.position = Positions.parse(stream_id, (attempt.channel,))[attempt.channel]
        attempt.acknowledged = time.monotonic()
        self.counts["acknowledged"] += 1
        self.trace(f"acknowledged {key} at {attempt.position}")

    def has_arrived(self):
        """Return whether each reader has all that was acknowledged."""
        return not any(True for view in self.views for _ in view.missing())

    def check(self):
        """Compare what was acknowledged with what was read, and begin anew."""
        readers = Counter(channel for view in self.views for channel in view.tracks)
        for view in self.views:
            for key, attempt in view.missing():
                have = sum(
                    key in one.tracks[attempt.channel].got
                    for one in self.views
                    if attempt.channel in one.tracks
                )
                self.finding(
                    "lost",
                    f"{key}, {attempt.position}, acknowledged at"
                    f" {attempt.acknowledged - self.began:.2f}, for {view.name}; {have} of"
                    f" {readers[attempt.channel]} readers have it",
                )
            view.check()
        for repeated in self.repeated:
            self._judge(*repeated)
        self.repeated = []
        failed = {
            key: attempt
            for key, attempt in self.older.items()
            if attempt.acknowledged is None
        }
        self.older = failed | self.attempts
        self.attempts = {}

    def _judge(self, name, key, gap_at, first, second):
        """
        Count an event that came twice.

        After a gap event all events of the new epoch come. That is documented, and so is that
        an event which was lost in a failover, not yet acknowledged, comes again: its publish
        was repeated. Anything else breaks a promise.
        """
        attempt = self.attempts.get(key) or self.older.get(key)
        was_acknowledged = (
            attempt is not None
            and attempt.acknowledged is not None
            and attempt.acknowledged < gap_at
            and attempt.position == first.position
        )
        if first.gaps == second.gaps:
            kind = "twice"
        else:
            kind = "replayed after a gap event" if was_acknowledged else "seen again"
        self.finding(kind, f"{key} for {name}: {first.position}, {second.position}")


class View:
    """What one reader knows, through all of its connections."""

    def __init__(self, book, name, channels):
        self.book = book
        self.name = name
        self.channels = tuple(sorted(channels))
        self.forget()

    def forget(self):
        """Begin as a page that was just loaded."""
        self.since = None
        self.last_event_id = ""
        self.tracks = {channel: Track() for channel in self.channels}

    def missing(self):
        if self.since is None:
            return
        for key, attempt in self.book.attempts.items():
            track = self.tracks.get(attempt.channel)
            if (
                track is not None
                and attempt.acknowledged is not None
                and attempt.began > self.since
                and key not in track.got
            ):
                yield key, attempt

    def take(self, event):
        self.last_event_id = event.id
        positions = Positions.parse(event.id, self.channels)
        if event.type.startswith("heliograph."):
            self.book.trace(f"{self.name} {event.type} {event.data}")
        if event.type == "heliograph.open":
            if self.since is None:
                self.since = time.monotonic()
                for channel, track in self.tracks.items():
                    track.last = positions[channel]
            return
        if event.type == "heliograph.gap":
            self._take_gap(json.loads(event.data))
            return
        channel = event.data.split()[0]
        self._arrive(event.data, channel, positions[channel])

    def _take_gap(self, gap):
        for channel in gap["channels"]:
            reason = gap["reasons"][channel]
            self.book.counts[f"gap events ({reason})"] += 1
            self.book.note(f"gap event for {self.name}: {channel} {reason}")
            track = self.tracks[channel]
            track.last = None
            track.gaps += 1
            track.gap_at = time.monotonic()

    def _arrive(self, key, channel, position):
        book, track = self.book, self.tracks[channel]
        book.counts["deliveries"] += 1
        book.trace(f"{self.name} got {key} at {position}")
        arrival = Arrival(position, track.gaps)
        first = track.got.get(key) or track.before.get(key)
        if first is not None:
            book.note(f"{key} came twice for {self.name}: {first.position}, {position}")
            book.repeated.append((self.name, key, track.gap_at, first, arrival))
        elif track.last is not None and track.last.epoch == position.epoch:
            if position.offset <= track.last.offset:
                book.finding(
                    "out of order", f"{key} for {self.name}: {position}, {track.last}"
                )
            elif position.offset > track.last.offset + 1:
                book.finding("hole", f"{self.name}, {channel}: {track.last}, {position}")
        elif track.last is not None and track.last.offset:
            book.counts["epochs"] += 1
            book.note(f"another epoch for {self.name}, {channel}: {track.last}, {position}")
        track.last = position
        # To the end, if it came before.
        track.got.pop(key, None)
        track.got[key] = arrival

    def check(self):
        for channel, track in self.tracks.items():
            newest = {}
            for key, arrival in track.got.items():
                attempt = self.book.attempts.get(key)
                if attempt is None or attempt.acknowledged is None:
                    continue
                _, publisher, number, _ = key.split()
                # What follows a gap event may have been missed before it.
                of = publisher, arrival.gaps
                if newest.get(of, -1) >= int(number):
                    text = f"{key} for {self.name} after {newest[of]}"
                    self.book.finding("out of order", text)
                newest[of] = int(number)
                position = arrival.position
                is_same_epoch = attempt.position.epoch == position.epoch
                if is_same_epoch and attempt.position != position:
                    text = f"{key} for {self.name}: {attempt.position}, not {position}"
                    self.book.finding("another offset", text)
            self.tracks[channel] = replace(track, got={}, before=track.got)
