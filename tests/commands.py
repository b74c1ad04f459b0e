"""The command ``heliograph`` as a process, at a terminal or with pipes."""

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import threading

from programs import until

COMMAND = [sys.executable, "-m", "heliograph"]

# A command that hangs is told to say where (SIGABRT).
_SHOWS_STACKS = {"PYTHONFAULTHANDLER": "1"}

# The terminal has to be that of the process's session, or Ctrl-C reaches nobody.
_AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "heliograph", *sys.argv[1:]])
"""


def heliograph(*arguments, **options):
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        **options,
    )


def resuming(error_text):
    """Return the options with which the command says that it continues."""
    (found,) = re.findall(r"(?:continue|publish the others) with (--.*?)\r?\n", error_text)
    return shlex.split(found)


class Command:
    """
    A command that runs, and what it has written until now.

    Attributes:
        out: Its stdout; at a terminal both.
        err: Its stderr.
        input: The file to write its stdin to.
    """

    def __init__(self, *arguments, stdin=subprocess.PIPE):
        self.out = self.err = ""
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **_SHOWS_STACKS},
        )
        self.input = self.process.stdin
        self._threads = [
            self._reads(self.process.stdout, "out"),
            self._reads(self.process.stderr, "err"),
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        if self.input:
            with contextlib.suppress(BrokenPipeError):
                self.input.close()
        self.end()

    def interrupt(self):
        """Press Ctrl-C, and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self):
        """Wait for the end, and return the exit code."""
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            code = None
        for thread in self._threads:
            thread.join(20)
        assert code is not None, f"it does not end:\n{self.out[-2000:]}\n{self.err}"
        return code

    def wait_for(self, *texts, where="out"):
        """Wait until the command has written some texts."""
        until(
            lambda: (
                all(text in getattr(self, where) for text in texts)
                or self.process.poll() is not None
            )
        )
        assert all(text in getattr(self, where) for text in texts), (self.out, self.err)

    def _reads(self, file, name):
        def read():
            with file:
                while piece := self._piece(file):
                    setattr(self, name, getattr(self, name) + piece.decode())

        thread = threading.Thread(target=read)
        thread.start()
        return thread

    def _piece(self, file):
        try:
            return os.read(file.fileno(), 65536)
        except OSError:  # a terminal whose process has ended
            return b""


class AtTerminal(Command):
    """A command at a terminal of a hundred columns."""

    def __init__(self, *arguments, stdin=None, env=None):
        self.out = self.err = ""
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 100))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _AT_TERMINAL, *map(str, arguments)]
            if stdin is None
            else [*COMMAND, *map(str, arguments)],
            stdin=slave if stdin is None else stdin,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={
                **os.environ,
                **_SHOWS_STACKS,
                "TERM": "xterm-256color",
                **(env or {}),
            },
        )
        os.close(slave)
        self.input = self.process.stdin
        self._terminal = os.fdopen(master, "r+b", buffering=0)
        self._threads = [self._reads(self._terminal, "out")]

    def interrupt(self):
        """Type Ctrl-C, and return the exit code."""
        self._terminal.write(b"\x03")
        return self.end()


def lines(text):
    """Return the events of lines of JSON."""
    return [json.loads(line) for line in text.splitlines()]
