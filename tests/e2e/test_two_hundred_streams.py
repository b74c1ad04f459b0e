"""
Each server with two hundred streams: who is held, who is noticed, what it costs.

What is measured goes, as a line of JSON, to the file that ``HELIOGRAPH_MATRIX`` names: the
table in ``docs/servers.md`` is made of it.
"""

import json
import os
import time
from pathlib import Path

import pytest

from servers import FALLBACK, TAKEN_OVER, publish, serving_with, subscribers, until

STREAMS = 200

# Generators hold a thread each, and there have to be more.
THREADS = dict.fromkeys(
    ["gunicorn-gthread-fallback", "mod-wsgi", "granian-wsgi", "uvicorn-a2wsgi"], "210"
)


def seconds_until(condition):
    begin = time.monotonic()
    until(condition)
    return time.monotonic() - begin


def how_served(server, threads):
    """How the streams are, as far as it can be seen from outside."""
    tasks = json.loads(server.get("/statistics").text).get("tasks")
    if tasks is not None:
        return "a task each" if tasks > STREAMS else "taken over"
    # The server's own pool may still be growing. Of a request that is over there is a line in
    # the log.
    logged = server.log_text().count("GET /stream")
    is_over = logged == STREAMS + 1 and threads <= 10
    return "taken over" if is_over else "a thread each"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [*TAKEN_OVER, *FALLBACK])
def test_two_hundred_streams(name, tmp_path):
    """A plain route answers, events reach all, who leaves is freed, and the server stops."""
    with serving_with(name, tmp_path, threads=THREADS.get(name)) as server:
        with server.stream() as warm:
            warm.placed()
            publish(server, "warm")
            warm.wait(1)
        until(lambda: subscribers(server) == 0)
        threads, memory = server.threads(), server.memory()

        streams = [server.stream().placed() for _ in range(STREAMS)]
        assert subscribers(server) == STREAMS
        if name in TAKEN_OVER:
            # The lines of the last requests may have yet to be written.
            until(lambda: how_served(server, server.threads() - threads) == "taken over")
        how = how_served(server, held := server.threads() - threads)
        memory = server.memory() - memory
        for n in range(5):
            publish(server, str(n))
            assert server.get("/ping").text == "pong"
        for stream in streams:
            assert [event.data for event in stream.wait(5)] == list("01234")
        streams.pop().close()
        noticed = seconds_until(lambda: subscribers(server) < STREAMS)
        for stream in streams[10:]:
            stream.close()
        until(lambda: subscribers(server) == 10)
        begin = time.monotonic()
        server.stop()
        stopped = time.monotonic() - begin

        assert (how == "taken over") == (name in TAKEN_OVER)
        assert "Traceback" not in server.log_text()
    if path := os.environ.get("HELIOGRAPH_MATRIX"):
        measured = {
            "name": name, "how": how, "threads": held, "noticed": noticed, "stopped": stopped,
            "memory": memory / STREAMS,
        }  # fmt: skip
        with Path(path).open("a") as out:
            out.write(json.dumps(measured) + "\n")
