"""uvicorn on the loop of a test, and clients of what it serves."""

import asyncio
import contextlib
import socket

import uvicorn

from streams import Client, connections, until


@contextlib.asynccontextmanager
async def serving(app, *, lifespan="on", **options):
    """A uvicorn on this loop, so that a test can publish without asking it."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=5,
        lifespan=lifespan,
        **options,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server._serve([listening]))
        await until(lambda: server.started or task.done())
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await task


async def request(
    port, query="", *headers, method="GET", version="1.0", read_buffer=None, body=b""
):
    """
    Request a stream, and return its client, with the head in ``raw``.

    Args:
        port: The port of a server.
        query: What follows the path, with its question mark.
        headers: Lines of the request's head.
        method: The method of the request.
        version: The version of HTTP.
        read_buffer: The bytes that the kernel keeps for a client that does not read;
            :obj:`None` for its default, which grows to megabytes.
        body: What is sent after the head; if the request expects 100, not before that.
    """
    connection = socket.socket()
    if read_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_buffer)
    connection.setblocking(False)
    connections.append(connection)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    head = [f"{method} /{query} HTTP/{version}", "Host: test", *headers, "", ""]
    await loop.sock_sendall(connection, "\r\n".join(head).encode())
    if "Expect: 100-continue" not in headers:
        await loop.sock_sendall(connection, body)
    client = await _answered(Client(connection))
    if client.raw == b"HTTP/1.1 100 Continue\r\n\r\n":
        await loop.sock_sendall(connection, body)
        client = await _answered(Client(connection))
    client.status = int(client.raw.split()[1])
    return client


async def _answered(client):
    while b"\r\n\r\n" not in client.raw:
        assert await client.read(), client.raw
    return client


async def until_left(streams, count):
    """Wait until no more than so many clients are left."""
    while (await streams.statistics()).subscribers > count:
        await asyncio.sleep(0.01)
