"""What of a request the CORS protocol looks at."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CorsRequest"]


class CorsRequest(NamedTuple):
    """
    A request as the CORS protocol sees it. Functions among ``origins`` are given one.

    Text is as the client sent it, bytes decoded as Latin-1; a field that came several times
    is joined with commas.

    Attributes:
        method: The method, letter by letter.
        path: The decoded path.
        host: The ``Host`` field.
        origin: The ``Origin`` field; :obj:`None` if there is none.
        request_method: ``Access-Control-Request-Method``.
        request_headers: ``Access-Control-Request-Headers``.
        request_private_network: ``Access-Control-Request-Private-Network``.
    """

    method: str
    path: str = "/"
    host: str | None = None
    origin: str | None = None
    request_method: str | None = None
    request_headers: str | None = None
    request_private_network: str | None = None

    @property
    def is_preflight(self) -> bool:
        """
        Whether it asks for leave to send another.

        See Fetch, `CORS-preflight request
        <https://fetch.spec.whatwg.org/#cors-preflight-request>`_. An OPTIONS request
        without ``Access-Control-Request-Method`` is an ordinary one.
        """
        return (
            self.method == "OPTIONS"
            and self.origin is not None
            and self.request_method is not None
        )
