"""Serving a client from the task of its request, where its connection is not taken over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..hub.sinks import TaskSink
from .messages import body

if TYPE_CHECKING:
    from ..hub import Hub, Ticket
    from ..servers.asgi_types import Receive, Send
    from ..servers.interface import AsgiConnection

__all__ = ["serve"]

# How long a server may take to notice that a connection was aborted.
_ABORT_SECONDS = 1


async def serve(
    hub: Hub,
    ticket: Ticket,
    connection: AsgiConnection,
    receive: Receive,
    send: Send,
) -> None:
    """
    Serve a client until its stream ends, after its head has been sent.

    Args:
        hub: Has admitted it.
        ticket: From :meth:`~heliograph.hub.Hub.admit`.
        connection: The client's.
        receive: As the application got it.
        send: As the application got it.
    """
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(None)
    is_served = False

    def give_up() -> None:
        # Whatever is being waited for. A limit that is over, or about to be, cannot be
        # changed: the client may leave when it has just been given up.
        if is_served and not limit.expired():
            limit.reschedule(loop.time())

    sink = TaskSink(on_aborted=give_up)
    connection.tune(hub.config)
    if (is_stopping := connection.is_stopping) is not None:
        hub.finish_when(ticket, is_stopping)
    gone = asyncio.create_task(_until_gone(receive))
    gone.add_done_callback(lambda _: sink.abort())
    try:
        with connection.told_of_stop(lambda: hub.finish(ticket)):
            async with limit:
                is_served = True
                hub.attach(ticket, sink)
                while (data := await sink.pull()) is not None:
                    if connection.has_lost_client():
                        # uvicorn is told of it in the next turn of the loop.
                        await asyncio.sleep(0)
                        return
                    await send(body(data, more=True))
                    await connection.drained()
                connection.release()
                if not gone.done() and not connection.has_lost_client():
                    await send(body(b"", more=False))
    except TimeoutError as error:
        if error.errno is not None:
            return  # the kernel's: the client is not there any more
        if not limit.expired():
            raise
        is_served = False
        await connection.abort()
        # The server looks whether its client has left when this returns.
        await asyncio.wait({gone}, timeout=_ABORT_SECONDS)
    finally:
        is_served = False
        hub.release(ticket)
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
