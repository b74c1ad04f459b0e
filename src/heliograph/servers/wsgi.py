"""
Taking a client's connection over from a WSGI server.

A WSGI server gives each request a thread until the response has ended, and a stream
never ends. So the connection is swapped: its descriptor is duplicated for us, and one
end of a socket pair is put under the number that the server knows. Whatever the server
then writes, shuts down or closes is the dummy. A plain duplicate would not do: servers
call ``shutdown()``, which acts on the connection and not on the descriptor.

Only what was seen to work is touched. Everything else keeps its connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "Dummy",
    "client_descriptor",
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
    An empty response for the server to write, into nothing.

    The server's end stays writable until the server closes the response.

    Args:
        peer: The other end of what the server holds.
        number: The descriptor under which the server holds it.
    """

    def __init__(self, peer: socket.socket, number: int) -> None:
        self._peer = peer
        self._number = number

    def written_head(self, write: Callable[[bytes], object] | None) -> bytes | None:
        """
        Give the head that the server writes for the response, fit for a stream.

        Middleware may have added headers on their way to the server, so what comes out
        at the end is what counts.

        Args:
            write: What ``start_response`` returned (PEP 3333).

        Returns:
            :obj:`None` if the server has not written one yet: middleware may hold it back.
        """
        if not callable(write):
            return None
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
        Let the server have its connection again, before it has written anything.

        Args:
            connection: That :func:`take_over` gave. Is closed here, and not for the client.
        """
        os.dup2(connection.fileno(), self._number, inheritable=False)
        connection.close()
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """Let the server's end break. WSGI servers call this (PEP 3333)."""
        self._peer.close()


def client_descriptor(environ: dict[str, Any]) -> int | None:
    """
    Give the descriptor of the client's connection, only to look at.

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
    Say whether TLS ends in the server, as far as that is to be seen.

    Args:
        environ: The request, as the server made it.
    """
    return isinstance(_client_socket(environ), ssl.SSLSocket)


def take_over(environ: dict[str, Any]) -> tuple[socket.socket, Dummy] | None:
    """
    Take the connection of a GET request from its server.

    Args:
        environ: The request, as the server made it.

    Returns:
        The client's connection, which is the caller's from now on, and the body to
        give to the server. :obj:`None` if this connection is not to be taken: not a
        GET, a server that is not known, TLS that ends in the server, or a process that
        ends with the response.
    """
    if environ.get("REQUEST_METHOD") != "GET":
        return None
    number = client_descriptor(environ)
    if number is None:
        return None
    connection = _client_socket(environ)
    # Exactly a plain class: an SSLSocket has state that a descriptor does not carry.
    if connection is not None and type(connection) not in _plain_sockets():
        return None
    if _reads_ahead(environ):
        return None
    if "werkzeug.socket" in environ and environ.get("wsgi.multiprocess"):
        # Its server forks for each request, and the child ends with the response.
        return None
    return _swap(number)


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


def _reads_ahead(environ: dict[str, Any]) -> bool:
    channel = _waitress_channel(environ)
    if channel is None:
        return False
    # waitress polls the connection then while its request is answered, would find the end
    # of the dummy, and give the request up.
    adjustments = getattr(channel, "adj", None)
    return bool(getattr(adjustments, "channel_request_lookahead", True))


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


def _swap(number: int) -> tuple[socket.socket, Dummy]:
    servers_end, peer = socket.socketpair()
    try:
        # A server that reads on finds the end of the stream and not silence.
        peer.shutdown(socket.SHUT_WR)
        blocks = os.get_blocking(number)
        taken = socket.socket(fileno=os.dup(number))
        # A default time-out of the program is not to be the server's, if it is given back.
        os.set_blocking(number, blocks)
        os.dup2(servers_end.fileno(), number, inheritable=False)
    except OSError:
        peer.close()
        raise
    finally:
        servers_end.close()
    return taken, Dummy(peer, number)


def response_head(status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """
    Write the head of a response whose body ends with the connection.

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
