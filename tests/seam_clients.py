"""Clients of hubs of the same process, which follow channels: see :mod:`seam`."""

import asyncio
import select
import socket

import streams
from heliograph.channels.start import Start
from heliograph.hub import Admission
from heliograph.hub.subscription import Subscription
from heliograph.wire.coding import Coding
from heliograph.wire.framing import Framing
from seam import Decoder, Follower


class Reader(Follower):
    """A client with a connection."""

    def __init__(self, models, names, start, step, chance):
        super().__init__(models, names, start, step)
        self.chance = chance
        self.coding = chance.choice([Coding.IDENTITY, *Coding])
        self.framing = chance.choice([*Framing])
        self.client = None

    async def connect(self, hub):
        self.leave()
        ticket = hub.admit(
            Admission(
                self.names,
                last_event_id=self.last_event_id,
                start=Start.parse(self.start),
                coding=self.coding,
            )
        )
        if not await hub.locate(ticket):
            hub.release(ticket)
            self.check_over()
            return False
        ours, theirs = socket.socketpair()
        streams.connections.append(theirs)
        if self.chance.random() < 0.5:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        hub.adopt(ticket, ours, streams.HEAD, self.framing)
        theirs.setblocking(False)
        self.client = streams.Client(theirs)
        self.client.parser = Decoder(
            self.framing, self.coding, last_event_id=self.last_event_id or ""
        )
        self.is_open = True
        return True

    def leave(self):
        if self.client is not None:
            self.client.leave()
            self.client = None
        self.is_open = False

    def has_more(self):
        return bool(select.select([self.client.connection], [], [], 0)[0])

    async def read(self):
        client = self.client
        try:
            # As small as a network makes it.
            size = self.chance.choice([1 << 16, 1 << 16, 300])
            data = await asyncio.get_running_loop().sock_recv(client.connection, size)
        except ConnectionError:
            data = b""
        self.is_open = bool(data)
        client.take(data)
        events, client.events = client.events, []
        self.last_event_id = client.parser.last_event_id or self.last_event_id
        for event in events:
            self.take(event)


class Program(Follower):
    """A program that takes events with ``subscribe``, in one process at a time."""

    def __init__(self, models, names, start, step, chance):
        super().__init__(models, names, start, step)
        self.subscription = None

    async def connect(self, hub):
        self.leave()
        self.subscription = Subscription(
            hub, self.names, self.last_event_id, start=Start.parse(self.start)
        )
        # It keeps what programs are not told.
        parser = self.subscription._parser = streams.StreamParser()
        await self.subscription.locate()
        self.is_open = True
        if self.last_event_id is None and parser.openings:
            self.base, self.first_base = {}, {}
            self.begin(parser.openings[0]["id"])
            self.last_event_id = self.subscription.last_event_id or None
        return True

    def leave(self):
        if self.subscription is not None:
            self.subscription.leave()
            self.subscription = None
        self.is_open = False

    def has_more(self):
        return True

    async def read(self):
        try:
            async with asyncio.timeout(0.002):
                event = await anext(self.subscription)
        except TimeoutError:
            return
        except StopAsyncIteration:
            self.is_open = False
            return
        self.last_event_id = self.subscription.last_event_id
        self.take(event)

    def _check(self, model, base, got, ends):
        # It is told no ends, and does not see those that have no event.
        bare = model.ends - {*model.places.values()}
        seen = {end for end in bare if got and base < end < got[-1]}
        super()._check(model, base, sorted([*got, *seen]), sorted(model.ends))
