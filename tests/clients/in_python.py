"""
The clients that are written in Python, and curl.

Reads commands, lines of JSON, from its standard input: ``{"of", "client", "url",
"last_event_id", "gzip"}``. Each starts a client in a thread of its own. Writes what they see,
as lines of JSON with the ``of`` of the command: ``{"event", "data", "id"}`` for what a client
dispatches, ``{"says"}`` for what it reports and ``{"stopped"}`` when it has come to its end.

A client without a parser of its own (``requests``, ``httpx``, ``aiohttp``, ``urllib``, curl)
hands on bytes or lines. The package's parser reads them: it holds nothing back.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import timedelta

import aiohttp
import aiohttp_sse_client.client
import httpx
import httpx_sse
import requests
import sseclient

from heliograph import EventStreamParser
from heliograph.client import AsyncEventSource, EventSource

_lock = threading.Lock()

# The limit of a client that does not try again, also for connecting. That includes the TLS
# handshake, for which the five seconds of the documentation are short while all begin at once.
_SECONDS = 45


def say(of, **what):
    """Write a line."""
    with _lock:
        print(json.dumps({"of": of, **what}), flush=True)


class Reader:
    """Hands bytes of a stream to a parser, and writes what it dispatches."""

    def __init__(self, of):
        self._of = of
        self._parser = EventStreamParser()

    def feed(self, data):
        for event in self._parser.feed(data):
            say(self._of, event=event.type, data=event.data, id=event.id)


def _headers(last_event_id, gzip):
    """The headers of a request, for a client that asks for no coding by itself."""
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    headers["Accept-Encoding"] = "gzip" if gzip else "identity"
    return headers


def requests_lines(of, url, headers):
    reader = Reader(of)
    with requests.get(url, stream=True, timeout=_SECONDS, headers=headers) as response:
        for line in response.iter_lines():
            reader.feed(line + b"\n")


def requests_content(of, url, headers):
    reader = Reader(of)
    with requests.get(url, stream=True, timeout=_SECONDS, headers=headers) as response:
        for chunk in response.iter_content(chunk_size=None):
            reader.feed(chunk)


def follow(url, show, failed=print):
    """Call a function with each event of a stream, until the program ends."""
    last_event_id = ""
    while True:
        parser = EventStreamParser(last_event_id=last_event_id)
        headers = {"Accept": "text/event-stream", "Last-Event-ID": last_event_id}
        try:
            with requests.get(
                url, stream=True, timeout=(5, 45), headers=headers
            ) as response:
                response.raise_for_status()
                for chunk in response.iter_content(chunk_size=None):
                    for event in parser.feed(chunk):
                        show(event)
        except requests.RequestException as error:
            failed(error)
        last_event_id = parser.last_event_id
        time.sleep((parser.reconnection_time_ms or 2_000) / 1_000)


def requests_loop(of, url, headers):
    follow(
        url,
        show=lambda event: say(of, event=event.type, data=event.data, id=event.id),
        failed=lambda error: say(of, says=type(error).__name__),
    )


def sseclient_py(of, url, headers):
    with requests.get(url, stream=True, timeout=_SECONDS, headers=headers) as response:
        for event in sseclient.SSEClient(response).events():
            say(of, event=event.event, data=event.data, id=event.id)


def with_httpx(of, url, headers):
    reader = Reader(of)
    with httpx.stream("GET", url, timeout=_SECONDS, headers=headers) as response:
        for chunk in response.iter_bytes():
            reader.feed(chunk)


def with_httpx_sse(of, url, headers):
    with (
        httpx.Client(timeout=_SECONDS) as client,
        httpx_sse.connect_sse(client, "GET", url, headers=headers) as source,
    ):
        for event in source.iter_sse():
            say(of, event=event.event or "message", data=event.data, id=event.id)


def with_aiohttp(of, url, headers):
    async def read():
        reader = Reader(of)
        timeout = aiohttp.ClientTimeout(total=None, sock_read=45)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(url, headers=headers) as response,
        ):
            async for chunk in response.content.iter_any():
                reader.feed(chunk)

    asyncio.run(read())


def aiohttp_sse_client_source(of, url, headers):
    async def read():
        timeout = aiohttp.ClientTimeout(total=None, sock_read=45)
        async with aiohttp_sse_client.client.EventSource(
            url,
            timeout=timeout,
            reconnection_time=timedelta(milliseconds=200),
            headers=headers,
            on_error=lambda: say(of, says="on_error"),
        ) as source:
            async for event in source:
                say(
                    of,
                    event=event.type or "message",
                    data=event.data,
                    id=event.last_event_id,
                )

    asyncio.run(read())


def with_urllib(of, url, headers):
    reader = Reader(of)
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=45) as response:
        while chunk := response.read1(1 << 16):
            reader.feed(chunk)


def curl(of, url, headers):
    command = ["curl", "--silent", "--no-buffer"]
    if headers.pop("Accept-Encoding") == "gzip":
        command.append("--compressed")
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    reader = Reader(of)
    with subprocess.Popen([*command, url], stdout=subprocess.PIPE) as process:
        while chunk := process.stdout.read1(1 << 16):
            reader.feed(chunk)
    return f"exit status {process.returncode}"


def _options(of, headers):
    return {
        "last_event_id": headers.pop("Last-Event-ID", None),
        "headers": headers,
        "on_error": lambda error, _: say(of, says=type(error).__name__ if error else "end"),
    }


def _hand_on(of, event):
    say(of, event=event.type, data=event.data, id=event.last_event_id)


def heliograph_client(of, url, headers):
    for event in EventSource(url, **_options(of, headers)):
        _hand_on(of, event)


def heliograph_client_async(of, url, headers):
    async def read():
        async with AsyncEventSource(url, **_options(of, headers)) as source:
            async for event in source:
                _hand_on(of, event)

    asyncio.run(read())


CLIENTS = {
    "heliograph": heliograph_client,
    "heliograph-async": heliograph_client_async,
    "requests-lines": requests_lines,
    "requests-content": requests_content,
    "requests-loop": requests_loop,
    "sseclient-py": sseclient_py,
    "httpx": with_httpx,
    "httpx-sse": with_httpx_sse,
    "aiohttp": with_aiohttp,
    "aiohttp-sse-client": aiohttp_sse_client_source,
    "urllib": with_urllib,
    "curl": curl,
}


def run(of, client, url, last_event_id, gzip):
    """Run a client to its end, and write how that was."""
    try:
        how = CLIENTS[client](of, url, _headers(last_event_id, gzip))
    except Exception as error:  # noqa: BLE001 - what a client raises is the result
        how = type(error).__name__
    say(of, stopped=how or "end")


def main():
    for line in sys.stdin:
        command = json.loads(line)
        threading.Thread(target=run, kwargs=command, daemon=True).start()


if __name__ == "__main__":
    main()
