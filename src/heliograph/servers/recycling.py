"""After how many requests the server replaces this process, where that can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import gunicorn, uvicorn_stop, uwsgi
from .signals import handler_of_stop

if TYPE_CHECKING:
    from .interface import RequestLimit

__all__ = ["recycled_after", "request_limit"]


def request_limit() -> RequestLimit | None:
    """
    Return the limit of requests of the server in this process.

    Returns:
        :obj:`None` if there is none, or if the server is not gunicorn, uvicorn or uWSGI.
    """
    server = handler_of_stop()
    return (
        uvicorn_stop.request_limit(server)
        or gunicorn.request_limit(server)
        or uwsgi.request_limit()
    )


def recycled_after() -> int | None:
    """
    Return after how many requests this process is replaced, if it ends for that reason.

    Returns:
        :obj:`None` if the limit is not reached, or if nothing is known of one.
    """
    limit = request_limit()
    return limit.requests if limit is not None and limit.is_reached else None
