"""Clients of streams for the tests: real sockets, the package's own parser."""

import asyncio
import json
import socket

from heliograph import EventStreamParser
from heliograph.hub import Admission

# Closed after each test by a fixture in conftest.py.
connections = []

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class StreamParser(EventStreamParser):
    """Returns the events that were published, and keeps what ``heliograph.open`` says."""

    def __init__(self, **options):
        super().__init__(**options)
        self.openings = []

    def feed(self, data):
        events = super().feed(data)
        openings = [event for event in events if event.type == "heliograph.open"]
        self.openings += [json.loads(event.data) for event in openings]
        return [event for event in events if event not in openings]


class Client:
    """Reads a stream from a socket. Comments are counted, events are kept."""

    def __init__(self, connection):
        self.connection = connection
        self.parser = StreamParser()
        self.events = []
        # Megabytes come in small parts: nothing that has come before is copied or searched.
        self._raw = bytearray()
        self._body_at = None

    async def read(self):
        data = await asyncio.get_running_loop().sock_recv(self.connection, 1 << 16)
        self.take(data)
        return data

    def take(self, data):
        """Parse what has been read."""
        self._raw += data
        if self._body_at is not None:
            self.events += self.parser.feed(data)
        elif b"\r\n\r\n" in self._raw:
            self._body_at = self._raw.index(b"\r\n\r\n") + 4
            self.events += self.parser.feed(self.body)

    @property
    def raw(self):
        return bytes(self._raw)

    @property
    def body(self):
        return b"" if self._body_at is None else bytes(self._raw[self._body_at :])

    @property
    def data(self):
        return [event.data for event in self.events]

    async def wait(self, count):
        """Read until there are so many events; give them."""
        while len(self.events) < count:
            assert await self.read(), f"the stream ended after {self.data}"
        return self.events

    async def wait_for(self, condition):
        while not condition(self):
            assert await self.read(), "the stream ended"
        return self

    async def placed(self):
        """Read until the client has been told where it is: from then on it is joined."""
        return await self.wait_for(lambda client: client.parser.last_event_id)

    async def ended(self):
        """Read to the end of the stream."""
        try:
            while await self.read():
                pass
        except ConnectionError:
            pass
        return self

    def leave(self):
        self.connection.close()


def connect(hub, *channels, read_buffer=None, **options):
    """Let a hub serve one end of a pair of sockets; give the client at the other."""
    ticket = hub.admit(Admission(tuple(sorted(channels)), **options))
    ours, theirs = socket.socketpair()
    connections.append(theirs)
    if read_buffer is not None:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_buffer)
    # As long as there is one: it may have finished already.
    subscriber = hub._clients._admission.find(ticket.number)
    hub.adopt(ticket, ours, HEAD)
    theirs.setblocking(False)
    client = Client(theirs)
    client.ticket, client.subscriber = ticket, subscriber
    return client


async def read_all(theirs):
    """Read until the end of the stream; give what came, and whether it ended in order."""
    loop, data = asyncio.get_running_loop(), b""
    try:
        while more := await loop.sock_recv(theirs, 1 << 20):
            data += more
    except ConnectionError:
        return data, False
    return data, True


async def until(condition):
    """Let the loop work until something holds; the test's timeout is the limit."""
    while not condition():
        await asyncio.sleep(0.001)
