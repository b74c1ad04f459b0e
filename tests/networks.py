"""A network of two machines, of which one can lose its cable."""

import contextlib
import ctypes
import itertools
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000

SERVER_ADDRESS = "192.0.2.1"
PORT = 8000


def _ip(*arguments):
    done = subprocess.run(
        [shutil.which("ip") or "/usr/sbin/ip", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (arguments, done.stderr)


class Network:
    """
    Two network namespaces and a cable between them; nothing else is reachable from them.

    A server that listens on ``SERVER_ADDRESS`` is started with ``inside(command)``.
    """

    def __init__(self):
        name = f"hg-{os.getpid()}-{next(_numbers)}"
        self.server, self.client = f"{name}-s", f"{name}-c"
        for namespace in (self.server, self.client):
            _ip("netns", "add", namespace)
        _ip(
            "-n", self.server, "link", "add", "cable", "type", "veth",
            "peer", "name", "cable", "netns", self.client,
        )  # fmt: skip
        for namespace, address in (
            (self.server, SERVER_ADDRESS),
            (self.client, "192.0.2.2"),
        ):
            _ip("-n", namespace, "address", "add", f"{address}/24", "dev", "cable")
            _ip("-n", namespace, "link", "set", "lo", "up")
            _ip("-n", namespace, "link", "set", "cable", "up")

    def inside(self, command):
        return [
            shutil.which("ip") or "/usr/sbin/ip",
            "netns",
            "exec",
            self.server,
            *command,
        ]

    def connect_beside(self):
        """Connect from the server's own machine."""
        return _in_namespace(self.server, _connect)

    def connect_from_afar(self):
        """Connect from the other one."""
        return _in_namespace(self.client, _connect)

    def cut(self):
        """Take the cable out: nobody is told."""
        _ip("-n", self.client, "link", "set", "cable", "down")

    def close(self):
        for namespace in (self.server, self.client):
            _ip("netns", "delete", namespace)


def _connect():
    return socket.create_connection((SERVER_ADDRESS, PORT), timeout=20)


def _in_namespace(name, function):
    """Call a function in a thread of the namespace: what it opens stays there."""
    results = []

    def run():
        with Path("/run/netns", name).open() as namespace:
            assert _libc.setns(namespace.fileno(), _CLONE_NEWNET) == 0
        try:
            results.append(function())
        except OSError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(results[0], OSError):
        raise results[0]
    return results[0]


@contextlib.contextmanager
def network():
    made = Network()
    try:
        yield made
    finally:
        made.close()
