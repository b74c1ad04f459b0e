"""
The Flask response that is a stream.

It becomes one only when the server calls it, after every hook of the application has
run: so cookies and the headers of ``after_request`` are in the head that is sent. How the
client is then served is in ``servers/wsgi_response.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response

from ..servers.wsgi_response import Refusal, StreamRequest, serve_stream

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from ..hub import HubThread

__all__ = ["EventStream"]


class EventStream(Response):
    """
    A stream of events, or its head alone for HEAD.

    WHATWG HTML section 9.2.7 asks servers for ``text/event-stream``; the other headers
    keep caches and proxies from holding events back.

    Args:
        hub: Serves it.
        request: What the client was authorised to get.
    """

    default_mimetype = "text/event-stream"

    def __init__(self, hub: HubThread, request: StreamRequest) -> None:
        super().__init__()
        self._hub = hub
        self._request = request
        self.headers["Cache-Control"] = "no-store, no-transform"
        # nginx sends nothing on, not even the head, until 4 KB have come.
        self.headers["X-Accel-Buffering"] = "no"
        self.vary.add("Accept-Encoding")

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve the stream. See PEP 3333."""
        # To HEAD with a length of 0, though GET has none (RFC 9110 section 8.6): without,
        # gevent and waitress would send the end of a body in chunks after the head.
        if environ["REQUEST_METHOD"] == "GET" and self.status_code == 200:  # noqa: PLR2004 - OK
            body = serve_stream(
                self._hub,
                self._request,
                environ,
                start_response,
                status=self.status,
                headers=self.get_wsgi_headers(environ),
                on_close=self.close,
            )
            if not isinstance(body, Refusal):
                return body
            self._refuse(body)
        return super().__call__(environ, start_response)

    def _refuse(self, refusal: Refusal) -> None:
        self.status_code = refusal.status
        self.mimetype = "text/plain"
        self.retry_after = refusal.retry_after_seconds
        self.set_data(f"{refusal.text}\n")
