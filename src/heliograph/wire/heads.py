"""The head of an HTTP/1 response, as bytes."""

from __future__ import annotations

__all__ = ["NO_CONTENT", "OF_A_BODY", "no_content"]

NO_CONTENT = "204 No Content"
"""The status at which an ``EventSource`` does not reconnect (WHATWG HTML section 9.2.3)."""

OF_A_BODY = frozenset(
    {"content-encoding", "content-length", "content-type", "transfer-encoding"}
)
"""
Fields of a head that describe a body, in lower case.

A response without one has no use for them (RFC 9110 sections 8.3, 8.4 and 8.6), or must not
have them (RFC 9112 section 6.1).
"""


def no_content(head: bytes) -> bytes:
    """
    Return a head with the status 204 instead of another one.

    See RFC 9110 section 15.3.5. The fields of cookies, of CORS and of caches stay.

    Args:
        head: A status line and fields, each with its line end, and an empty line.
    """
    status, *fields = head.split(b"\r\n")
    version = status.partition(b" ")[0].decode("latin-1")
    kept = [
        field
        for field in fields
        if field.partition(b":")[0].decode("latin-1").lower() not in OF_A_BODY
    ]
    return b"\r\n".join([f"{version} {NO_CONTENT}".encode("latin-1"), *kept])
