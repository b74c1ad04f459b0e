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
PACKETS = [BIG + STREAM, PING + STREAM, PING * 200 + STREAM, STREAM + STREAM + PING]

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
def test_clients_that_pipeline(tmp_path, name):
    """
    All threads answer, and a stream gets its event, however they leave.

    Who reads is given the whole response to its first request, and then a stream, or a
    refusal that says why.
    """
    with serving_with(name, tmp_path, threads="4") as server:
        for packet in PACKETS:
            for resets in (True, False):
                attack_together(server.port, packet, resets=resets)
                assert server.get("/ping").text == "pong"
        until(lambda: subscribers(server) == 0)
        if name in TAKEN_OVER:
            check_what_comes_first(server.port, BIG, b"x" * 2_000_000)
            check_what_comes_first(server.port, PING, b"pong")
        # Servers log that their clients have left; nothing of ours fails. Warnings name a
        # page of the documentation, which is among our files.
        ours = [line for line in server.log_text().splitlines() if "/heliograph/" in line]
        assert [line for line in ours if "/heliograph/docs/" not in line] == []


def attack_together(port, packet, *, resets):
    """Let more clients than there are threads send a packet, and leave."""
    clients = [
        threading.Thread(target=attack, args=[port, packet], kwargs={"resets": resets})
        for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def check_what_comes_first(port, request, body):
    """Look at all that a client is given that asks for a page and a stream in one packet."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(request + STREAM)
        while data := client.recv(1 << 20):
            received += data
            _, found, rest = received.partition(body)
            if found and (b"id: " in rest or b"previous response" in rest):
                break
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
