"""The headers of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..hub import Admission

__all__ = ["stream_headers"]

_OF_ALL = (
    # WHATWG HTML section 9.2.3 (#sse-processing-model): a browser fails the connection for
    # good if the type is another one. The charset is for people who open the URL in a tab:
    # section 9.2.6 decodes as UTF-8 whatever it says.
    ("Content-Type", "text/event-stream; charset=utf-8"),
    # RFC 9111 sections 5.2.2.5 and 5.2.2.6: no-transform keeps proxies from compressing the
    # stream, for which they would hold events back.
    ("Cache-Control", "no-store, no-transform"),
    # nginx buffers a response, its head included, until 4 KB have come.
    ("X-Accel-Buffering", "no"),
    # A cache that ignores no-store must not serve one client's coding to another.
    ("Vary", "Accept-Encoding"),
)


def stream_headers(admission: Admission) -> tuple[tuple[str, str], ...]:
    """
    Return names and values of the headers of a stream.

    Args:
        admission: The stream that the client may open.
    """
    encoding = admission.coding.content_encoding
    if encoding is None:
        return _OF_ALL
    return (*_OF_ALL, ("Content-Encoding", encoding))
