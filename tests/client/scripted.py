"""
A real HTTP server whose every byte a script decides: for clients of event streams.

A script is a list of connections, each a list of steps. ``Server.add`` returns the URL of a
script; each connection to an address below that URL performs the next list, whatever its
path. Once the lists are used up the answer is 204, on which EventSource ends for good. Thus
each script ends, and the last request tells which id the client had then.

The connection is closed after the last step. A step is one of:

- bytes, which are sent. ``{BASE}`` in them becomes the URL of the script, ``{OTHER}`` the
  same one at another origin, ``{GONE}`` one where nothing listens.
- ``READ``: wait until the client has read all that was sent, so that what follows reaches
  it in another read.
- ``HOLD``: wait until the client closes the connection.
- ``RESET``: close the connection with a reset.
- a callable, which gets the ``Request``: for a test that waits for something.
"""

import contextlib
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import quote

from unread import wait_until_read

READ = "read"
HOLD = "hold"
RESET = "reset"

_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<!doctype html><link rel=icon href=data:,>"


def head(status=200, *lines, content_type="text/event-stream"):
    """
    Return the head of a response.

    Args:
        status: The status code.
        lines: Further header lines, as str without line ends.
        content_type: The value of Content-Type; None for none.
    """
    # Any origin, as a redirect to another one is read by pages, too.
    lines = [*lines, "Access-Control-Allow-Origin: *", "Connection: close"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    return "\r\n".join([f"HTTP/1.1 {status} Scripted", *lines, "", ""]).encode("latin-1")


STREAM = head()
KEPT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
)
"""A stream that ends, of a connection that does not: ``HOLD`` reads a request, too."""
_NO_CONTENT = head(204, content_type=None)


def redirect(status, location):
    """Return the head of a redirect."""
    return head(status, f"Location: {location}", "Content-Length: 0", content_type=None)


@dataclass
class Request:
    """
    What a client sent.

    Attributes:
        method: The method.
        path: The path below the script's URL, with the query.
        origin: "" for the server's first origin, "other" for its second.
        headers: Names in lower case and values, as bytes, in their order.
        body: The body.
        arrived: When its head was there, by ``time.monotonic``.
        ended: Set when the client has closed the connection.
    """

    method: str
    path: str
    origin: str
    headers: list
    body: bytes
    arrived: float
    ended: threading.Event = field(default_factory=threading.Event)

    def header(self, name):
        """Return the only value of a header as bytes, or None."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, (name, values)
        return values[0] if values else None


@dataclass
class _Script:
    connections: list
    addresses: dict
    requests: list = field(default_factory=list)
    asked: threading.Condition = field(default_factory=threading.Condition)


class Server:
    """A server at two origins. Close it by leaving its ``with``."""

    def __init__(self):
        self._scripts = {}
        self._lock = threading.Lock()
        self._open = set()
        self._errors = []
        self._threads = []
        self._listeners = [_listener("127.0.0.1"), _listener("127.0.0.2")]
        self.origin, self.other = (
            "http://{}:{}".format(*listener.getsockname()) for listener in self._listeners
        )
        with _listener("127.0.0.1") as unused:
            self.gone = "http://{}:{}".format(*unused.getsockname())

    def __enter__(self):
        for listener, origin in zip(self._listeners, ("", "other"), strict=True):
            self._start(self._accept, listener, origin)
        return self

    def __exit__(self, *_):
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            opened = list(self._open)
        for connection in opened:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        assert not self._errors, self._errors

    def add(self, name, connections):
        """
        Add a script.

        Args:
            name: What the script is about, unique for this server.
            connections: A list of lists of steps.

        Returns:
            The script's URL, which ends in a slash.
        """
        key = quote(name, safe="")
        assert key not in self._scripts, name
        base = f"{self.origin}/{key}/"
        addresses = {
            b"{BASE}": base,
            b"{OTHER}": f"{self.other}/{key}/",
            b"{GONE}": f"{self.gone}/",
        }
        self._scripts[key] = _Script(list(connections), addresses)
        return base

    def requests(self, url):
        """Return the requests of a script so far, by its URL."""
        return list(self._script(url).requests)

    def wait_for_request(self, url, number, timeout=30):
        """Wait until a script has had so many requests, and return the last one of these."""
        script = self._script(url)
        with script.asked:
            assert script.asked.wait_for(lambda: len(script.requests) >= number, timeout)
        return script.requests[number - 1]

    def _script(self, url):
        return self._scripts.get(re.sub("^https?://[^/]+", "", url).split("/")[1])

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener, origin):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                self._open.add(connection)
            self._start(self._serve, connection, origin)

    def _serve(self, connection, origin):
        request = None
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = _read(connection, origin)
            if request is not None:
                self._answer(connection, request)
        except OSError:
            pass  # the client left
        except Exception as error:
            self._errors.append(error)
            raise
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()
            if request is not None:
                request.ended.set()

    def _answer(self, connection, request):
        _, key, path = (request.path + "/").split("/", 2)
        script = self._scripts.get(key)
        if script is None:
            connection.sendall(_PAGE)
            return
        request.path = path.removesuffix("/")
        with script.asked:
            script.requests.append(request)
            script.asked.notify_all()
            steps = script.connections.pop(0) if script.connections else [_NO_CONTENT]
        for step in steps:
            if isinstance(step, bytes):
                sent = step
                for name, value in script.addresses.items():
                    sent = sent.replace(name, value.encode())
                connection.sendall(sent)
            elif step == READ:
                wait_until_read(connection)
            elif step == HOLD:
                _wait_for_the_end(connection)
            elif step == RESET:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            else:
                step(request)
        connection.shutdown(socket.SHUT_WR)
        # A close before the client has read everything could become a reset.
        _wait_for_the_end(connection)


def _listener(host):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, 0))
    listener.listen(1024)
    return listener


def _read(connection, origin):
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        received += chunk
    # Not when the connection was made: browsers make some in advance.
    arrived = time.monotonic()
    start, _, body = received.partition(b"\r\n\r\n")
    line, *lines = start.split(b"\r\n")
    method, path, _ = line.decode().split(" ")
    headers = [
        (name.decode().lower(), value.strip(b" \t"))
        for name, _, value in (line.partition(b":") for line in lines)
    ]
    length = int(dict(headers).get("content-length", 0))
    while len(body) < length:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        body += chunk
    return Request(method, path, origin, headers, body, arrived)


def _wait_for_the_end(connection):
    while connection.recv(65536):
        pass
