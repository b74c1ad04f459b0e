"""
Wakes the other processes of the machine that share a file.

Who listens binds a Unix datagram socket in a folder beside the file; who has written
sends one byte to each socket in that folder. A ring says only "look again", so losing
one is no harm beyond the wait until the next look. A socket whose process has died
refuses the byte, and the ringer removes it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Doorbell", "ring"]

# sun_path has 108 bytes on Linux, 104 elsewhere, with a NUL at the end.
_LONGEST_ADDRESS = 100

# Enough to empty a doorbell in one go, however often it was rung.
_RINGS_AT_ONCE = 4096


class Doorbell:
    """
    A place to be rung.

    Args:
        folder: Where the bells of a file are; made if it is missing.

    Raises:
        OSError: No bell can be put there: no Unix sockets, or no right to write.
    """

    def __init__(self, folder: Path) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError("this system has no Unix sockets")
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._socket = _datagram_socket()
        try:
            with _address(folder, self._path.name) as address:
                self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise
        # Also of a listener whose loop has ended without closing it.
        self._dropped = weakref.finalize(
            self, _take_down, self._socket, self._path, os.getpid()
        )
        self._dropped.atexit = False

    def fileno(self) -> int:
        """Give the descriptor that becomes readable when someone rings."""
        return self._socket.fileno()

    def is_hung(self) -> bool:
        """Say whether the bell can still be found: its folder may have been removed."""
        return self._path.exists()

    def silence(self) -> None:
        """Take all rings so far."""
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(_RINGS_AT_ONCE):
                pass

    def close(self) -> None:
        """Take the bell down."""
        # Finalizers no longer run when the process ends.
        if self._dropped.detach() is not None:
            _take_down(self._socket, self._path, os.getpid())


def ring(folder: Path) -> None:
    """
    Ring every bell in a folder, and remove those of dead processes.

    Args:
        folder: Where the bells are. Without it there are none.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208 - on the way of each publish
    except OSError:
        return
    if not names or not hasattr(socket, "AF_UNIX"):
        return
    with _datagram_socket() as sender:
        for name in names:
            _ring_one(sender, folder, name)


def _take_down(bell: socket.socket, path: Path, process: int) -> None:
    bell.close()
    if process == os.getpid():
        path.unlink(missing_ok=True)


def _ring_one(sender: socket.socket, folder: Path, name: str) -> None:
    try:
        with _address(folder, name) as address:
            sender.sendto(b"!", address)
    except ConnectionRefusedError:
        (folder / name).unlink(missing_ok=True)
    except OSError:
        # Full (it has been rung already), just taken down, or not ours to ring: the
        # listener looks by itself now and then.
        pass


def _datagram_socket() -> socket.socket:
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bell.setblocking(False)  # noqa: FBT003 - no keyword
    return bell


@contextlib.contextmanager
def _address(folder: Path, name: str) -> Iterator[str]:
    direct = str(folder / name)
    if len(os.fsencode(direct)) <= _LONGEST_ADDRESS:
        yield direct
        return
    # Linux lets a long path be named through a descriptor of its folder.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
