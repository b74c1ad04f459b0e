"""One client on one way of serving: what it does."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import NamedTuple

# Long, for a busy machine: only a client that does not do what it is to do takes all of it.
PROMPT_SECONDS = 30
RECONNECT_SECONDS = 15

_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Client(NamedTuple):
    """
    A client.

    ``runner``: the program that it is in; ``shape``: how an event has to look so that it
    displays it; ``gzip``: whether it can decode a stream; ``keeps_id``: whether it is the page
    that keeps the last id, which it is to know before there is any event.
    """

    runner: str
    shape: str = "text"
    gzip: bool = True
    keeps_id: bool = False


# Add a row, not a test.
CLIENTS = {
    "native": Client("browser"),
    "native-anew": Client("browser", keeps_id=True),
    "eventsource": Client("node"),
    "event-source-polyfill": Client("browser"),
    "reconnecting-eventsource": Client("browser"),
    "reconnecting-eventsource-onmessage": Client("browser"),
    "fetch-event-source": Client("browser"),
    "fetch-event-source-as-it-is": Client("browser"),
    "htmx-2": Client("browser", "html"),
    "htmx-2-anew": Client("browser", "html", keeps_id=True),
    "htmx-4": Client("browser", "html"),
    "turbo": Client("browser", "turbo"),
    "datastar": Client("browser", "datastar"),
    "datastar-as-it-is": Client("browser", "datastar"),
    "fetch": Client("node"),
    "heliograph": Client("python"),
    "heliograph-async": Client("python"),
    "requests-lines": Client("python"),
    "requests-content": Client("python"),
    "requests-loop": Client("python"),
    "sseclient-py": Client("python"),
    "httpx": Client("python"),
    "httpx-sse": Client("python"),
    "aiohttp": Client("python"),
    "aiohttp-sse-client": Client("python"),
    "urllib": Client("python", gzip=False),
    "curl": Client("python"),
    "go": Client("go"),
}

# The type and the data of the nth event, by shape.
_SHAPES = {
    "text": (None, '{{"n": {n}}}'),
    "html": (None, "<p>{n}</p>"),
    "turbo": (
        None,
        '<turbo-stream action="append" target="seen"><template><p>{n}</p></template></turbo-stream>',
    ),
    "datastar": (
        "datastar-patch-elements",
        "mode append\nselector #seen\nelements <p>{n}</p>",
    ),
}


@dataclass
class Outcome:
    """
    What a client did on a way of serving.

    ``prompt``: whether each event was there before the next was published; ``cut``, ``end`` and
    ``status``: what it did after the connection was cut, after the end of the stream, and
    after a status 503; ``reports``: what it reported of each; ``strays``: what it dispatched
    that was no event.
    """

    prompt: bool = True
    cut: str = ""
    end: str = ""
    status: str = ""
    reports: dict = field(default_factory=dict)
    strays: list = field(default_factory=list)


class Trial:
    """
    The trial of a client.

    Args:
        name: The name of the client.
        served: How it is served.
        relay: Between it and the server, for it alone.
        runner: The program that it is in.
        http: A client to publish with.
    """

    def __init__(self, name, served, relay, runner, http):
        self.name = name
        self._client = CLIENTS[name]
        self._served = served
        self._relay = relay
        self._runner = runner
        self._http = http
        self._lines = []
        self._changed = asyncio.Event()
        self._starts = 0
        self._published = 0
        self._missed = 0
        self._last_id = None
        self._outcome = Outcome()
        relay.on_change = self._changed.set

    def start(self):
        """Start the client, for another time with the last id that it has handed on."""
        self._starts += 1
        url = f"{self._served.scheme}://127.0.0.1:{self._relay.port}/stream"
        command = {
            "client": self.name,
            "url": f"{url}?channel={self.name}",
            "last_event_id": self._last_id,
            "gzip": self._served.way.gzip,
        }
        of = f"{self._served.way.name} {self.name} {self._starts}"
        self._runner.start(of, self._heard, command)

    async def run(self):
        """Try the client, which listens already; return the outcome."""
        outcome = self._outcome
        if self._served.way.is_first and self._client.keeps_id:
            outcome.status = await self._after_status()
        for _ in range(2):
            await self._event_at_once()
        before = self._relay.received
        # What is published next comes after a heartbeat.
        assert await self._until(lambda: self._relay.received > before, PROMPT_SECONDS)
        await self._event_at_once()
        outcome.cut = await self._after_cut()
        outcome.end = await self._after_end()
        if self._may_be_refused():
            outcome.status = await self._after_status()
        if self._served.scheme == "http":
            assert self._relay.has_seen_gzip == self._served.way.gzip
        known = {self._shown(n) for n in range(1, self._published + 1)}
        outcome.strays = sorted({repr(one) for one in self._seen() if one not in known})
        return outcome

    def _may_be_refused(self):
        """Return whether it reconnects, and still listens; it need not be tried on all ways."""
        outcome = self._outcome
        reconnects = outcome.cut == "reconnects" and outcome.end != "stops without an id"
        return self._served.way.is_first and reconnects and not outcome.status

    async def _event_at_once(self):
        await self._publish()
        if self._outcome.prompt:
            self._outcome.prompt = await self._until(
                lambda: all(self._counts()), PROMPT_SECONDS
            )

    async def _after_cut(self):
        begin = len(self._lines)
        self._relay.gate.clear()
        self._relay.cut()
        for _ in range(2):
            await self._publish()
        self._relay.gate.set()
        return await self._resumed("cut", begin)

    async def _after_end(self):
        begin = len(self._lines)
        self._relay.gate.clear()
        before = self._relay.asked
        await self._post("/disconnect", channel=self.name)
        # It has seen the end if it says so, or asks anew.
        await self._until(
            lambda: self.reports(begin) or self._relay.asked > before, PROMPT_SECONDS
        )
        await self._publish()
        self._relay.gate.set()
        return await self._resumed("end", begin)

    async def _after_status(self):
        begin = len(self._lines)
        self._relay.gate.clear()
        self._relay.refusal = _REFUSAL
        self._relay.cut()
        await self._publish()
        before = self._relay.received
        self._relay.gate.set()
        # Another one once it listens again: when that is there, the first will not come.
        await self._until(
            lambda: self._relay.received > before or self._has_given_up(begin),
            RECONNECT_SECONDS,
        )
        await self._publish()
        return await self._resumed("status", begin)

    async def _resumed(self, what, begin):
        """Wait for what was published meanwhile; start the client again if it has stopped."""
        last = self._shown(self._published)
        await self._until(
            lambda: last in self._seen() or self._has_given_up(begin), RECONNECT_SECONDS
        )
        reports = self.reports(begin)
        self._outcome.reports[what] = reports
        how = "reconnects"
        if "closed" in reports:
            return "closed"
        if self._has_given_up(begin):
            if self._last_id is None:
                return "stops without an id"
            how = "stops"
            await self._start_again(last)
        counts = self._counts()
        if (missed := counts.count(0) - self._missed) > 0:
            self._missed += missed
            how += f", misses {missed}"
        if any(count > 1 for count in counts):
            how += ", repeats events"
        return how

    async def _start_again(self, last):
        """
        Start a client that has stopped, after its last id, until it has the last event.

        Three times at most: Node sends its request on the connection that it has kept, which
        the server may be closing. The loop of the documentation would try again as well.
        """
        for _ in range(3):
            begin = len(self._lines)
            self.start()
            await self._until(
                lambda begin=begin: last in self._seen() or self._has_given_up(begin),
                RECONNECT_SECONDS,
            )
            if last in self._seen():
                return

    def _heard(self, what):
        if "data" in what:
            self._last_id = what["id"] or self._last_id
            if what["event"] == "heliograph.open":
                return
        self._lines.append(what)
        self._changed.set()

    def _shown(self, n):
        """What the client hands on of the nth event."""
        return _SHAPES["text"][1].format(n=n) if self._client.shape == "text" else str(n)

    def _seen(self):
        return [line["data"] for line in self._lines if "data" in line]

    def _counts(self):
        """How often each event was handed on."""
        seen = self._seen()
        return [seen.count(self._shown(n)) for n in range(1, self._published + 1)]

    def reports(self, begin=0):
        """What the client has reported, each once."""
        lines = [line for line in self._lines[begin:] if "data" not in line]
        return list(dict.fromkeys(line.get("says") or line["stopped"] for line in lines))

    def _has_given_up(self, begin):
        lines = self._lines[begin:]
        return any("stopped" in line or line.get("says") == "closed" for line in lines)

    async def _until(self, condition, seconds):
        """Wait for a condition on what was heard; return whether it holds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        return condition()

    async def _publish(self):
        self._published += 1
        kind, data = _SHAPES[self._client.shape]
        typed = {"type": kind} if kind else {}
        content = data.format(n=self._published).encode()
        await self._post("/send", content, channel=self.name, **typed)

    async def _post(self, path, content=b"", **query):
        url = f"http://127.0.0.1:{self._served.server.port}{path}"
        response = await self._http.post(url, params=query, content=content)
        response.raise_for_status()
