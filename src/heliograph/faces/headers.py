"""The headers of a stream."""

from __future__ import annotations

__all__ = ["STREAM_HEADERS"]

STREAM_HEADERS = (
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
"""Names and values of the headers of every stream."""
