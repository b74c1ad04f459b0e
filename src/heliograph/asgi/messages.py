"""The messages of a response, as an ASGI server takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..faces import STREAM_HEADERS, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..servers.asgi_types import Message, Send

__all__ = ["body", "refuse", "start"]


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]


_OF_STREAMS = _encoded(STREAM_HEADERS)


def start(
    status: int = 200, headers: Sequence[tuple[bytes, bytes]] = _OF_STREAMS
) -> Message:
    """
    Return the message with the head of a response.

    Args:
        status: The status code.
        headers: Names in lower case, and values; those of a stream by default.
    """
    return {"type": "http.response.start", "status": status, "headers": [*headers]}


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
    await send(start(refusal.status, _encoded(refusal.all_headers)))
    await send(body(refusal.body, more=False))
