"""When requests arrive, before anything of an application looks at them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..faces import ARRIVED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Arrivals"]


class Arrivals:
    """
    WSGI middleware that notes when requests arrive: before sessions, hooks and authorizers.

    Args:
        wsgi_app: The application's.
    """

    def __init__(self, wsgi_app: WSGIApplication) -> None:
        self._wsgi_app = wsgi_app

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve a request. See PEP 3333."""
        # Middleware further out may have noted it before.
        environ.setdefault(ARRIVED, time.monotonic_ns())
        return self._wsgi_app(environ, start_response)
