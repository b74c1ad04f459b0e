"""The messages of a response, as an ASGI server takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from ..faces import log_refusal
from ..wire.heads import OF_A_BODY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..faces import Refusal
    from ..servers.asgi_types import Message, Send

__all__ = ["body", "encoded", "refuse", "start", "start_with", "without_body"]

_Fields: TypeAlias = list[tuple[bytes, bytes]]


def start(status: int, headers: Iterable[tuple[str, str]]) -> Message:
    """
    Return the message with the head of a response.

    Args:
        status: The status code.
        headers: Names and values.
    """
    return start_with(status, encoded(headers))


def start_with(status: int, fields: _Fields) -> Message:
    """
    Return the message with a head whose fields are encoded.

    Args:
        status: The status code.
        fields: Names in lower case, and values.
    """
    return {"type": "http.response.start", "status": status, "headers": fields}


def encoded(headers: Iterable[tuple[str, str]]) -> _Fields:
    """
    Return the fields of a head as ASGI has them.

    Args:
        headers: Names and values.
    """
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
    ]


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


async def refuse(send: Send, refusal: Refusal, fields: _Fields | None = None) -> None:
    """
    Send the whole response to a client that gets no stream.

    Args:
        send: The server's.
        refusal: The response.
        fields: The fields of the stream that it would have got, with those that the
            application has added; :obj:`None` for none.
    """
    log_refusal(refusal)
    own = encoded(refusal.all_headers)
    replaced = OF_A_BODY | {name.decode("latin-1") for name, _ in own} - {"vary"}
    kept = [field for field in fields or () if field[0].decode("latin-1") not in replaced]
    await send(start_with(refusal.status, [*own, *kept]))
    await send(body(refusal.body, more=False))
