"""
Assemble the demo: the page, the API in a process of its own, and a ticker.

The ticker publishes from this process, which never serves a stream, into the file that the
API's process reads. So events are published while the API is down, and the page can show
that it receives all of them.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import math
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..brokers.sqlite.private_files import PRIVATE, make_folder
from ..brokers.sqlite.trust import check_files
from ..errors import BrokerUnavailableError, ConfigError, HeliographError
from ..faces.settings import DEFAULT_FILE
from ..flask import sse
from .api import create_app

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["DemoError", "run"]

_HOST = "127.0.0.1"

_TICKS_PER_SECOND = 10
# Long enough to see the page reconnect, short enough to wait for.
_DEAD_SECONDS = 2.0
_START_SECONDS = 20.0


class DemoError(HeliographError):
    """The demo cannot run. The message names the reason and what to change."""


def run(*, page_port: int, api_port: int, folder: str | None) -> None:
    """
    Serve the demo until Ctrl-C.

    Args:
        page_port: The page's port, 1 to 65,535.
        api_port: The API's port, different from ``page_port``.
        folder: The folder for the events, which is created if necessary; :obj:`None` for
            a temporary one.

    Raises:
        DemoError: A port cannot be used, the folder cannot be created or is not safe, or
            the API does not start.
    """
    if page_port == api_port:
        raise DemoError("--port and --api-port must differ: two ports are two origins")
    _check_port(api_port, "--api-port")
    # Browsers omit the default port of the scheme from an origin (RFC 6454 section 6.2).
    page_origin = f"http://{_HOST}:{page_port}".removesuffix(":80")
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        # SIGTERM as well as Ctrl-C runs the stack's callbacks: the API must not outlive us.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-"))
        absolute = _make_folder(folder)
        api = _Api(api_port, page_origin, absolute)
        page = stack.enter_context(_page_server(page_port, api))
        stack.callback(api.kill)
        api.start()
        ticker = _Ticker(create_app(page_origin, absolute))
        stack.callback(ticker.stop)
        ticker.start()
        print(
            f"Open {page_origin} (the API is on port {api_port}). Ctrl-C stops.", flush=True
        )
        page.serve_forever()


def _make_folder(folder: str) -> str:
    path = Path(folder).absolute()
    try:
        make_folder(path)
    except OSError as error:
        raise DemoError(f"cannot use --folder {folder}: {error.strerror}") from error
    try:
        check_files(path / DEFAULT_FILE, PRIVATE)
    except ConfigError as error:
        raise DemoError(f"cannot use --folder {folder}: {error}") from error
    return str(path)


class _Api:
    """The API's process, which can be killed and restarted."""

    def __init__(self, port: int, page_origin: str, folder: str) -> None:
        self.origin = f"http://{_HOST}:{port}"
        self._port = port
        self._command = [
            sys.executable,
            "-m",
            "heliograph.demo.api",
            str(port),
            page_origin,
            folder,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command)  # noqa: S603 - our own module
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise DemoError(
                    f"the API does not start on port {self._port}; choose another with"
                    " --api-port"
                )
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        with self._lock:
            self.kill()
            time.sleep(_DEAD_SECONDS)
            self.start()

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=1)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


class _Ticker:
    """Publishes a number ten times a second, each with the next sequence number."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="ticker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _tick(self) -> None:
        n = 0
        available = True
        with self._app.app_context():
            while not self._stopped.wait(1 / _TICKS_PER_SECOND):
                value = (
                    50 + 25 * math.sin(n / 30) + 12 * math.sin(n / 7) + random.gauss(0, 3)
                )
                try:
                    sse.publish(
                        {"n": n, "value": round(value, 1)}, "tick", channel="ticker"
                    )
                except BrokerUnavailableError as error:
                    if available:
                        print(f"heliograph: {error}", file=sys.stderr)
                    available = False
                else:
                    n += 1
                    available = True


def _page_server(port: int, api: _Api) -> ThreadingHTTPServer:
    page = resources.files(__package__).joinpath("page.html").read_text("utf-8")
    body = page.replace("{{API_ORIGIN}}", api.origin).encode()
    try:
        return ThreadingHTTPServer((_HOST, port), partial(_PageHandler, body, api))
    except OSError as error:
        raise _port_error(port, "--port", error) from error


class _PageHandler(BaseHTTPRequestHandler):
    """The page, and the button that kills the API."""

    def __init__(self, body: bytes, api: _Api, *arguments: object) -> None:
        self._body = body
        self._api = api
        super().__init__(*arguments)  # type: ignore[arg-type]  # passed on from the server

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(http.HTTPStatus.OK, self._body)
        else:
            self._answer(http.HTTPStatus.NOT_FOUND, b"")

    def do_POST(self) -> None:
        # Only our own page may press the button: a page of another origin needs a preflight
        # to send this header (WHATWG Fetch, CORS-preflight fetch). None is answered here.
        if self.path != "/restart" or self.headers.get("X-Demo") != "restart":
            self._answer(http.HTTPStatus.NOT_FOUND, b"")
            return
        try:
            self._api.restart()
        except DemoError as error:
            self._answer(http.HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode())
        else:
            self._answer(http.HTTPStatus.OK, b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
        """Log nothing: the page shows what happens."""

    def _answer(self, status: http.HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


def _check_port(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise _port_error(port, option, error) from error


def _port_error(port: int, option: str, error: OSError) -> DemoError:
    if error.errno == errno.EADDRINUSE:
        return DemoError(f"port {port} is in use; choose another with {option}")
    return DemoError(
        f"cannot use port {port}: {error.strerror}; choose another with {option}"
    )
