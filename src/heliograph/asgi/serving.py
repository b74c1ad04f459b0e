"""
Serving a client that the hub has admitted.

Where the server is known its connection is taken over, so the stream costs no task.
Elsewhere the task of the request sends what the hub has for the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..servers.asgi import connection_of
from .messages import body, without_body
from .task import serve

if TYPE_CHECKING:
    from ..hub import Hub, Ticket
    from ..servers.asgi_types import Message, Receive, Send
    from ..wire.coding import Coding

__all__ = ["serve_client"]


async def serve_client(
    hub: Hub,
    ticket: Ticket,
    receive: Receive,
    send: Send,
    *,
    head: Message,
    coding: Coding,
    may_take_over: bool,
) -> None:
    """
    Send a client the head of its stream, and its stream.

    Returns when the connection was taken over, else when the stream has ended. If it is
    cancelled before, the client leaves.

    Args:
        hub: The hub that has admitted the client.
        ticket: What the hub's ``admit`` returned.
        receive: The server's.
        send: The server's.
        head: The message with the head of the response.
        coding: The content coding of the stream, as the head says.
        may_take_over: Whether the connection may be taken over from the server.
    """
    sink = None
    try:
        if not await hub.locate(ticket):
            await send(without_body(head))
            await send(body(b"", more=False))
            hub.release(ticket)
            return
        connection = connection_of(receive, send)
        if may_take_over:
            first = hub.greeting(ticket, coding)
            sink = await connection.take_over(hub.connections, head, first)
        else:
            await send(head)
        if sink is None:
            await serve(hub, ticket, connection, receive, send)
        else:
            hub.attach(ticket, sink)
    except BaseException as error:
        hub.release(ticket)
        if sink is not None:
            sink.abort()
        # With a number it is the kernel's, of a client that is not there any more.
        if not isinstance(error, TimeoutError) or error.errno is None:
            raise
