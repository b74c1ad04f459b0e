"""Real servers for the tests, in processes of their own, on free ports of loopback."""

import contextlib
import http.client
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import zlib
from importlib.metadata import version
from pathlib import Path

import fetched
import streams
from programs import unmeasured, until  # noqa: F401 - tests that start servers import them from here
from streams import StreamParser

APPS = Path(__file__).parent / "apps"


# Below those that the kernel gives to whoever connects, and each process of the tests has its
# own: a port is not used before the server that it is for has started, or started again.
_FIRST = 20_000 + 1_000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 5)
_PORTS = range(_FIRST, _FIRST + 1_000)
_next_ports = itertools.cycle(random.sample(_PORTS, len(_PORTS)))


def free_port():
    while True:
        port = next(_next_ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def connect(port, context=None, source=None):
    """
    Connect to a port of loopback, with TLS if told how, from another address of it.

    ``port`` may be the path of a Unix socket, or a function that connects.
    """
    if callable(port):
        return port()
    if isinstance(port, Path):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        try:
            connection.connect(str(port))
        except OSError:
            connection.close()
            raise
        return connection
    connection = socket.create_connection(
        ("127.0.0.1", port), timeout=20, source_address=source and (source, 0)
    )
    if context is None:
        return connection
    return context.wrap_socket(connection, server_hostname="127.0.0.1")


# What gevent before 23 may say when a process ends that has logged anything.
_OF_OLD_GEVENT = re.compile(
    "Exception ignored in: <function _removeHandlerRef.*?greenlet is being finalized\n",
    re.DOTALL,
)


class Server:
    """
    A server process with what a test wants to know of it.

    ``port`` is the path of its socket if that is a Unix socket; ``context`` is for TLS.
    """

    def __init__(self, process, port, log, context=None):
        self.context = context
        self.process = process
        self.port = port
        self.log = log
        # Where the applications keep their channels unless told otherwise.
        self.storage = f"sqlite:///{log.parent}/instance/heliograph.sqlite3"

    def get(self, path, method="GET", headers=None, body=None):
        connection = http.client.HTTPConnection("test")
        place = connect(self.port, self.context)
        with contextlib.closing(connection), place as connection.sock:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            response.text = response.read().decode()
            return response

    def stream(self, path="/stream", **options):
        return Stream(self.port, path, context=self.context, **options)

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it does not stop:\n{self.log_text()[-4000:]}") from error

    def log_text(self):
        return _OF_OLD_GEVENT.sub("", self.log.read_text())

    def workers(self):
        """The processes that serve: the children, else the server itself."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()] or [self.process.pid]

    def threads(self):
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.workers())

    def memory(self):
        """Resident bytes."""
        pages = (
            Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in self.workers()
        )
        return sum(map(int, pages)) * os.sysconf("SC_PAGESIZE")

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.workers())


class Stream:
    """
    A blocking client of a stream, byte for byte.

    ``body`` is sent with the head, or, if the headers expect that, when the server asks for it.
    """

    def __init__(
        self,
        port,
        path="/stream",
        *,
        last_event_id=None,
        headers=(),
        method="GET",
        version="1.1",
        context=None,
        source=None,
        body=b"",
    ):
        self.parser = StreamParser()
        self.events = []
        self.body = b""
        self.received = 0
        self.socket = connect(port, context, source)
        streams.connections.append(self.socket)
        lines = [f"{method} {path} HTTP/{version}", "Host: test", *headers]
        if last_event_id is not None:
            lines.append(f"Last-Event-ID: {last_event_id}")
        sent = "\r\n".join([*lines, "", ""]).encode()
        waits = "Expect: 100-continue" in headers
        self.socket.sendall(sent if waits else sent + body)
        head, rest = self._read_head(b"")
        if waits and head.split()[1] == b"100":
            self.socket.sendall(body)
        while head.split()[1] == b"100":
            head, rest = self._read_head(rest)
        self.status = int(head.split()[1])
        fields = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
        self.headers = [
            (name.decode().lower(), value.decode("latin-1")) for name, _, value in fields
        ]
        self.has_ended = False
        self.chunked = ("transfer-encoding", "chunked") in self.headers
        self._framed = b""
        is_coded = self.header("content-encoding") == "gzip"
        self._decoder = zlib.decompressobj(wbits=31) if is_coded else None
        self._take(rest)

    def _read_head(self, raw):
        while b"\r\n\r\n" not in raw:
            data = self.socket.recv(1 << 16)
            assert data, raw
            raw += data
        head, _, rest = raw.partition(b"\r\n\r\n")
        return head, rest

    def header(self, name):
        return ", ".join(value for found, value in self.headers if found == name)

    def _take(self, data):
        if self.chunked:
            assert not (data and self.has_ended), f"{data!r} after the last chunk"
            self._framed += data
            data = b""
            while b"\r\n" in self._framed:
                size, _, rest = self._framed.partition(b"\r\n")
                if len(rest) < int(size, 16) + 2:
                    break
                self.has_ended = int(size, 16) == 0
                data += rest[: int(size, 16)]
                self._framed = rest[int(size, 16) + 2 :]
                assert not (self._framed and self.has_ended), self._framed
        self.received += len(data)
        if self._decoder is not None:
            data = self._decoder.decompress(data)
            assert not self._decoder.unused_data
        self.body += data
        if self.status == 200:
            self.events += self.parser.feed(data)

    def read(self):
        data = self.socket.recv(1 << 16)
        self._take(data)
        return data

    def wait(self, count):
        while len(self.events) < count:
            assert self.read(), f"the stream ended after {self.events}"
        return self.events

    def placed(self):
        while not self.parser.last_event_id:
            assert self.read(), "the stream ended"
        return self

    def ended(self):
        """Read to the end of the stream; the connection may stay."""
        with contextlib.suppress(ConnectionError):
            while not self.has_ended and self.read():
                pass
        return self

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def serving(
    command, tmp_path, *, port=None, env=None, ready="/ping", context=None, folder=APPS
):
    """
    Run a server until the end of the block.

    ``{port}`` in the command is its port, or the path of its socket; ``ready`` a path that
    answers when it is up, None if connecting has to do; ``context`` is for TLS; ``folder`` is where
    the server runs. It is killed hard if it does not stop.
    """
    port = port or free_port()
    log = tmp_path / f"server-{'x' if callable(port) else Path(str(port)).name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [argument.replace("{port}", str(port)) for argument in command],
            cwd=folder,
            env={**os.environ, "INSTANCE": str(tmp_path / "instance"), **(env or {})},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    server = Server(process, port, log, context)
    try:
        _wait_until_ready(server, ready)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_ready(server, path):
    deadline = time.monotonic() + 30
    while True:
        try:
            if path is None:
                connect(server.port, server.context).close()
            else:
                response = server.get(path)
                assert response.status < 500, server.log_text()
        except OSError:
            assert server.process.poll() is None, server.log_text()
            assert time.monotonic() < deadline, server.log_text()
            time.sleep(0.02)
        else:
            return


# Releases before it have none.
_GUNICORN_HAS_CONTROL_SOCKET = int(version("gunicorn").partition(".")[0]) >= 25


def gunicorn(app, *options):
    """The command line of gunicorn, quiet about its control socket."""
    quiet = ["--no-control-socket"] if _GUNICORN_HAS_CONTROL_SOCKET else []
    return [
        sys.executable, "-m", "gunicorn", app, "--bind", "127.0.0.1:{port}",
        "--access-logfile", "-", *quiet, *options,
    ]  # fmt: skip


def werkzeug(app, *options):
    """The command line of Flask's own server."""
    return [
        sys.executable,
        "-m",
        "flask",
        "--app",
        app,
        "run",
        "--port",
        "{port}",
        *options,
    ]


def waitress(app, *options):
    """The command line of waitress, with a line in its log for each request."""
    return [sys.executable, "waiting.py", app, "{port}", *options]


def uwsgi(app, *options):
    """The command line of uWSGI, with threads, as Python programs need it."""
    # Told to reload, the wheel would run the Python that the virtual environment is of.
    return [
        str(Path(sys.executable).with_name("pyuwsgi")), "--module", app, "--master",
        "--enable-threads", "--threads", "4", "--die-on-term", "--need-app",
        "--buffer-size", "16384", "--binary-path", sys.executable, *options,
    ]  # fmt: skip


def uvicorn(app, *options):
    """The command line of uvicorn."""
    return [sys.executable, "-m", "uvicorn", app, "--port", "{port}", *options]


def hypercorn(app, *options):
    """The command line of hypercorn, with an access log."""
    return [
        sys.executable, "-m", "hypercorn", app, "--bind", "127.0.0.1:{port}",
        "--access-logfile", "-", "--access-logformat", '%(h)s "%(R)s" %(s)s', *options,
    ]  # fmt: skip


def granian(app, *options):
    """The command line of granian, with an access log."""
    return [
        sys.executable, "-m", "granian", app, "--port", "{port}", "--access-log", *options
    ]  # fmt: skip


def daphne(app, *options):
    """The command line of daphne, with an access log."""
    return [
        sys.executable, "-m", "daphne", app, "--port", "{port}", "--access-log", "-", *options
    ]  # fmt: skip


def gevent_pywsgi(app, *options):
    """The command line of gevent's own server."""
    return [sys.executable, "on_gevent.py", app, "{port}", *options]


def eventlet_wsgi(app, *options):
    """The command line of eventlet's own server."""
    return [sys.executable, "on_eventlet.py", app, "{port}", *options]


def mod_wsgi():
    """The command line of Apache with the application of ``plain.py`` in mod_wsgi."""
    # Neither serves as root, and another user has to reach the checkout all the same.
    somebody = [
        "setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups",
        "--inh-caps", "+dac_override", "--ambient-caps", "+dac_override",
    ]  # fmt: skip
    return [
        *(somebody if os.getuid() == 0 else []), "apache2", "-D", "FOREGROUND",
        "-C", f"Define APPS {APPS}", "-C", f"Define SITE {sysconfig.get_path('purelib')}",
        "-C", "Listen 127.0.0.1:{port}", "-f", str(APPS / "apache.conf"),
    ]  # fmt: skip


# How each is told to listen on a Unix socket; the others take a path for an address.
_SOCKET_OPTIONS = {
    "gunicorn": ["--bind", "unix:{port}"],
    "hypercorn": ["--bind", "unix:{port}"],
    "uvicorn": ["--uds", "{port}"],
    "granian": ["--uds", "{port}"],
    "daphne": ["--unix-socket", "{port}"],
    "flask": ["--host", "unix://{port}"],
}


def on_unix_socket(command):
    """The command line with a Unix socket instead of a port."""
    command = [part.replace("127.0.0.1:{port}", "{port}") for part in command]
    options = _SOCKET_OPTIONS.get(command[2] if command[1] == "-m" else None)
    if options:
        place = command.index("{port}")
        command[place - 1 : place + 1] = options
    return command


def publish(server, data, channel="sse"):
    response = server.get(
        f"/publish?channel={channel}",
        "POST",
        {"Content-Type": "application/json"},
        json.dumps(data),
    )
    assert response.status == 200, response.text
    return response.text


def leave_behind(server, channel, reader):
    """
    Publish until the other of two streams, whose client does not read, is given up.

    ``reader`` is the one that does; it is given everything.
    """
    published = 0
    while subscribers(server) == 2:
        # Far beyond what the kernel holds for a connection.
        assert published < 50_000_000
        last = publish(server, "x" * 60_000, channel)
        published += 60_000
        while reader.parser.last_event_id != last:
            assert reader.read()
    assert not reader.has_ended


def subscribers(server):
    return json.loads(server.get("/statistics").text)["subscribers"]


# The servers that are tested, and whether their connections are taken over.
TAKEN_OVER = {
    "gunicorn-sync": gunicorn("plain:app", "--workers", "1"),
    "gunicorn-gthread": gunicorn(
        "plain:app", "--worker-class", "gthread", "--threads", "4"
    ),
    "gunicorn-gevent": gunicorn("plain:app", "--worker-class", "gevent"),
    "gunicorn-gevent-pywsgi": gunicorn("plain:app", "--worker-class", "gevent_pywsgi"),
    "waitress": waitress("plain:app"),
    "uwsgi-http-socket": uwsgi("plain:app", "--http-socket", "127.0.0.1:{port}"),
    "uwsgi-http": uwsgi("plain:app", "--http", "127.0.0.1:{port}"),
    "werkzeug": werkzeug("plain"),
    "werkzeug-debug": werkzeug("plain", "--debug"),
    "gevent-pywsgi": gevent_pywsgi("plain:app"),
    "gevent-pywsgi-not-patched": gevent_pywsgi("plain:app", "--not-patched"),
    "gunicorn-eventlet": [
        argument
        for argument in gunicorn("plain:app", "--worker-class", "eventlet")
        if argument != "--no-control-socket"
    ],
    "eventlet": eventlet_wsgi("plain:app"),
    "uvicorn-httptools": uvicorn("streams:app", "--http", "httptools", "--loop", "asyncio"),
    "uvicorn-h11": uvicorn("streams:app", "--http", "h11", "--loop", "asyncio"),
    "uvicorn-uvloop": uvicorn("streams:app", "--http", "httptools", "--loop", "uvloop"),
    "gunicorn-uvicorn": gunicorn(
        "streams:app", "--worker-class", "uvicorn_worker.UvicornWorker"
    ),
}
FALLBACK = {
    "gunicorn-gthread-fallback": TAKEN_OVER["gunicorn-gthread"],
    "werkzeug-fallback": TAKEN_OVER["werkzeug"],
    "mod-wsgi": mod_wsgi(),
    "granian-wsgi": granian(
        "plain:app",
        "--interface",
        "wsgi",
        "--blocking-threads",
        "10",
        "--workers-kill-timeout",
        "1",
    ),
    "uvicorn-fallback": TAKEN_OVER["uvicorn-httptools"],
    # Flask under ASGI.
    "uvicorn-a2wsgi": uvicorn("through_a2wsgi:app"),
    "gunicorn-asgi": gunicorn("streams:app", "--worker-class", "asgi"),
    "hypercorn": hypercorn("streams:app", "--graceful-timeout", "9"),
    # It would wait for the end of all streams, for ever.
    "granian": granian("streams:app", "--interface", "asgi", "--workers-kill-timeout", "1"),
    "daphne": daphne("streams:app"),
}
# Those with the application of plain.py.
WSGI = [
    name
    for name, command in (TAKEN_OVER | FALLBACK).items()
    if not any(part.startswith("streams") for part in command)
]
# Those with the application of streams.py.
ASGI = [name for name in (*TAKEN_OVER, *FALLBACK) if name not in WSGI]
_GUNICORN_23 = {
    "PYTHONPATH": str(fetched.FOLDER / "gunicorn-23.0.0-py3-none-any.whl"),
    "PYTHONWARNINGS": "ignore",
}
# They do not say that a client has left: heartbeats have to find out.
BLIND = {"mod-wsgi", "granian-wsgi"}
NO_TAKE_OVER = {"APP_SSE_TAKE_OVER": "false"}


def environment_of(name):
    """What the command line of one of them expects in its environment."""
    # gunicorn has no worker for eventlet since release 26.
    return _GUNICORN_23 if name == "gunicorn-eventlet" else {}


@contextlib.contextmanager
def serving_with(
    name,
    folder,
    *,
    threads=None,
    heartbeat=None,
    port=None,
    options=(),
    context=None,
    env=None,
):
    """
    Run one of them, called ``name``.

    ``threads``: another number of them; ``heartbeat``: seconds, where clients are noticed by
    them; ``port``: may be the path of a Unix socket;
    ``options``: more for its command line; ``context``: for TLS; ``env``: more for its
    environment.
    """
    command = [*(TAKEN_OVER | FALLBACK)[name], *options]
    env = {**(env or {}), **(NO_TAKE_OVER if name.endswith("-fallback") else {})}
    for option in ("--threads", "--blocking-threads"):
        if threads is not None and option in command:
            command[command.index(option) + 1] = threads
    env = {**env, **environment_of(name), "WORKERS": threads or "10"}
    if heartbeat is not None and name in BLIND:
        env["APP_SSE_HEARTBEAT_SECONDS"] = str(heartbeat)
    if isinstance(port, Path):
        command = on_unix_socket(command)
    with serving(command, folder, env=env, port=port, context=context) as server:
        server.name = name
        yield server
