"""
Streams for programs that use requests, on servers whose connections are taken over.

It reads a response that is neither chunked nor has a length to its end before it returns
anything, and then cannot tell an end from a cut.
"""

import os
import queue
import signal
import threading

import pytest
import requests
import sseclient

from heliograph import Event, EventStreamParser
from servers import TAKEN_OVER, publish, serving

SERVERS = ["gunicorn-gthread", "werkzeug"]


def lines(response):
    parser = EventStreamParser()
    for line in response.iter_lines():
        yield from parser.feed(line + b"\n")


def content(response):
    parser = EventStreamParser()
    for chunk in response.iter_content(chunk_size=None):
        yield from parser.feed(chunk)


def events(response):
    for event in sseclient.SSEClient(response).events():
        yield Event(event.data, type=event.event)


READERS = {"iter_lines": lines, "iter_content": content, "sseclient-py": events}


class Reading(threading.Thread):
    """Reads a stream. ``got`` has the type and data of each event, and at last how it ended."""

    def __init__(self, server, reader, channel):
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{server.port}/stream?channel={channel}"
        self.reader = reader
        self.got = queue.Queue()
        self.start()
        assert self.next()[0] == "heliograph.open"

    def run(self):
        try:
            with requests.get(self.url, stream=True, timeout=20) as response:
                for event in self.reader(response):
                    self.got.put((event.type, event.data))
        except requests.RequestException as error:
            self.got.put(type(error))
        else:
            self.got.put("ended")

    def next(self):
        return self.got.get(timeout=20)


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with serving(TAKEN_OVER[request.param], folder) as server:
        yield server


@pytest.mark.parametrize("name", READERS)
def test_each_event_at_once(server, name):
    """Each of them is there before the next one is published; then the stream ends."""
    reading = Reading(server, READERS[name], name)
    for n in range(5):
        publish(server, str(n), name)
        assert reading.next() == ("message", str(n))

    server.get(f"/disconnect?channel={name}", "POST")

    assert reading.next() == "ended"


@pytest.mark.parametrize("server_name", SERVERS)
def test_a_cut(tmp_path, server_name):
    """It is an error, and no end: the process that had the connection was killed."""
    with serving(TAKEN_OVER[server_name], tmp_path) as server:
        readings = [Reading(server, reader, "sse") for reader in READERS.values()]
        publish(server, "x")
        for reading in readings:
            assert reading.next() == ("message", "x")

        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)

        for reading in readings:
            assert reading.next() is requests.exceptions.ChunkedEncodingError
