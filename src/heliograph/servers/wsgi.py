"""
Taking a client's connection over from a WSGI server.

A WSGI server gives each request a thread until the response has ended, and a stream
never ends. So the connection is swapped: its descriptor is duplicated for us, and one
end of a socket pair is put under the number that the server knows. Whatever the server
then writes, shuts down or closes is the dummy. A plain duplicate would not do: servers
call ``shutdown()``, which acts on the connection and not on the descriptor.

Only what was seen to work is touched. Everything else keeps its connection.

The swap must not happen while the server has something in flight on the connection:

* **Unsent output.** waitress keeps what a client has not taken of earlier responses, and
  sends it from several threads. After a swap it would end up in the dummy, which nobody
  empties. A stream that a client has pipelined behind such output is refused
  (:func:`has_pending_output`).
* **A close under way.** Another thread of the server may close the descriptor, and the
  kernel gives its number to the next connection. So the socket is looked at before and
  after it is duplicated, and in waitress the lock is held without which it closes nothing.
* **The mode.** The dummy blocks if and only if what it replaces does: a server that has
  set its sockets non-blocking does not expect ``send`` to wait.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

from ..hub.sinks import client_has_left, duplicate, identity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "Dummy",
    "client_descriptor",
    "has_left",
    "has_pending_output",
    "is_encrypted",
    "response_head",
    "take_over",
]

# More than a head may have.
_HEAD_BYTES = 65_536

# Where servers say which connection a request came on. gunicorn's worker gevent_pywsgi has
# it under another name than its others.
_ENVIRON_KEYS = ("gunicorn.socket", "gunicorn.sock", "werkzeug.socket")

# Options of uWSGI, or parts of their names, with which its connections are not to be taken:
# they carry TLS or another protocol, or belong to another loop than that of threads.
_UWSGI_OTHERWISE = (
    "async",
    "fastcgi",
    "gevent",
    "https-socket",
    "protocol",
    "raw-socket",
    "scgi",
    "ssl-socket",
    "suwsgi",
)

# What is private of waitress, and looked at before it is used.
_OF_WAITRESS = ("connected", "outbuf_lock", "total_outbufs_len")
_LOOKAHEAD = "channel_request_lookahead"

# HTTP/2 shares a connection between requests: it is nobody's to take.
_PROTOCOLS = frozenset({"HTTP/1.0", "HTTP/1.1"})

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
        Put the dummy in the place of the connection.

        Raises:
            OSError: The process has no descriptor left.
        """
        with self._servers_end:
            self._servers_end.setblocking(os.get_blocking(self._number))
            os.dup2(self._servers_end.fileno(), self._number, inheritable=False)

    def written_head(self, write: Callable[[bytes], object] | None) -> bytes | None:
        """
        Return the head that the server writes for the response, fit for a stream.

        Middleware may have added headers on their way to the server, so what comes out
        at the end is what counts.

        Args:
            write: What ``start_response`` returned (PEP 3333).

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
        return response_head(status_line.partition(" ")[2], headers)

    def give_back(self, connection: socket.socket) -> None:
        """
        Return the connection to the server, before it has written anything.

        Args:
            connection: From :func:`take_over`. Is closed here, and not for the client.
        """
        # The server may have closed the dummy, and the number be another connection's.
        if identity_of(self._number) == self._identity:
            os.dup2(connection.fileno(), self._number, inheritable=False)
        connection.close()
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Break the server's end. WSGI servers call this (PEP 3333)."""
        self._peer.close()


def client_descriptor(environ: dict[str, Any]) -> int | None:
    """
    Return the descriptor of the client's connection, only to look at.

    Args:
        environ: The request, as the server made it.

    Returns:
        :obj:`None` where the server does not say, or the client shares it.
    """
    if environ.get("SERVER_PROTOCOL") not in _PROTOCOLS:
        return None
    connection = _client_socket(environ)
    number = _uwsgi_descriptor(environ) if connection is None else connection.fileno()
    return number if number >= 0 else None


def is_encrypted(environ: dict[str, Any]) -> bool:
    """
    Return whether TLS ends in the server, as far as that is to be seen.

    Args:
        environ: The request, as the server made it.
    """
    return isinstance(_client_socket(environ), ssl.SSLSocket)


def has_left(environ: dict[str, Any]) -> bool:
    """
    Return whether the client has closed its connection, as far as that is to be seen.

    A server that is behind with its requests comes to many whose clients are gone.

    Args:
        environ: The request, as the server made it.
    """
    number = client_descriptor(environ)
    return number is not None and client_has_left(number)


def has_pending_output(environ: dict[str, Any]) -> bool:
    """
    Return whether the server still holds unsent bytes of an earlier response.

    Then the client has sent its request before it has read the response to another one
    (RFC 9112 section 9.3.2). The stream must not overtake that response, and waiting for
    a client that perhaps never reads would hold a thread. No browser pipelines, and
    neither do the proxies that we know.

    Args:
        environ: The request, as the server made it.
    """
    return bool(getattr(_waitress_channel(environ), "total_outbufs_len", 0))


def take_over(environ: dict[str, Any]) -> tuple[socket.socket, Dummy] | None:
    """
    Take the connection of a GET request from its server.

    Args:
        environ: The request, as the server made it.

    Returns:
        The client's connection, which is the caller's from now on, and the body to
        give to the server. :obj:`None` if this connection is not to be taken: not a
        GET, a server that is not known, TLS that ends in the server, a process that
        ends with the response, or a connection that the server is closing.

    Raises:
        OSError: The process has no descriptors left. The server keeps its connection.
    """
    number = client_descriptor(environ)
    if number is None or not _may_be_taken(environ):
        return None
    connection, channel = _client_socket(environ), _waitress_channel(environ)
    if channel is None:
        return _swap(number, connection)
    with channel.outbuf_lock:
        # waitress marks a channel under this lock before it closes it.
        is_idle = channel.connected and not channel.total_outbufs_len
        return _swap(number, connection) if is_idle else None


def _may_be_taken(environ: dict[str, Any]) -> bool:
    if environ.get("REQUEST_METHOD") != "GET":
        return False
    connection, channel = _client_socket(environ), _waitress_channel(environ)
    # Exactly a plain class: an SSLSocket has state that a descriptor does not carry.
    if connection is not None and type(connection) not in _plain_sockets():
        return False
    if channel is not None:
        # Told to read ahead, waitress polls the connection while its request is answered,
        # would find the end of the dummy, and give the request up.
        reads_ahead = getattr(getattr(channel, "adj", None), _LOOKAHEAD, True)
        return not reads_ahead and all(hasattr(channel, name) for name in _OF_WAITRESS)
    # Werkzeug's server that forks for each request ends with the response.
    return "werkzeug.socket" not in environ or not environ.get("wsgi.multiprocess")


def _client_socket(environ: dict[str, Any]) -> socket.socket | None:
    for key in _ENVIRON_KEYS:
        connection = environ.get(key)
        if isinstance(connection, socket.socket):
            return connection
    # The others do not say it. This is private, so it is looked at first.
    connection = None
    channel = _waitress_channel(environ)
    body = environ.get("wsgi.input")
    if channel is not None:
        connection = getattr(channel, "socket", None)
    elif type(body).__module__ == "gevent.pywsgi":
        # gevent's own server reads the body from a file of the connection.
        connection = getattr(
            getattr(getattr(body, "rfile", None), "raw", None), "_sock", None
        )
    return connection if isinstance(connection, _plain_sockets()) else None


def _waitress_channel(environ: dict[str, Any]) -> Any:
    # waitress gives a method of what it calls a channel.
    channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
    return channel if type(channel).__module__ == "waitress.channel" else None


def _plain_sockets() -> tuple[type[socket.socket], ...]:
    # A program may run gevent's server without letting it replace socket.socket.
    module = sys.modules.get("gevent.socket")
    return (socket.socket,) if module is None else (socket.socket, module.socket)


def _uwsgi_descriptor(environ: dict[str, Any]) -> int:
    if "uwsgi.version" not in environ:
        return -1
    import uwsgi  # noqa: PLC0415 - exists only inside of it

    if any(part in name for name in uwsgi.opt for part in _UWSGI_OTHERWISE):
        return -1
    return int(uwsgi.connection_fd())


def _swap(
    number: int, connection: socket.socket | None
) -> tuple[socket.socket, Dummy] | None:
    """Exchange a connection for a dummy; :obj:`None` if the server is closing it."""
    identity = identity_of(number)
    servers_end, peer = socket.socketpair()
    taken = None
    try:
        # A server that reads on finds the end of the stream and not silence.
        peer.shutdown(socket.SHUT_WR)
        dummy = Dummy(servers_end, peer, number)
        taken = duplicate(number)
        # A socket that is closed has no number from the moment before it is closed, so
        # what was duplicated is the connection, and not what came under its number.
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


def response_head(status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """
    Return the head of a response whose body ends with the connection.

    Not chunked: nginx asks its upstream in HTTP/1.0 unless told otherwise.

    Args:
        status: Code and reason, as WSGI has it.
        headers: Names and values. Those about the connection are left out.

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
    lines += ["Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")
