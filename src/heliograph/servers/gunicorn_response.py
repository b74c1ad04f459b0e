"""
A response of gunicorn's that is written into memory, so that its client can be taken over.

What :mod:`.swap` does with descriptors for any server, this does with an attribute of
gunicorn's: its response writes to ``sock``. So the connection is not touched before it is
known that it will be taken, and a stream costs a worker ten system calls less, at each of
which other threads take the interpreter from it.

The worker closes its connection after the response, and shuts it down before that, which
would act on the client's. So the number of its descriptor is then that of a socket that was
never connected: one for the process.
"""

from __future__ import annotations

import contextlib
import os
import socket
from functools import cache
from typing import TYPE_CHECKING, Any

from ..hub.sinks import duplicate
from .swap import head_of

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from ..wire.framing import Framing

__all__ = ["RecordedResponse", "response_of"]


def response_of(start_response: StartResponse, connection: socket.socket) -> Any:
    """
    Return gunicorn's response to a request.

    Args:
        start_response: A method of it, unless middleware has replaced that.
        connection: What it is expected to write to.

    Returns:
        :obj:`None` if it is not known, has begun, or looks different.
    """
    response = getattr(start_response, "__self__", None)
    is_as_known = (
        type(response).__module__ == "gunicorn.http.wsgi"
        and getattr(response, "sock", None) is connection
        and getattr(response, "headers_sent", None) is False
        and callable(getattr(response, "force_close", None))
    )
    return response if is_as_known else None


class RecordedResponse:
    """
    A response that is written into memory. See :class:`.Takeover`.

    Args:
        response: From :func:`response_of`.
        connection: What it has written to.
    """

    def __init__(self, response: Any, connection: socket.socket) -> None:
        self._response = response
        self._connection = connection
        self._recorder = response.sock = _Recorder()

    def written_head(self, comment: bytes, framing: Framing) -> bytes | None:
        """See :class:`.Takeover`."""
        return head_of(self._recorder.written, comment, framing)[0]

    def connection(self) -> socket.socket | None:
        """See :class:`.Takeover`."""
        number = self._connection.fileno()
        if number < 0:
            return None
        taken = duplicate(number)
        try:
            # As in swap().
            if self._connection.fileno() != number:
                taken.close()
                return None
            os.dup2(_never_connected(os.getpid()).fileno(), number, inheritable=False)
        except BaseException:
            taken.close()
            raise
        # The worker would have its poller wait for another request on it, and a thread find
        # its end: as much work as the stream was.
        self._response.force_close()
        return taken

    def give_back(self) -> None:
        """See :class:`.Takeover`. It is still the server's: only the response was not."""
        self._response.sock = self._connection
        # An error is of a client that has left, or of a connection that the server has
        # closed: the server will see it, too.
        with contextlib.suppress(OSError):
            self._connection.sendall(self._recorder.written)

    def close(self) -> None:
        """See :class:`.Takeover`. The recorder takes what comes, such as a last chunk."""


class _Recorder:
    """What the response writes to: the part of a socket that gunicorn uses."""

    def __init__(self) -> None:
        self.written = b""

    def sendall(self, data: bytes) -> None:
        self.written += data


@cache
def _never_connected(process: int) -> socket.socket:
    """Return the socket that is put in the place of connections, for a process."""
    del process
    try:
        # Of TCP, which refuses to shut it down: the worker then waits for nothing.
        return socket.socket(socket.AF_INET)
    except OSError:
        # A service behind a proxy may be allowed Unix sockets only. Such a one can be shut
        # down, but not be read from, which ends the wait as well.
        return socket.socket(socket.AF_UNIX)
