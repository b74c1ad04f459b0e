"""Clients that ask for a stream before they have read what came before: nobody else is hurt."""

import contextlib
import socket
import struct
import threading

import pytest

from servers import FALLBACK, TAKEN_OVER, serving_with, subscribers, until

STREAM = b"GET /stream?channel=a HTTP/1.1\r\nHost: test\r\n\r\n"
BIG = b"GET /big HTTP/1.1\r\nHost: test\r\n\r\n"
PING = b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n"

# What a client sends in one packet.
PACKETS = [
    pytest.param(BIG + STREAM, id="behind-a-big-page"),
    pytest.param(PING + STREAM, id="behind-a-small-page"),
    pytest.param(PING * 200 + STREAM, id="behind-many-pages"),
    pytest.param(STREAM + STREAM + PING, id="twice"),
]

# More than the server has threads.
CLIENTS = 8


def attack(port, packet, *, resets):
    """Send a packet, read nothing, leave."""
    with socket.socket() as client:
        client.settimeout(5)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(packet)
        if resets:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            # Until the server has had time to begin with the last request.
            with contextlib.suppress(TimeoutError):
                client.settimeout(0.2)
                client.recv(1)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [*TAKEN_OVER, *FALLBACK])
def test_clients_that_pipeline_and_leave(tmp_path, name):
    """All threads answer, and a stream gets its event, however they leave."""
    with serving_with(name, tmp_path, threads="4") as server:
        for packet in PACKETS:
            for resets in (True, False):
                clients = [
                    threading.Thread(
                        target=attack,
                        args=[server.port, *packet.values],
                        kwargs={"resets": resets},
                    )
                    for _ in range(CLIENTS)
                ]
                for client in clients:
                    client.start()
                for client in clients:
                    client.join()
                assert server.get("/ping").text == "pong"
        until(lambda: subscribers(server) == 0)
        # Servers log that their clients have left; nothing of ours fails.
        assert "/heliograph/" not in server.log_text()


def read_all(port, packet):
    """Give all that comes until the connection ends, or has been silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
        client.sendall(packet)
        received = b""
        with contextlib.suppress(TimeoutError):
            while data := client.recv(1 << 16):
                received += data
        return received


@pytest.mark.parametrize("name", TAKEN_OVER)
def test_what_comes_before_a_stream_is_whole(tmp_path, name):
    """The response to the first request, then a stream, or a refusal that says why."""
    with serving_with(name, tmp_path) as server:
        for before, body in ((BIG, b"x" * 2_000_000), (PING, b"pong")):
            received = read_all(server.port, before + STREAM)

            first, found, rest = received.partition(body)
            assert found, received[:500]
            assert first.startswith(b"HTTP/1.1 200")
            if rest.startswith(b"HTTP/1.1 200"):
                assert b"text/event-stream" in rest
                assert b"id: " in rest
            elif rest:
                # Otherwise the server has closed the connection after the first.
                assert rest.startswith(b"HTTP/1.1 503 ")
                assert b"before the previous response" in rest
