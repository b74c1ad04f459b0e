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
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Dummy", "response_head", "swap"]

# More than a head may have.
_HEAD_BYTES = 65_536

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
    The empty response that the server writes instead of the stream, into a socket pair.

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

    def put(self) -> None:
        """
        Put the dummy under the descriptor of the connection.

        Raises:
            OSError: The process has no descriptor left.
        """
        with self._servers_end:
            self._servers_end.setblocking(os.get_blocking(self._number))
            os.dup2(self._servers_end.fileno(), self._number, inheritable=False)

    def written_head(
        self, write: Callable[[bytes], object] | None, framing: Framing
    ) -> bytes | None:
        """
        Return the head that the server writes for the response, fit for a stream.

        Middleware may have added headers on their way to the server, so what the server
        writes is what counts.

        Args:
            write: What ``start_response`` returned (PEP 3333).
            framing: How the blocks of the stream are going to be delimited.

        Returns:
            :obj:`None` if the server has not written one yet: middleware may hold it back.
        """
        if not callable(write):
            return None
        # Does not wait for us to read: nothing else is in the pair, and a head fits in.
        write(b"")
        self._peer.setblocking(False)  # noqa: FBT003 - no keyword
        written = b""
        with contextlib.suppress(BlockingIOError):
            while data := self._peer.recv(_HEAD_BYTES):
                written += data
        head, end, _ = written.partition(b"\r\n\r\n")
        if not end:
            return None
        status_line, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        headers = [(name, value.strip()) for name, _, value in fields]
        return response_head(status_line.partition(" ")[2], headers, framing)

    def give_back(self, connection: socket.socket) -> None:
        """
        Return the connection to the server, before it has written anything.

        Args:
            connection: From :func:`swap`. Closed here, which does not close it for the
                client.
        """
        # The server may have closed the dummy, and the number be another connection's.
        if identity_of(self._number) == self._identity:
            os.dup2(connection.fileno(), self._number, inheritable=False)
        connection.close()
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Close our end: what the server writes now fails. Servers call this (PEP 3333)."""
        self._peer.close()


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
    identity = identity_of(number)
    servers_end, peer = socket.socketpair()
    taken = None
    try:
        # A server that reads on finds the end of the stream instead of waiting.
        peer.shutdown(socket.SHUT_WR)
        dummy = Dummy(servers_end, peer, number)
        taken = duplicate(number)
        # A socket object has no number from the moment before it is closed. So if it has
        # it still, what was duplicated is the connection and not what came after it.
        is_closed = connection is not None and connection.fileno() != number
        if is_closed or identity is None or identity_of(taken.fileno()) != identity:
            _close(servers_end, peer, taken)
            return None
        dummy.put()
    except BaseException:
        _close(servers_end, peer, taken)
        raise
    return taken, dummy


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
