"""What is sent to an ASGI server: the messages of a response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["answer", "body", "refuse", "start"]

_OF_STREAMS = [
    # WHATWG HTML section 9.2.7; the others keep caches and proxies from holding events
    # back: nginx sends nothing on, not even the head, until 4 KB have come.
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"Accept-Encoding"),
]


def start(
    status: int = 200, headers: Sequence[tuple[bytes, bytes]] = _OF_STREAMS
) -> dict[str, Any]:
    """
    Give the head of a response.

    Args:
        status: Its code.
        headers: Names in lower case, and values; those of a stream unless told otherwise.
    """
    return {"type": "http.response.start", "status": status, "headers": [*headers]}


def body(data: bytes, *, more: bool) -> dict[str, Any]:
    """
    Give a part of a response's body.

    Args:
        data: Any bytes.
        more: Whether others follow.
    """
    return {"type": "http.response.body", "body": data, "more_body": more}


async def refuse(
    send: Any, status: int, error: Exception, retry_after_seconds: int
) -> None:
    """
    Send a client away for a while.

    Args:
        send: As the application was given it.
        status: 429 or 503.
        error: Says why.
        retry_after_seconds: When it may come again (RFC 9110 section 10.2.3).
    """
    retry_after = (b"retry-after", b"%d" % retry_after_seconds)
    await answer(send, status, str(error), retry_after)


async def answer(send: Any, status: int, text: str, *more: tuple[bytes, bytes]) -> None:
    """
    Send a whole response.

    Args:
        send: As the application was given it.
        status: Its code.
        text: One line, without its end.
        more: Headers besides those of a text.
    """
    line = f"{text}\n".encode()
    length = (b"content-length", b"%d" % len(line))
    headers = [(b"content-type", b"text/plain; charset=utf-8"), length, *more]
    await send(start(status, headers))
    await send(body(line, more=False))
