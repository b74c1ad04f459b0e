"""Reads a script to its end with one of the faces of the client, and keeps what it says."""

import anyio

from heliograph.client import AsyncEventSource, EventSource, Reconnect
from heliograph.errors import HeliographError

BOTH = ["threads", "asyncio"]
ALL = [*BOTH, "trio"]

# Delays that are known beforehand, and short.
QUICK = Reconnect(first_seconds=0.001, longest_seconds=0.004, jitter=0)


class Reader:
    """
    An event source that is read to its end.

    Args:
        face: One of ``ALL``.
        url: The address.
        close_after: Number of waits for a reconnect at whose last one it is closed.
        close_in: Name of the callback in which it is closed.
        client: Makes the client of the caller, in the loop; None for none.
        options: What the event source is built with.

    Attributes:
        events: The events.
        error: What the iteration raised, or None.
        waits: The seconds of each wait for a reconnect.
        errors: The error before each.
        openings: What ``on_open`` was called with.
        closings: How often ``on_close`` was called.
        source: The event source.
    """

    def __init__(
        self, face, url, *, close_after=None, close_in=None, client=None, **options
    ):
        self.events, self.error = [], None
        self.waits, self.errors, self.openings, self.closings = [], [], [], 0
        self._close_after = close_after
        self._client = client
        self._url = url
        self._options = {
            "on_open": self.openings.append,
            "on_error": self._on_error,
            "on_close": self._on_close,
        } | options
        if close_in is not None:
            self._options[close_in] = lambda *_: self.source.close()
        if face == "threads":
            self._run_in_thread()
        else:
            anyio.run(self._run_in_task, backend=face)

    def _on_error(self, error, retry_seconds):
        self.errors.append(error)
        self.waits.append(retry_seconds)
        if len(self.waits) == self._close_after:
            self.source.close()

    def _on_close(self):
        self.closings += 1

    def _run_in_thread(self):
        client = self._client and self._client()
        self.source = EventSource(self._url, client=client, **self._options)
        try:
            with self.source:
                for event in self.source:
                    self.events.append(event)
        except HeliographError as error:
            self.error = error
        if client is not None:
            assert not client.is_closed
            client.close()

    async def _run_in_task(self):
        client = self._client and self._client()
        self.source = AsyncEventSource(self._url, client=client, **self._options)
        try:
            async with self.source:
                async for event in self.source:
                    self.events.append(event)
        except HeliographError as error:
            self.error = error
        if client is not None:
            assert not client.is_closed
            await client.aclose()
