"""Serving a client from the task of its request, where its connection is not taken over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..hub.sinks import TaskSink
from ..servers import daphne, hypercorn
from ..servers.asgi import Flow
from ..servers.stopping import stopping
from ..servers.uvicorn import has_lost_client, is_told_of_stop, told_of_stop
from .messages import body

if TYPE_CHECKING:
    from ..hub import Hub, Ticket

__all__ = ["serve"]

# How long a server may take to notice that a connection was aborted.
_ABORT_SECONDS = 1


async def serve(hub: Hub, ticket: Ticket, receive: Any, send: Any) -> None:
    """
    Serve a client until its stream ends, after its head has been sent.

    Args:
        hub: Has admitted it.
        ticket: Of the client.
        receive: As the application was given it.
        send: The same.
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
    flow = daphne.flow_of(receive) or hypercorn.flow_of() or Flow(receive)
    flow.tune(hub.config)
    if not is_told_of_stop(receive) and (is_stopping := stopping()) is not None:
        hub.finish_when(ticket, is_stopping)
    gone = asyncio.create_task(_until_gone(receive))
    gone.add_done_callback(lambda _: sink.abort())
    try:
        with told_of_stop(receive, lambda: hub.finish(ticket)):
            async with limit:
                is_served = True
                hub.attach(ticket, sink)
                while (data := await sink.pull()) is not None:
                    if has_lost_client(receive):
                        # uvicorn is told of it in the next turn of the loop.
                        await asyncio.sleep(0)
                        return
                    await send(body(data, more=True))
                    await flow.drained()
                flow.release()
                if not gone.done() and not has_lost_client(receive):
                    await send(body(b"", more=False))
    except TimeoutError as error:
        if error.errno is not None:
            return  # the kernel's: the client is not there any more
        if not limit.expired():
            raise
        is_served = False
        await flow.abort()
        # The server looks whether its client has left when this returns.
        await asyncio.wait({gone}, timeout=_ABORT_SECONDS)
    finally:
        is_served = False
        hub.release(ticket)
        gone.cancel()


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
