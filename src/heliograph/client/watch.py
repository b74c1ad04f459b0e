"""
Ends a read of another thread: after too long a silence, and when somebody closes.

A thread that waits in ``recv`` can be woken from outside by shutting its socket down, with
TLS, through a proxy and in HTTP/2, too. The HTTP library has a time limit for reads, but it
is fixed when a request is sent, and the interval of heartbeats is known later.

The thread of a watch lives as long as a stream is read. It knows the socket, and neither
the event source nor its caller, so that those can be collected meanwhile.
"""

from __future__ import annotations

import contextlib
import math
import socket
import sys
import threading
from time import monotonic
from typing import Any

__all__ = ["Watch"]


# How long the end of the thread is waited for.
_JOIN_SECONDS = 1.0


class Watch:
    """
    The time limit and the end of one event source's reads.

    Attributes:
        has_timed_out: Whether silence has ended the read; until :meth:`rest`.
        closed: Set by :meth:`close`, for those who wait for something else.
    """

    def __init__(self) -> None:
        self.has_timed_out = False
        self.closed = threading.Event()
        # Entered by itself: a condition enters its lock in Python, and Ctrl-C between that
        # and the block would leave it locked for ever.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._socket: socket.socket | None = None
        # Written by the reading thread for each piece, without the lock: the watching
        # thread looks at it again when the earlier deadline has passed.
        self._deadline = math.inf
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def trace(self, name: str, info: dict[str, Any]) -> None:
        """
        Note the socket of a connection: the ``trace`` extension of the HTTP library.

        Args:
            name: What has happened.
            info: Its arguments or its result.
        """
        if name.endswith(
            ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")
        ):
            self.attach(info["return_value"])

    def attach(self, stream: Any) -> None:
        """
        Watch a connection.

        Args:
            stream: The HTTP library's stream; :obj:`None` if a transport has none. Such a
                read ends by itself only.
        """
        if stream is None:
            return
        with self._lock:
            self._socket = stream.get_extra_info("socket")
            if self.closed.is_set():
                self._shut_down()

    def expect(self, seconds: float | None) -> None:
        """
        Begin to wait for bytes.

        Args:
            seconds: The longest silence; :obj:`None` for any.
        """
        self._deadline = math.inf if seconds is None else monotonic() + seconds
        if self._deadline < self._wakes_at:
            with self._lock:
                if self._thread is None:
                    thread = threading.Thread(
                        target=self._run, name="heliograph-client-watch", daemon=True
                    )
                    thread.start()
                    # Now: one that was kept from starting cannot be joined.
                    self._thread = thread
                self._changed.notify()

    def pause(self) -> None:
        """Wait for no bytes for now: those that came are handed out."""
        self._deadline = math.inf

    def rest(self) -> None:
        """Wait for no bytes: the connection is closed."""
        self._deadline = math.inf
        with self._lock:
            self.has_timed_out = False
            self._socket = None

    def close(self) -> None:
        """End the read that is waiting, and all later ones."""
        self.closed.set()
        with self._lock:
            self._shut_down()
            self._changed.notify()

    def join(self) -> None:
        """Wait until the thread has ended, a second at most, after :meth:`close`."""
        # The garbage collector runs in any thread, this one included; and once the
        # interpreter exits, threads like this one no longer run.
        if self._thread not in {None, threading.current_thread()} and not (
            sys.is_finalizing()
        ):
            # Not for ever: an exception in Thread.start() may have kept it from running.
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        with self._lock:
            while not self.closed.is_set():
                remaining = self._deadline - monotonic()
                if remaining <= 0:
                    self.has_timed_out = True
                    self._deadline = math.inf
                    self._shut_down()
                    continue
                self._wakes_at = self._deadline
                self._changed.wait(min(remaining, threading.TIMEOUT_MAX))
                self._wakes_at = math.inf

    def _shut_down(self) -> None:
        if self._socket is None:
            return
        # That of the socket itself: SSLSocket.shutdown takes the TLS state away from under
        # the thread that reads. An error means that the peer was faster.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
