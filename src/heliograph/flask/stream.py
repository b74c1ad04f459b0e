"""
The Flask response that is a stream.

It becomes one only when the server calls it, after every hook of the application has
run: so cookies and the headers of ``after_request`` are in the head that is sent. How the
client is then served is in :mod:`heliograph.faces.wsgi`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response

from ..faces import Refusal, stream_headers
from ..faces.wsgi import serve_stream
from .state import ADVICE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from ..faces import Admission
    from ..hub import StreamHub

__all__ = ["EventStream"]

_CODING = "Content-Encoding"


class EventStream(Response):
    """
    A stream of events, or its head alone for HEAD.

    Args:
        hub: The hub that serves the stream.
        admission: The stream that the client may open.
        may_take_over: Whether the connection may be taken over from the server.
    """

    def __init__(
        self, hub: StreamHub, admission: Admission, *, may_take_over: bool
    ) -> None:
        # The coding is added when the server calls: a hook may exchange status and body.
        fields = stream_headers(admission)
        super().__init__(headers=[each for each in fields if each[0] != _CODING])
        self._hub = hub
        self._admission = admission
        self._may_take_over = may_take_over

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve the stream. See PEP 3333."""
        if self.status_code != 200:  # noqa: PLR2004 - OK
            return super().__call__(environ, start_response)
        # Hooks have seen no byte of the body. One that compresses responses, as
        # Flask-Compress does with types that are listed for it, has named a coding in which
        # the stream is not.
        self.headers.remove(_CODING)
        encoding = self._admission.coding.content_encoding
        if encoding is not None:
            self.headers.set(_CODING, encoding)
        # To HEAD with a length of 0, though GET has none (RFC 9110 section 8.6): without,
        # gevent and waitress would send the end of a body in chunks after the head.
        if environ["REQUEST_METHOD"] != "GET":
            return super().__call__(environ, start_response)
        body = serve_stream(
            self._hub,
            self._admission,
            environ,
            start_response,
            status=self.status,
            headers=self.get_wsgi_headers(environ),
            on_close=self.close,
            may_take_over=self._may_take_over,
            advice=ADVICE,
        )
        if not isinstance(body, Refusal):
            return body
        self.status_code = body.status
        # Headers that hooks of the application have added stay, except for what is true of
        # the stream's body only.
        self.headers.remove(_CODING)
        for name, value in body.all_headers:
            if name == "Vary":
                self.headers.add(name, value)
            else:
                self.headers.set(name, value)
        self.set_data(body.body)
        return super().__call__(environ, start_response)
