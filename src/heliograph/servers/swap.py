"""
Taking a client's connection over from a WSGI server: the swap of descriptors.

A WSGI server gives each request a thread until the response has ended, and a stream
never ends. So the connection is swapped: its descriptor is duplicated for us, and one
end of a socket pair is put under the number that the server knows. Whatever the server
then writes, shuts down or closes is the dummy. A plain duplicate would not do: servers
call ``shutdown()``, which acts on the connection and not on the descriptor.

The swap must not happen while the server has something in flight on the connection:

* **Unsent output** of earlier responses would end up in the dummy, which nobody reads
  (``waitress.py``).
* **A close under way.** Another thread of the server may close the descriptor, and the
  kernel gives its number to the next connection. So the socket is looked at before and
  after it is duplicated.
* **The mode.** The dummy blocks if and only if what it replaces does: a server that has
  set its sockets non-blocking does not expect ``send`` to wait.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from ..hub.sinks import duplicate, identity_of
from ..wire.framing import Framing

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Dummy", "head_of", "response_head", "swap"]

# More than a head may have.
_HEAD_BYTES = 65_536

# A server writes the head before it asks for more (PEP 3333), or has another thread write
# it. This is how long that thread may need; a middleware that keeps the head needs longer.
_HEAD_SECONDS = 1.0

# Headers about the connection between the server and its client: ours is another one.
# RFC 9110 section 7.6.1, RFC 9112 section 6.
_NOT_OURS_TO_PASS = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


class Dummy:
    """
    A socket pair, into which the server writes the head of a stream, and an empty body.

    The server's end stays writable until the server closes the response.

    Args:
        servers_end: The end that is put under the server's descriptor. Closed by
            :meth:`put`.
        peer: The other end.
        number: The descriptor under which the server holds the connection.
    """

    def __init__(
        self, servers_end: socket.socket, peer: socket.socket, number: int
    ) -> None:
        self._servers_end = servers_end
        self._peer = peer
        self._number = number
        self._identity = identity_of(servers_end.fileno())
        self._written = b""

    def put(self) -> None:
        """
        Put the dummy under the descriptor of the connection.

        Raises:
            OSError: The process has no descriptor left.
        """
        with self._servers_end:
            blocks = os.get_blocking(self._number)
            if blocks != os.get_blocking(self._servers_end.fileno()):
                self._servers_end.setblocking(blocks)
            os.dup2(self._servers_end.fileno(), self._number, inheritable=False)

    def written_head(self, comment: bytes, framing: Framing) -> bytes | None:
        """
        Return the head that the server has written for the response, fit for a stream.

        Middleware may have added headers on their way to the server, so what the server
        has written is what counts.

        Args:
            comment: What the server was given for the beginning of the body.
            framing: How the blocks of the stream are going to be delimited.

        Returns:
            :obj:`None` if the server has not written a head and the comment: middleware
            keeps the comment, or has changed it, as one that compresses does.
        """
        while True:
            head, may_follow = head_of(self._written, comment, framing)
            if not may_follow or not self._read(_HEAD_SECONDS):
                return head

    def give_back(self, connection: socket.socket) -> None:
        """
        Return the connection to the server, with all that the server has written.

        Args:
            connection: From :func:`swap`. Closed here, which does not close it for the
                client.
        """
        while self._read(0):
            pass
        with connection:
            _send_all(connection, self._written)
            # The server may have closed the dummy, and the number be another connection's.
            if identity_of(self._number) == self._identity:
                os.dup2(connection.fileno(), self._number, inheritable=False)
        self.close()

    def close(self) -> None:
        """Close our end: what the server writes now fails."""
        self._peer.close()

    def _read(self, seconds: float) -> bool:
        """Read what the server has written; False if there is nothing in time."""
        # Not select.poll(): eventlet removes it.
        self._peer.settimeout(seconds)
        try:
            data = self._peer.recv(_HEAD_BYTES)
        except OSError:
            return False
        self._written += data
        return bool(data)


def swap(
    number: int, connection: socket.socket | None
) -> tuple[socket.socket, Dummy] | None:
    """
    Exchange a connection for a dummy.

    Args:
        number: The descriptor under which the server holds it.
        connection: The server's object for it, if there is one in Python.

    Returns:
        A descriptor of the connection for the caller, and the dummy. :obj:`None` if the
        server is closing it.

    Raises:
        OSError: The process has no descriptor left. The server keeps the connection.
    """
    # A socket object has no number from the moment before it is closed. So if it has it
    # still, what was duplicated is the connection and not what came after it. Where there
    # is no such object the connections are compared.
    identity = identity_of(number) if connection is None else None
    servers_end, peer = socket.socketpair()
    taken = None
    try:
        # A server that reads on finds the end of the stream instead of waiting.
        peer.shutdown(socket.SHUT_WR)
        dummy = Dummy(servers_end, peer, number)
        taken = duplicate(number)
        if connection is not None:
            is_closed = connection.fileno() != number
        else:
            is_closed = identity is None or identity_of(taken.fileno()) != identity
        if is_closed:
            _close(servers_end, peer, taken)
            return None
        dummy.put()
    except BaseException:
        _close(servers_end, peer, taken)
        raise
    return taken, dummy


def head_of(written: bytes, comment: bytes, framing: Framing) -> tuple[bytes | None, bool]:
    """
    Return the head of what a server has written, as :meth:`Dummy.written_head` does.

    Args:
        written: All that the server has written for a response.
        comment: What the server was given for the beginning of the body.
        framing: How the blocks of the stream are going to be delimited.

    Returns:
        The head, or :obj:`None`; and whether what follows may lead to one.
    """
    head, end, body = written.partition(b"\r\n\r\n")
    if not end:
        return None, True
    status_line, *lines = head.decode("latin-1").split("\r\n")
    fields = [line.partition(":") for line in lines]
    headers = [(name, value.strip()) for name, _, value in fields]
    expected = _bodies(comment, headers)
    if body in expected:
        return response_head(status_line.partition(" ")[2], headers, framing), False
    return None, any(each.startswith(body) for each in expected)


def _bodies(comment: bytes, headers: Iterable[tuple[str, str]]) -> list[bytes]:
    """Return what a server may write of a comment: itself, or a chunk of a body."""
    for name, value in headers:
        if name.lower() == "transfer-encoding" and value.lower() == "chunked":
            # RFC 9112 section 7.1. The size has digits of either case.
            sizes = b"%x" % len(comment), b"%X" % len(comment)
            return [b"%b\r\n%b\r\n" % (size, comment) for size in sizes]
    return [comment]


def _send_all(connection: socket.socket, data: bytes) -> None:
    """Send what a server has written, whether the server lets its sockets block or not."""
    # Nobody else uses the connection now, but its mode is the server's.
    blocks = os.get_blocking(connection.fileno())
    connection.settimeout(_HEAD_SECONDS)
    # An error is of a client that has left, or takes nothing: the server will see it, too.
    with contextlib.suppress(OSError):
        connection.sendall(data)
    os.set_blocking(connection.fileno(), blocks)


def _close(*sockets: socket.socket | None) -> None:
    for each in sockets:
        if each is not None:
            each.close()


def response_head(
    status: str, headers: Iterable[tuple[str, str]], framing: Framing
) -> bytes:
    """
    Return the head of a response after which the connection is closed.

    Args:
        status: Code and reason, as WSGI has it.
        headers: Names and values. Those about the connection are left out.
        framing: How the blocks of the stream are delimited.

    Returns:
        The head with the empty line that ends it.

    Raises:
        UnicodeEncodeError: A header is not Latin-1, which is all that HTTP/1 can carry.
    """
    lines = [f"HTTP/1.1 {status}"]
    lines += [
        f"{name}: {value}"
        for name, value in headers
        if name.lower() not in _NOT_OURS_TO_PASS
    ]
    if framing is Framing.CHUNKED:
        lines.append("Transfer-Encoding: chunked")
    lines += ["Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")
