"""Publishers in processes of their own, and a Redis for them."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

from hubs.base import Started, free_ports, on_core

_PROGRAMS = pathlib.Path(__file__).parent / "programs"
_REDIS_STARTS_SECONDS = 10


class Feeder:
    """The program that publishes, ready to begin."""

    def __init__(self, process):
        self._process = process

    def feed(self):
        """Let it publish; return how many events in how many seconds, and its CPU time."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the feeding program ended with {self._process.wait()}")
        return json.loads(line)


@contextlib.contextmanager
def feeding(url, *, cpu=None, program="feeding.py", **options):
    """
    Start the program that publishes through a broker, and yield a `Feeder`.

    Args:
        url: Of the broker.
        cpu: The core that the process is pinned to, None for any.
        program: Its file in programs/.
        options: Those of the program, with underscores.
    """
    command = [sys.executable, str(_PROGRAMS / program), url]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    with on_core(cpu):
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the feeding program ended with {process.wait()}")
        yield Feeder(process)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.stdout.close()


class Redis:
    """A Redis that runs. Its figures are read by the protocol itself."""

    def __init__(self, port):
        self._port = port
        self.url = f"redis://127.0.0.1:{port}"

    def info(self):
        """What it says of itself: names and values as it writes them."""
        with socket.create_connection(("127.0.0.1", self._port), 5) as connection:
            connection.sendall(b"INFO\r\n")
            size, _, text = connection.recv(65536).partition(b"\r\n")
            while len(text) < int(size[1:]):
                text += connection.recv(65536)
        pairs = (line.partition(":") for line in text.decode().splitlines())
        return {name: value for name, found, value in pairs if found}


@contextlib.contextmanager
def redis(cpu=None):
    """Run a Redis that stores nothing on disk, on a core."""
    (port,) = free_ports()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = pathlib.Path(name)
        with on_core(cpu):
            started = Started(
                [
                    *("redis-server", "--bind", "127.0.0.1", "--port", str(port)),
                    *("--save", "", "--appendonly", "no", "--dir", folder),
                ],
                folder,
            )
        try:
            due = time.monotonic() + _REDIS_STARTS_SECONDS
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                if time.monotonic() > due or started.process.poll() is not None:
                    raise RuntimeError("redis-server does not start")
                time.sleep(0.02)
            yield Redis(port)
        finally:
            started.end()


@contextlib.contextmanager
def broker_url(name, cpu=None):
    """Yield the URL of a broker, "memory", "SQLite" or "Redis", for a new hub."""
    if name == "memory":
        yield "memory:"
    elif name == "Redis":
        with redis(cpu) as server:
            yield server.url
    else:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            # Its path is absolute, and nobody else may write into the folder.
            yield f"sqlite:///{folder}/events.sqlite3"
