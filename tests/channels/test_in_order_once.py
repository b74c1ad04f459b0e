"""
Logs, feeds and cursors against a plain model, at random: in order, once, or told.

The model of a client is a list of what it must have seen. A client resumes with the last
id it was given; what the log no longer holds must be announced.
"""

import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from heliograph import Event
from heliograph.channels.blocks import entry_block, gap_block
from heliograph.channels.cursor import HeldBytes
from heliograph.channels.entry import Entry
from heliograph.channels.feed import Feed
from heliograph.channels.log import Appended, ChannelLog, LogItem
from heliograph.channels.opening import Opening
from heliograph.channels.position import Position, Positions
from streams import StreamParser

CHANNELS = ("a", "b")


class Client:
    def __init__(self, cursor, parser, expected):
        self.cursor = cursor
        self.parser = parser
        # Events that have to come next, and gaps as ("gap", channel).
        self.expected = expected
        self.lag = 0

    def receive(self, data):
        for event in self.parser.feed(data):
            if event.type == "heliograph.gap":
                for channel in json.loads(event.data)["channels"]:
                    assert self.expected.pop(0) == ("gap", channel)
            else:
                assert event.data == self.expected.pop(0)


class Delivery(RuleBasedStateMachine):
    online = Bundle("online")
    offline = Bundle("offline")

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.lives = dict.fromkeys(CHANNELS, 0)
        self.count = dict.fromkeys(CHANNELS, 0)
        # All that was ever published: (channel, epoch, offset) -> data.
        self.published = {}
        self.logs = {
            name: ChannelLog(
                Position("e0", 0), max_events=5, max_bytes=200, max_age_seconds=50
            )
            for name in CHANNELS
        }
        self.held = HeldBytes()
        start = Positions({name: Position("e0", 0) for name in CHANNELS})
        self.feed = Feed(start, self.held)
        self.clients = []

    @rule(channel=st.sampled_from(CHANNELS), size=st.integers(0, 60))
    def publish(self, channel, size):
        self.count[channel] += 1
        self.append(channel, f"{channel}{len(self.published)}" + "x" * size)

    @rule(channel=st.sampled_from(CHANNELS))
    def new_life(self, channel):
        self.lives[channel] += 1
        self.count[channel] = 1
        self.append(channel, f"{channel}{len(self.published)}", gap=True)

    @rule(channel=st.sampled_from(CHANNELS), lost=st.integers(1, 3))
    def lose_some(self, channel, lost):
        self.count[channel] += 1 + lost
        self.append(channel, f"{channel}{len(self.published)}", gap=True)

    def append(self, channel, data, *, gap=False):
        position = Position(f"e{self.lives[channel]}", self.count[channel])
        self.published[channel, position.epoch, position.offset] = data
        item = LogItem.of(Entry(channel, position, Event(data), self.now))
        outcome = self.logs[channel].append(item, self.now)
        assert (outcome is not Appended.NEXT) is gap
        if gap:
            before = Position(position.epoch, position.offset - 1)
            self.feed.announce_gap(channel, outcome.value, before)
        self.feed.append(item)
        for client in self.clients:
            client.expected += [("gap", channel), data] if gap else [data]

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds):
        self.now += seconds
        for log in self.logs.values():
            log.trim(self.now)

    @rule(target=online)
    def join(self):
        client = Client(self.feed.join(), StreamParser(), [])
        client.receive(Opening().block(self.feed.positions, resumed=True))
        self.clients.append(client)
        return client

    @rule(client=online)
    def take(self, client):
        if client.cursor is not None:
            client.receive(self.feed.take(client.cursor))
            assert client.expected == []
            self.feed.trim()

    @rule(client=consumes(online), target=offline)
    def lose_connection(self, client):
        self.feed.leave(client.cursor)
        self.clients.remove(client)
        return client.parser.last_event_id

    @rule(last_event_id=consumes(offline), target=online)
    def resume(self, last_event_id):
        positions = Positions.parse(last_event_id, CHANNELS)
        gaps, items, expected = {}, [], []
        for name, log in self.logs.items():
            held = range(log.head.offset - len(log), log.head.offset + 1)
            is_held = (
                positions[name].epoch == log.head.epoch and positions[name].offset in held
            )
            # A gap where nothing is missing would go unnoticed by those who ask the log.
            assert log.covers(positions[name]) is is_held
            if not is_held:
                oldest = Position(log.head.epoch, log.head.offset - len(log))
                gaps[name] = ("trimmed", oldest)
                expected.append(("gap", name))
        data = gap_block(gaps, positions) if gaps else b""
        for name, log in self.logs.items():
            items += log.after(positions[name])
            # What the model says must come: all that was published after that place.
            expected += [
                self.published[name, log.head.epoch, offset]
                for offset in range(positions[name].offset + 1, log.head.offset + 1)
            ]
        for item in items:
            data += entry_block(item, positions)
        assert positions == self.feed.positions
        client = Client(
            self.feed.join(), StreamParser(last_event_id=last_event_id), expected
        )
        client.receive(data)
        assert client.expected == []
        self.clients.append(client)
        return client

    @invariant()
    def nothing_is_held_for_nobody(self):
        if all(self.feed.lag_bytes(client.cursor) == 0 for client in self.clients):
            self.feed.trim()
            assert self.feed.held_blocks == 0

    @invariant()
    def bounds_hold(self):
        for log in self.logs.values():
            assert len(log) <= 5
            assert log.held_bytes <= 200 or len(log) == 1

    # Not after each step: asking for its positions makes the feed write its ids.
    @rule()
    def feed_is_at_the_heads(self):
        for name, log in self.logs.items():
            assert self.feed.positions[name] == log.head

    @invariant()
    def what_is_held_is_counted(self):
        blocks = self.feed._blocks
        entries = [block for block in blocks if not isinstance(block, bytes)]
        assert self.held.bytes == (
            64 * len(blocks)
            + sum(len(block) for block in blocks if isinstance(block, bytes))
            + sum(len(block.id_line) + len(block.item.body) for block in entries)
        )

    @invariant()
    def lag_is_what_is_to_come(self):
        for client in self.clients:
            assert bool(self.feed.lag_bytes(client.cursor)) is bool(client.expected)


Delivery.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestDelivery = pytest.mark.exhaustive(Delivery.TestCase)
