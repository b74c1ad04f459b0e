"""
A hub on bare sockets, for programs that measure it without an HTTP server.

It runs in a process of its own, which is told by a pipe when to go on.
"""

from __future__ import annotations

import asyncio
import socket
import time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


def event_data(number, padding="x" * 40):
    """An event's data with the mark of load.py."""
    return f'{{"m":"~n{number:012}t{time.monotonic_ns() % 10**16:016}~","p":"{padding}"}}'


async def accept_all(port_pipe, on_connection):
    """Accept connections and read their request heads."""
    loop = asyncio.get_running_loop()
    server = socket.create_server(("127.0.0.1", 0), backlog=4096)
    server.setblocking(False)
    port_pipe.send(server.getsockname()[1])
    while True:
        connection, _ = await loop.sock_accept(server)
        connection.setblocking(False)
        await loop.sock_recv(connection, 4096)
        on_connection(connection)


async def wait_for(pipe, word):
    while not pipe.poll():
        await asyncio.sleep(0.01)
    assert pipe.recv() == word
