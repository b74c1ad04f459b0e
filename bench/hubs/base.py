"""
What all hubs have in common: how one is set up, started on a core, and ended.

A hub is a small file: which program, with which settings, and what its requests look like.
`Hub.serving` starts its processes, each in a session of its own, waits until it answers with
a stream, and ends them by their ids.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# The load generator writes an event's number and the time over it.
MARK = load.MARK.decode()
HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
# What is installed and built for the bench.
FETCHED = ROOT / ".fetched" / "bench"
# The last core: the load generator has the first one.
CORE = (os.cpu_count() or 1) - 1
# Streams take a descriptor each, with Flask-SSE two. Whoever may not open as many gets what
# he may.
DESCRIPTORS = 65_536
START_SECONDS = 30
END_SECONDS = 15


def request(
    method: str, target: str, body: str | None = None, headers: Sequence[str] = ()
) -> bytes:
    """Return a whole request of HTTP/1.1 that keeps the connection."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", body or ""]).encode()


def event_data(padding: int) -> str:
    """Return what is published: JSON with the mark, compact, as it stays in JSON."""
    return f'{{"m":"{MARK}","p":"{"x" * padding}"}}'


def together(channel: str | Sequence[str]) -> list[str]:
    """Return one channel or several as a list."""
    return [channel] if isinstance(channel, str) else list(channel)


class Running:
    """
    A hub that runs. Hubs override what their requests look like.

    Attributes:
        port: Where streams are opened, on loopback.
        publish_port: Where events are published: mostly the same one.
    """

    stream_path = "/stream"
    publish_path = "/publish"

    def __init__(self, port: int, publish_port: int | None = None) -> None:
        self.port = port
        self.publish_port = publish_port or port
        self.started: list[Started] = []

    def processes(self) -> list[int]:
        """Return the ids of all processes that are the hub's, with their children."""
        sessions = {one.process.pid for one in self.started}
        return [pid for pid, session in running_processes() if session in sessions]

    def stream_request(
        self, channel: str | Sequence[str] = "a", last_event_id: str | None = None
    ) -> bytes:
        """Return the request of an EventSource for one channel or several."""
        query = "&".join(f"channel={name}" for name in together(channel))
        return self.stream_of(f"{self.stream_path}?{query}", last_event_id)

    def stream_of(self, target: str, last_event_id: str | None) -> bytes:
        """Return the request for a stream at a target, to resume after an id."""
        headers = ["Accept: text/event-stream"]
        if last_event_id is not None:
            headers.append(f"Last-Event-ID: {last_event_id}")
        return request("GET", target, headers=headers)

    def publish_request(self, channel: str = "a", padding: int = 40) -> bytes:
        """Return the request that publishes an event, with `MARK` in it."""
        return request(
            "POST", f"{self.publish_path}?channel={channel}", event_data(padding)
        )


class Hub(ABC):
    """
    A hub that can be set up and started.

    Attributes:
        name: What tables call it, with its version.
        resumes: Whether `Last-Event-ID` brings what a client has missed.
    """

    name: str
    resumes = True

    @abstractmethod
    def why_missing(self) -> str | None:
        """Return a sentence for people if the hub cannot be had here, else None."""

    def set_up(self) -> None:  # noqa: B027 - a hub that needs nothing says nothing
        """Install and build what is missing. Quick if nothing is."""

    @abstractmethod
    def start(self, folder: pathlib.Path, streams: int) -> Iterator[Started | Running]:
        """
        Yield the processes that are started, then how they are reached.

        Each is started when it is asked for, in the order of what they need.

        Args:
            folder: For configuration, sockets and logs. It is removed afterwards.
            streams: As many as will be opened.
        """

    @contextlib.contextmanager
    def serving(self, *, streams: int, core: int | None = CORE) -> Iterator[Running]:
        """
        Run the hub until the block is left.

        Args:
            streams: As many as will be opened.
            core: The processor on which all of its processes run, None: all.

        Raises:
            RuntimeError: It has ended or does not answer; with the end of its log.
        """
        with contextlib.ExitStack() as stack:
            folder = pathlib.Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
            )
            started: list[Started] = []
            stack.callback(lambda: [one.end() for one in reversed(started)])
            with descriptors(), on_core(core):
                for step in self.start(folder, streams):
                    if isinstance(step, Started):
                        started.append(step)
                    else:
                        running = step
            running.started = started
            wait_for_stream(running)
            yield running


class Started:
    """
    A process that was started, in a session of its own, with its output in a file.

    Args:
        command: The program and its arguments.
        folder: Where the log is, and where it runs unless `cwd` is given.
        env: Variables of its environment beside ours.
    """

    def __init__(
        self,
        command: Sequence[str | pathlib.Path],
        folder: pathlib.Path,
        *,
        cwd: pathlib.Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.log = folder / f"{pathlib.Path(command[0]).name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd or folder,
                env=os.environ | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> None:
        """End it as its administrator would; if it does not end, with all of its session."""
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)
        for pid, session in running_processes():
            if session == self.process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()


def running_processes() -> Iterator[tuple[int, int]]:
    """Yield the id and the session of each process that runs."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdecimal():
            # It may have ended meanwhile. Its name, in parentheses, may contain anything.
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    yield int(entry.name), int(fields[3])


def free_ports(count: int = 1) -> list[int]:
    """Return ports on loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]


def head_of(port: int, text: bytes) -> bytes:
    """Return the head of the answer to a request, or what there is of it."""
    with socket.create_connection(("127.0.0.1", port), 2) as connection:
        connection.sendall(text)
        head = b""
        while b"\r\n\r\n" not in head and (data := connection.recv(4096)):
            head += data
        return head


def wait_for_stream(running: Running) -> None:
    """Wait until a stream is answered with 200 and the port of publishers is open."""
    due = time.monotonic() + START_SECONDS
    problem = ""
    while time.monotonic() < due:
        for one in running.started:
            if one.process.poll() is not None:
                raise RuntimeError(f"{one.process.args} has ended:\n{logs(running)}")
        try:
            head = head_of(running.port, running.stream_request("waiting"))
            if head.partition(b"\r\n")[0].split()[1:2] == [b"200"]:
                socket.create_connection(("127.0.0.1", running.publish_port), 2).close()
                return
            problem = repr(head)
        except OSError as error:
            problem = str(error)
        time.sleep(0.05)
    raise RuntimeError(f"no stream after {START_SECONDS} s, {problem}:\n{logs(running)}")


def logs(running: Running) -> str:
    """Return the end of what the processes have written."""
    return "\n".join(
        f"{one.log.name}: {one.log.read_text(errors='replace')[-2000:]}"
        for one in running.started
    )


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Run what is started meanwhile on one core."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def descriptors() -> Iterator[None]:
    """Allow what is started meanwhile to open as many files as this process may allow."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[1], DESCRIPTORS),) * 2)
    try:
        yield
    finally:
        # The soft limit only: who has raised the hard one may not be able to do so again.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[0], hard))


def debian(package: str, program: str) -> str | None:
    """Return why a program is missing that a Debian package has, else None."""
    if shutil.which(program) or shutil.which("apt-get"):
        return None
    return f"{program} is not installed, and this is no Debian: install {package}"


def install_debian(*packages: str) -> None:
    """Install Debian packages that are missing."""
    subprocess.run(["sh", "tools/debian_packages", *packages], cwd=ROOT, check=True)


def peers_python() -> pathlib.Path:
    """Return the Python of the peers that are Python packages, with them installed."""
    venv, pins = FETCHED / "peers", HERE.parent / "constraints-peers.txt"
    done = venv / "installed"
    if not done.exists() or done.read_bytes() != pins.read_bytes():
        # Not the interpreter of the bench's own environment, but the one that made it.
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = ["sh", "tools/retry", venv / "bin/pip", "install", "--quiet"]
        for arguments in (
            ["-r", "requirements-pip.txt"],
            ["--build-constraint", "constraints.txt", "-r", pins],
        ):
            subprocess.run([*pip, *arguments], cwd=ROOT, check=True)
        shutil.copyfile(pins, done)
    return venv / "bin" / "python"


def pinned(package: str) -> str:
    """Return the version of a peer that is a Python package."""
    for line in (HERE.parent / "constraints-peers.txt").read_text().splitlines():
        name, found, version = line.partition("==")
        if found and name == package:
            return version.split()[0]
    raise LookupError(f"{package} is not in bench/constraints-peers.txt")
