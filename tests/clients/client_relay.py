"""A relay between a client and a server that can cut the connection."""

import asyncio


class Relay:
    """
    Stands between a client and a server, byte for byte.

    :meth:`cut` is for the client what the end of a process is: a FIN, without what ends a
    response. While ``gate`` is closed connections are accepted and wait.

    Args:
        port: The port of the server.
    """

    def __init__(self, port):
        self._to = port
        self._writers = {}
        self.gate = asyncio.Event()
        self.gate.set()
        # How often the server has sent something, how often the client has sent something or
        # connected, and who is told of both.
        self.received = 0
        self.asked = 0
        self.on_change = lambda: None
        # Whether anything was compressed: it is seen where there is no TLS.
        self.has_seen_gzip = False
        # What the next connection is answered, instead of the server's answer.
        self.refusal = None

    async def __aenter__(self):
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._listener.close()
        self.cut()

    def cut(self):
        """Cut all connections."""
        for writers in self._writers.values():
            for writer in writers:
                writer.transport.abort()

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self._writers[task] = [writer]
        self._has_asked()
        try:
            await self.gate.wait()
            if self.refusal is not None:
                await reader.readuntil(b"\r\n\r\n")
                refusal, self.refusal = self.refusal, None
                writer.write(refusal)
                await writer.drain()
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._to)
            self._writers[task].append(up_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, up_writer, self._has_asked))
                group.create_task(self._pump(up_reader, writer, self._has_received))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for one in self._writers.pop(task):
                one.close()

    async def _pump(self, reader, writer, passed_on):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
            passed_on(data)
        writer.close()

    def _has_asked(self, _=b""):
        self.asked += 1
        self.on_change()

    def _has_received(self, data):
        self.received += 1
        self.has_seen_gzip |= b"content-encoding: gzip" in data.lower()
        self.on_change()
