"""The messages of a response, as an ASGI server takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..faces import log_refusal
from ..wire.heads import OF_A_BODY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..faces import Refusal
    from ..servers.asgi_types import Message, Send

__all__ = ["body", "refuse", "start", "without_body"]


def start(status: int, headers: Iterable[tuple[str, str]]) -> Message:
    """
    Return the message with the head of a response.

    Args:
        status: The status code.
        headers: Names and values.
    """
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": encoded}


def without_body(head: Message) -> Message:
    """
    Return the head of a response without a body, which tells that there is no stream.

    Args:
        head: The message with the head of the stream.
    """
    headers = [
        field for field in head["headers"] if field[0].decode("latin-1") not in OF_A_BODY
    ]
    return {**head, "status": 204, "headers": headers}


def body(data: bytes, *, more: bool) -> Message:
    """
    Return the message with a part of a response's body.

    Args:
        data: The bytes of the part.
        more: Whether other parts follow.
    """
    return {"type": "http.response.body", "body": data, "more_body": more}


async def refuse(send: Send, refusal: Refusal) -> None:
    """
    Send the whole response to a client that gets no stream.

    Args:
        send: The server's.
        refusal: The response.
    """
    log_refusal(refusal)
    await send(start(refusal.status, refusal.all_headers))
    await send(body(refusal.body, more=False))
