"""
Subscribers and feeds of each framing and coding against a plain model, at random.

Whatever is asked of a subscriber in whatever order, its client gets whole blocks, in order,
a prefix of what was published for it; all of that if it finished while it followed and its
sink works. zlib decodes what a client gets, each write by itself and cut anywhere. Its
observer is told once, in the step in which it is no longer open.
"""

import asyncio
import random
import zlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from heliograph import Event, EventStreamParser
from heliograph.channels.blocks import HEARTBEAT
from heliograph.channels.cursor import HeldBytes
from heliograph.channels.entry import Entry
from heliograph.channels.feed import Feed
from heliograph.channels.log import LogItem
from heliograph.channels.position import Position, Positions
from heliograph.channels.selection import Selection
from heliograph.hub.subscriber import State, Subscriber
from heliograph.wire.coding import Coding
from heliograph.wire.framing import Framing
from hubs import Recording

# What a compressor finds again in other events, and not in the event itself.
_random = random.Random(1)
TEXTS = [
    "".join(_random.choices("abcdefghijklmnop\n", k=size))
    for size in (0, 1, 9, 50, 200, 300, 400, 500, 600, 800, 1100, 3000)
]


class Client:
    """A subscriber, its sink, and what the model says of it. It is an observer, too."""

    def __init__(self, number, framing, coding):
        self.coding = coding
        self.subscriber = Subscriber(
            number,
            ("a",),
            None,
            coding=coding,
            address=None,
            expires_at=None,
            admitted_at=0.0,
            observers=(self,),
        )
        self.sink = Recording(framing)
        self.told = 0
        # Data of the events that the client has to be given as long as it is served.
        self.expected = []
        self.finished_while_following = False

    def on_left(self, subscriber):
        assert subscriber is self.subscriber
        self.told += 1

    @property
    def is_sound(self):
        return not self.sink.faults

    def unframed(self):
        """Return the bytes of each write, which is one chunk if it is chunked."""
        writes = list(self.sink.writes)
        if self.sink.framing.end and writes and writes[-1] == self.sink.framing.end:
            writes.pop()
        for write in writes:
            block = write
            if self.sink.framing is Framing.CHUNKED:
                size, _, rest = write.partition(b"\r\n")
                block = rest.removesuffix(b"\r\n")
                assert int(size, 16) == len(block) > 0
            yield block

    def given(self, cut=None):
        """Return the data of the events that were written, cut into parts of so many bytes."""
        parser, decoder, data = EventStreamParser(), zlib.decompressobj(wbits=31), []
        writes = list(self.unframed())
        if cut:
            body = b"".join(writes)
            writes = [body[start : start + cut] for start in range(0, len(body), cut)]
        for write in writes:
            is_coded = self.coding is not Coding.IDENTITY
            block = decoder.decompress(write) if is_coded else write
            assert not decoder.unused_data
            # Whatever was written can be decoded at once, and parsed but for a comment.
            assert cut or block.endswith(b"\n")
            data += [event.data for event in parser.feed(block)]
        return data


class Subscribers(RuleBasedStateMachine):
    clients = Bundle("clients")

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.held = HeldBytes()
        self.feeds = {
            (framing, coding): Feed(
                Positions({"a": Position("e", 0)}),
                self.held,
                selection=Selection(("a",), framing, coding),
            )
            for framing in Framing
            for coding in Coding
        }
        self.all = []
        self.offset = 0
        self.pages = 0

    def teardown(self):
        self.loop.close()

    def do(self, function, *args):
        """Call something on the loop, as all that subscribers do is."""

        async def call():
            return function(*args)

        return self.loop.run_until_complete(call())

    @rule(target=clients, framing=st.sampled_from(Framing), coding=st.sampled_from(Coding))
    def admit(self, framing, coding):
        client = Client(len(self.all), framing, coding)
        self.all.append(client)
        return client

    @rule(client=clients, expires_in=st.sampled_from([None, 600.0]))
    def begin(self, client, expires_in):
        if client.subscriber.state is State.ADMITTED:
            greeting = client.coding.prologue + client.coding.code((b":\n",))
            self.do(client.subscriber.begin, client.sink, greeting, expires_in)

    @rule(client=clients, texts=st.lists(st.sampled_from(TEXTS), max_size=3))
    def give(self, client, texts):
        self.pages += 1
        data = [f"page{self.pages}" + text.replace("\n", "") for text in texts]
        if client.subscriber.state is State.JOINING:
            client.expected += data
        blocks = [b"data: %b\n\n" % each.encode() for each in data]
        self.do(client.subscriber.give, *blocks)

    @rule(client=clients)
    def follow(self, client):
        if client.subscriber.state is State.JOINING:
            client.subscriber.follow(self.feeds[client.sink.framing, client.coding])

    @rule(text=st.sampled_from(TEXTS))
    def append(self, text):
        self.offset += 1
        event = Event(f"{self.offset}:{text}")
        item = LogItem.of(Entry("a", Position("e", self.offset), event, 0.0))
        for feed in self.feeds.values():
            feed.append(item)
        for client in self.all:
            if client.subscriber.state is State.FOLLOWING:
                client.expected.append(event.data)

    @rule()
    def beat(self):
        for feed in self.feeds.values():
            feed.append_block(HEARTBEAT)
        for client in self.all:
            self.do(client.subscriber.beat, self.loop.time() + 99, 9.0)

    @rule()
    def flush_all(self):
        for client in self.all:
            lag = self.do(client.subscriber.flush)
            # What is behind the cursor of one that is paused may be a heartbeat alone.
            assert lag >= 0
            assert client.sink.is_paused or not lag
        for feed in self.feeds.values():
            feed.trim()

    @rule(client=clients)
    def pause(self, client):
        client.sink.is_paused = True

    @rule(client=clients)
    def resume(self, client):
        client.sink.is_paused = False
        self.do(client.subscriber.on_resumed)
        if client.is_sound and client.subscriber.state is State.FOLLOWING:
            assert client.given() == client.expected

    @rule(client=clients, cut=st.integers(1, 400))
    def read_in_parts(self, client, cut):
        assert client.given(cut) == client.given()

    @rule(client=clients)
    def ask_for_heartbeat(self, client):
        self.do(client.subscriber.on_silent)

    @rule(client=clients)
    def finish(self, client):
        is_following = client.subscriber.state is State.FOLLOWING
        self.do(client.subscriber.finish)
        if is_following and client.is_sound:
            client.finished_while_following = True

    @rule(client=clients)
    def drop(self, client):
        self.do(client.subscriber.drop)
        assert client.subscriber.state is State.GONE

    @rule(client=clients)
    def lose(self, client):
        self.do(client.subscriber.on_lost)
        assert client.subscriber.state is State.GONE

    @rule(client=clients, what=st.sampled_from(["write", "paused", "close", "abort"]))
    def break_sink(self, client, what):
        client.sink.faults.add(what)

    @invariant()
    def clients_are_given_a_prefix(self):
        for client in self.all:
            given = client.given()
            assert given == client.expected[: len(given)]
            if client.finished_while_following:
                assert given == client.expected

    @invariant()
    def observers_are_told_once(self):
        for client in self.all:
            assert client.told == (not client.subscriber.is_open)
            assert client.sink.calls.count("close") <= 1
            assert client.sink.calls.count("abort") <= 1

    @invariant()
    def feeds_hold_what_is_behind_cursors(self):
        following = [c for c in self.all if c.subscriber.state is State.FOLLOWING]
        assert sum(feed.cursors for feed in self.feeds.values()) == len(following)
        if not following:
            assert self.held.bytes == 0


Subscribers.TestCase.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None
)
TestSubscribers = pytest.mark.exhaustive(Subscribers.TestCase)
