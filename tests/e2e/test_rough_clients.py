"""Clients that vanish and crawl in all ways at once: the others do not notice, nor does the log."""

import contextlib
import random
import socket
import struct
import threading
import time

import pytest

from servers import publish, serving_with, subscribers, until

# One of each way of serving.
SERVERS = [
    "gunicorn-gthread", "gunicorn-gevent", "uvicorn-uvloop", "gunicorn-gthread-fallback",
    "uvicorn-fallback", "uvicorn-a2wsgi", "gunicorn-asgi", "hypercorn", "daphne",
]  # fmt: skip
CLIENTS = 16
SECONDS = 2
COMPLAINTS = [
    "Traceback", "a task of the hub has failed", "was never retrieved", "is not known",
]  # fmt: skip


def visit(port, chance, ending, *, may_pipeline=True):
    """One client, which ends in one of the ways in which clients do."""
    with socket.socket() as client:
        client.settimeout(1)
        if reads_little := chance.random() < 0.5:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        version = chance.choice(["1.0", "1.1"])
        request = f"GET /stream?channel=a HTTP/{version}\r\nHost: test\r\n\r\n".encode()
        client.sendall(request)
        if may_pipeline and chance.randrange(4) == 0:
            client.sendall(request)
        for _ in range(chance.randrange(1 if reads_little else 30)):
            if ending.is_set():
                return
            client.recv(chance.choice([1, 100, 60_000]))
        # Long enough for some of those that read nothing to be given up.
        ending.wait(chance.choice([0, 0.01, 0.5, 2]) * chance.random())
        how = chance.randrange(3)
        if how == 0:
            client.shutdown(socket.SHUT_WR)
            ending.wait(chance.random() * 0.1)
        elif how == 1:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", SERVERS)
def test_rough_clients(tmp_path, name, monkeypatch, chance):
    """Who reads has every event in its order; of the others nothing is left."""
    monkeypatch.setenv("APP_SSE_MAX_LAG_BYTES", "100000")
    monkeypatch.setenv("APP_SSE_MAX_EVENT_BYTES", "70000")
    monkeypatch.setenv("APP_SSE_HEARTBEAT_SECONDS", "1")
    ending = threading.Event()
    published = 0
    # These wait for ever for a client that has sent another request and left.
    may_pipeline = name not in {"hypercorn", "uvicorn-a2wsgi"}

    def go_on_visiting(chance):
        while not ending.is_set():
            with contextlib.suppress(OSError):
                visit(server.port, chance, ending, may_pipeline=may_pipeline)

    with serving_with(name, tmp_path, threads="60") as server:
        with server.stream("/stream?channel=a") as reader:
            reader.placed()
            visitors = [
                threading.Thread(
                    target=go_on_visiting, args=[random.Random(chance.random())]
                )
                for _ in range(CLIENTS)
            ]
            for visitor in visitors:
                visitor.start()
            try:
                ends = time.monotonic() + SECONDS
                while time.monotonic() < ends:
                    published += 1
                    size = 60_000 if published % 3 else 10
                    publish(server, f"{published} {size * 'x'}", "a")
                    reader.wait(published)
            finally:
                ending.set()
                for visitor in visitors:
                    visitor.join()
            got = [int(event.data.split()[0]) for event in reader.events]
            assert got == [*range(1, published + 1)]
        until(lambda: subscribers(server) == 0)
        with server.stream() as last:
            last.placed()
            server.stop()
        log = server.log_text()
        for complaint in COMPLAINTS:
            assert complaint not in log
