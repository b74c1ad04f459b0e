"""
Blocks that are compressed once for all cursors.

A machine of random events, cursors that join, take, wait and leave, and bytes that are for
one client alone: zlib decodes what each client gets, at once and to the very bytes of the
feed.
"""

import random
import zlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
)

from heliograph.channels.blocks import HEARTBEAT
from heliograph.channels.cursor import HeldBytes
from heliograph.channels.feed import Feed
from heliograph.channels.position import Position, Positions
from heliograph.channels.segments import MAX_WINDOW_BYTES, WINDOW_BYTES
from heliograph.channels.selection import Selection
from heliograph.wire.coding import Coding
from heliograph.wire.framing import Framing

GZIP = [coding for coding in Coding if coding is not Coding.IDENTITY]

# Found again in other blocks, and hard to compress by themselves.
_random = random.Random(2)
BLOCKS = [
    b"data: " + bytes(_random.choices(b"abcdefghijklmnop", k=size)) + b"\n\n"
    for size in (1, 9, 40, 100, 200, 300, 350, 400, 500, 700, 900, 1500, 4000)
]


def new_feed(coding, held=None):
    selection = Selection(("a",), Framing.IDENTITY, coding)
    return Feed(Positions({"a": Position("e", 0)}), held, selection=selection)


class Client:
    """A cursor, what its client decodes, and what it should have."""

    def __init__(self, coding, feed):
        self.coding = coding
        self.cursor = feed.join()
        self.decoder = zlib.decompressobj(wbits=31)
        self.expected = b""
        self.got = b""
        self.sizes = []
        self.receive(coding.prologue)

    def receive(self, data):
        self.sizes.append(len(data))
        self.got += self.decoder.decompress(data)


class Sharing(RuleBasedStateMachine):
    clients = Bundle("clients")

    def __init__(self):
        super().__init__()
        self.held = HeldBytes()
        self.feeds = {coding: new_feed(coding, self.held) for coding in GZIP}
        self.all = []

    @rule(target=clients, coding=st.sampled_from(GZIP))
    def join(self, coding):
        client = Client(coding, self.feeds[coding])
        self.all.append(client)
        return client

    @rule(block=st.sampled_from(BLOCKS))
    def append(self, block):
        for feed in self.feeds.values():
            feed.append_block(block)
        for client in self.all:
            client.expected += block

    @rule()
    def flush(self):
        for client in self.all:
            self.take(client)
        for feed in self.feeds.values():
            feed.trim()

    @rule(client=clients)
    def take(self, client):
        feed = self.feeds[client.coding]
        client.receive(feed.take(client.cursor))
        assert client.got == client.expected
        assert feed.lag_bytes(client.cursor) == 0

    @rule(client=clients, block=st.sampled_from([HEARTBEAT, *BLOCKS]))
    def insert(self, client, block):
        """Send one client something of its own."""
        feed = self.feeds[client.coding]
        self.take(client)
        feed.interrupt(client.cursor)
        client.receive(client.coding.code((block,)))
        client.expected += block

    @rule(client=consumes(clients))
    def leave(self, client):
        self.feeds[client.coding].leave(client.cursor)
        self.all.remove(client)

    @invariant()
    def nothing_is_held_for_nobody(self):
        if all(client.got == client.expected for client in self.all):
            for feed in self.feeds.values():
                feed.trim()
            assert self.held.bytes == 0


Sharing.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None
)
TestSharing = Sharing.TestCase


def following(coding, count=1):
    """Return a feed with clients that follow it from its beginning."""
    feed = new_feed(coding)
    return feed, [Client(coding, feed) for _ in range(count)]


def flush(feed, clients, *blocks):
    for block in blocks:
        feed.append_block(block)
    for client in clients:
        client.receive(feed.take(client.cursor))
    feed.trim()


def noise(size, seed):
    return random.Random(seed).randbytes(size).hex().encode()


@pytest.mark.parametrize("coding", GZIP)
def test_a_block_is_compressed_once(coding, monkeypatch):
    """However many clients there are, and wherever they are."""
    feed, clients = following(coding, 3)
    early, late, last = clients
    flush(feed, [early, late], noise(300, 1))
    flush(feed, [early], noise(300, 2))
    feed.append_block(noise(300, 3))

    taken = [feed.take(client.cursor) for client in (early, late, last)]

    assert taken[2].endswith(taken[1])
    assert taken[1].endswith(taken[0])


@pytest.mark.parametrize("window", WINDOW_BYTES[1:])
def test_the_window_grows_with_what_was_received(window):
    """A block is found again as far back as the client has been following."""
    feed, (client,) = following(Coding.GZIP_WINDOW)
    block = noise(200, 1)
    flush(feed, [client], block)
    while len(client.got) < window:
        flush(feed, [client], noise(min(100, window // 8), len(client.got)))
    # As far back as the window of this size reaches, and no further.
    reach = min(window, 32_000)
    flush(feed, [client], client.got[-reach : -reach + 200])
    found = client.sizes[-1]
    flush(feed, [client], noise(100, "new"))

    assert found < 30
    assert client.sizes[-1] > 100


def test_separate_events_do_not_show_that_they_are_alike():
    """Of a private channel the same event always takes the same number of bytes."""
    feed, (client,) = following(Coding.GZIP_EVENTS)
    block = noise(300, 1)
    flush(feed, [client], block)
    flush(feed, [client], block, block)

    assert client.sizes[2] == 2 * client.sizes[1]


def test_events_of_one_pass_share_a_block():
    """What they have in common is sent once."""
    feed, (client,) = following(Coding.GZIP_BLOCKS)
    block = noise(300, 1)
    flush(feed, [client], block)
    flush(feed, [client], block)
    flush(feed, [client], block, block)

    assert client.sizes[2] == client.sizes[1]
    assert client.sizes[3] < 1.1 * client.sizes[1]


def test_blocks_are_the_same_object_for_all():
    """Clients that have received enough share the bytes, whenever they joined."""
    feed, clients = following(Coding.GZIP_WINDOW, 2)
    flush(feed, clients, noise(20_000, 1))
    clients.append(Client(Coding.GZIP_WINDOW, feed))
    flush(feed, clients, noise(20_000, 2))
    feed.append_block(noise(300, 3))

    first, *others = [feed.take(client.cursor) for client in clients]

    assert all(other is first for other in others)


@pytest.mark.parametrize("window", WINDOW_BYTES[1:])
@pytest.mark.parametrize("is_full", [False, True])
def test_no_block_refers_to_what_its_client_has_not_received(window, is_full):
    """A window is used from the byte on which fills it."""
    feed, clients = following(Coding.GZIP_WINDOW)
    before = noise(20, 1)
    flush(feed, clients, noise(20_000, 0), before)
    late = Client(Coding.GZIP_WINDOW, feed)
    clients.append(late)
    # zlib looks back a little less far than 32 KiB.
    short = 0 if is_full else 40 if window < 30_000 else 300
    flush(feed, clients, noise(window, 2)[: window - short - 10])
    flush(feed, clients, noise(5, 3))

    flush(feed, clients, before + before[:5])

    assert late.got.endswith(before + before[:5])
    assert is_full or clients[0].sizes[-1] < 20


def test_a_client_with_bytes_of_its_own_leaves_the_window():
    """Until it has received enough again, whatever it has received before."""
    feed, clients = following(Coding.GZIP_WINDOW, 2)
    blocks = [noise(5_000, 1), noise(5_000, 2), noise(300, 3)]
    flush(feed, clients, *blocks)
    flush(feed, clients, noise(300, 4))
    _, alone = clients
    feed.interrupt(alone.cursor)
    alone.receive(Coding.GZIP_WINDOW.code((HEARTBEAT,)))

    flush(feed, clients, blocks[-1])

    assert all(client.got.endswith(blocks[-1]) for client in clients)


def test_what_feeds_refer_to_is_bounded():
    """Clients choose selections: beyond the limit a feed sends blocks without a window."""
    held = HeldBytes()
    feeds = [new_feed(Coding.GZIP_WINDOW, held) for _ in range(600)]
    clients = [Client(Coding.GZIP_WINDOW, feed) for feed in feeds]
    block = noise(16_000, 1)
    for _ in range(3):
        for feed, client in zip(feeds, clients, strict=True):
            flush(feed, [client], block)

    assert held.window_bytes <= MAX_WINDOW_BYTES
    assert clients[0].sizes[-1] < 500
    assert clients[-1].sizes[-1] > 10_000
    for feed, client in zip(feeds, clients, strict=True):
        assert client.got == 3 * block
        feed.leave(client.cursor)
    assert (held.bytes, held.window_bytes) == (0, 0)


def test_clients_that_joined_at_different_times_share_a_variant():
    """What is kept for a pass depends on the windows, not on how many clients there are."""
    feed, clients = following(Coding.GZIP_WINDOW)
    for n in range(40):
        flush(feed, clients, noise(20, n))
        clients.append(Client(Coding.GZIP_WINDOW, feed))
    for n in range(2):
        feed.append_block(noise(300, n))
        clients.append(Client(Coding.GZIP_WINDOW, feed))

    taken = [feed.take(client.cursor) for client in clients]

    assert len({id(data) for data in taken}) <= len(WINDOW_BYTES) + 2


def test_a_client_that_reads_nothing_makes_no_pass_longer():
    """Only the segments of the last pass are looked at."""
    feed, (stuck, reader) = following(Coding.GZIP_BLOCKS, 2)
    for n in range(50):
        flush(feed, [reader], noise(20, n))

    segments = feed._segments
    assert segments._fresh == len(segments._segments) == 50
    assert all(each.raw is None for each in segments._segments)
    stuck.receive(feed.take(stuck.cursor))
    assert stuck.got == reader.got
