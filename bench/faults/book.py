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
    """Where and when a reader got an event."""

    position: Position
    at: float


@dataclass
class Track:
    """What a reader got of a channel: since the last checkpoint, and before it."""

    last: Position | None = None
    # By attempt, in the order in which they came.
    got: dict[str, Arrival] = field(default_factory=dict)
    before: dict[str, Arrival] = field(default_factory=dict)
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

    def broken(self, kind, text):
        self.counts[kind] += 1
        self.note(f"!! {kind}: {text}")

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
                self.broken(
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

    def _judge(self, name, key, track, first, second):
        """
        Count an event that came twice.

        What was seen before a failover and lost there is published again by its token, and
        seen again after a gap event. That is documented, if it was not acknowledged by then.
        """
        attempt = self.attempts.get(key) or self.older.get(key)
        has_gap = first.at < track.gap_at <= second.at
        was_open = attempt is not None and (
            attempt.acknowledged is None
            or attempt.acknowledged > track.gap_at
            or attempt.position != first.position
        )
        kind = "seen again" if has_gap and was_open else "twice"
        self.broken(kind, f"{key} for {name}: {first.position}, {second.position}")


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
            self.tracks[channel].last = None
            self.tracks[channel].gap_at = time.monotonic()

    def _arrive(self, key, channel, position):
        book, track = self.book, self.tracks[channel]
        book.counts["deliveries"] += 1
        book.trace(f"{self.name} got {key} at {position}")
        arrival = Arrival(position, time.monotonic())
        first = track.got.get(key) or track.before.get(key)
        if first is not None:
            book.note(f"{key} came twice for {self.name}: {first.position}, {position}")
            book.repeated.append((self.name, key, replace(track), first, arrival))
        elif track.last is not None and track.last.epoch == position.epoch:
            if position.offset <= track.last.offset:
                book.broken(
                    "out of order", f"{key} for {self.name}: {position}, {track.last}"
                )
            elif position.offset > track.last.offset + 1:
                book.broken("hole", f"{self.name}, {channel}: {track.last}, {position}")
        elif track.last is not None and track.last.offset:
            book.counts["epochs"] += 1
            book.note(f"another epoch for {self.name}, {channel}: {track.last}, {position}")
        track.last = position
        track.got[key] = arrival

    def check(self):
        for channel, track in self.tracks.items():
            newest = {}
            for key, arrival in track.got.items():
                attempt = self.book.attempts.get(key)
                if attempt is None or attempt.acknowledged is None:
                    continue
                _, publisher, number, _ = key.split()
                if newest.get(publisher, -1) >= int(number):
                    text = f"{key} for {self.name} after {newest[publisher]}"
                    self.book.broken("out of order", text)
                newest[publisher] = int(number)
                position = arrival.position
                is_same_epoch = attempt.position.epoch == position.epoch
                if is_same_epoch and attempt.position != position:
                    text = f"{key} for {self.name}: {attempt.position}, not {position}"
                    self.book.broken("another offset", text)
            self.tracks[channel] = Track(track.last, {}, track.got, track.gap_at)
