"""
Wake the other processes of the machine that share a file.

A process that listens binds a Unix datagram socket in a folder beside the file. One that
has written sends the names of the channels to each socket in that folder, so that a process
that listens to none of them does not read. A ring only means "read again", so a lost one
costs the time until the next poll. A socket whose process has died refuses the datagram,
and whoever rings removes it. A folder that another user has made is not used: that
user would learn when something is published, and choose what is removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import stat
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from ... import native
from ...logs import Logger
from .private_files import change_mode, give
from .trust import bells_problem, is_shared

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = ["Doorbell", "UntrustedBellsError", "count_bells", "ring"]

_log = Logger("heliograph.brokers.sqlite")

# sun_path has 108 bytes on Linux, 104 elsewhere, with a NUL at the end.
_LONGEST_ADDRESS = 100

# A ring that names no channel: there were too many. Earlier releases ring like this always.
_ANY = b"!"
# Begins and separates names, which never contain it.
_SEPARATOR = b"\0"
# There are systems that take no more than 2 KB at once, and keep 4 KB of what waits.
_LONGEST_RING = 1024
_RING_AND_MORE = 4096

# Linux drops rings when 11 wait, unless net.unix.max_dgram_qlen says otherwise. When more
# than these have waited, others may have been dropped.
_RINGS_WITHOUT_LOSS = 4


class UntrustedBellsError(OSError):
    """Another user may have made the folder of doorbells. The message says what to do."""


class Doorbell:
    """
    A socket that becomes readable when another process rings.

    Args:
        folder: The folder of the file's doorbells; made if it is missing.
        mode: The rights that the file gives; its group may ring if it may write.

    Raises:
        UntrustedBellsError: Another user may have made the folder.
        OSError: No doorbell can be made there: there are no Unix sockets, or the right to
            write is missing.
    """

    def __init__(self, folder: Path, mode: int) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError("this system has no Unix sockets")
        _make_folder(folder, mode)
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._socket = _datagram_socket()
        try:
            with _address(folder, self._path.name) as address:
                self._socket.bind(address)
            _let_ring(self._path, mode)
        except OSError:
            self._socket.close()
            raise
        # Also of a listener whose loop has ended without closing it.
        self._dropped = weakref.finalize(
            self, _take_down, self._socket, self._path, os.getpid()
        )
        self._dropped.atexit = False

    @property
    def name(self) -> str:
        """The name of the socket in its folder."""
        return self._path.name

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when someone rings."""
        return self._socket.fileno()

    def is_hung(self) -> bool:
        """Return whether the socket still exists: its folder may have been removed."""
        return os.path.exists(self._path)  # noqa: PTH110 - Path.exists() may raise

    def take_rings(self) -> Collection[str] | None:
        """Return the channels of all rings so far; :obj:`None` if it may be any channel."""
        rings: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while ring := self._socket.recv(_RING_AND_MORE):
                rings.append(ring)
        message = b"".join(rings)
        if len(rings) > _RINGS_WITHOUT_LOSS or len(message) > _LONGEST_RING:
            return None
        if not all(ring.startswith(_SEPARATOR) for ring in rings):
            return None
        try:
            return {*message.decode().split(_SEPARATOR.decode())[1:]}
        except UnicodeDecodeError:
            return None  # not of ours

    def close(self) -> None:
        """Remove the socket."""
        # Finalizers no longer run when the process ends.
        if self._dropped.detach() is not None:
            _take_down(self._socket, self._path, os.getpid())


def ring(
    folder: Path, mode: int, channels: Iterable[str], *, but: str | None = None
) -> None:
    """
    Ring every doorbell in a folder, and remove those of dead processes.

    Called after a commit, so that nothing that is wrong here may be an error: listeners
    also poll.

    Args:
        folder: The folder of doorbells. It need not exist.
        mode: The rights that the file gives.
        channels: In which there is something new.
        but: The name of a doorbell that is not rung; :obj:`None` to ring all.
    """
    if not hasattr(socket, "AF_UNIX"):
        return
    try:
        if bells_problem(folder, mode) is not None:
            return
        with os.scandir(folder) as found:
            names = [entry.name for entry in found if entry.name != but]
        bells = [name for name in names if _is_socket(folder / name)]
        if bells:
            message = _message(channels)
            with _datagram_socket() as sender:
                for name in bells:
                    _ring_one(sender, folder, name, message)
    except OSError as error:
        # Such as too many open files.
        _log.debug("cannot ring the doorbells in %s: %s", folder, error)


def count_bells(folder: Path, mode: int) -> int | None:
    """
    Return how many doorbells hang in a folder, without ringing them.

    Args:
        folder: The folder of doorbells.
        mode: The rights that the file gives.

    Returns:
        The number, without those of dead processes; :obj:`None` if it cannot be known.
    """
    if not hasattr(socket, "AF_UNIX"):
        return None
    try:
        if bells_problem(folder, mode) is not None:
            return None
        with os.scandir(folder) as found:
            names = [entry.name for entry in found]
        bells = [name for name in names if _is_socket(folder / name)]
        return sum(_is_answered(folder, name) for name in bells)
    except OSError as error:
        _log.debug("cannot count the doorbells in %s: %s", folder, error)
        return None


def _is_answered(folder: Path, name: str) -> bool:
    # To connect sends nothing, and is refused where the process is dead.
    with _datagram_socket() as caller, _address(folder, name) as address:
        try:
            caller.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def _make_folder(folder: Path, mode: int) -> None:
    rights = 0o770 if is_shared(mode) else 0o700
    try:
        folder.mkdir(mode=0o700)
        is_new = True
    except FileExistsError:
        is_new = False
    status = os.lstat(folder)
    if stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) & 0o777 != rights:
        _set_rights(folder, rights)
    if is_new:
        database = Path(str(folder).removesuffix("-bells"))
        give(folder, database if database.exists() else folder.parent)
    problem = bells_problem(folder, mode)
    if problem is not None:
        raise UntrustedBellsError(problem)


def _set_rights(folder: Path, rights: int) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.geteuid():
            # Together with the bit that gives what is in it to its group.
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~0o777 | rights)
    finally:
        os.close(descriptor)


def _let_ring(path: Path, mode: int) -> None:
    # To ring is to write.
    status = os.lstat(path)
    if not stat.S_ISSOCK(status.st_mode):
        raise FileNotFoundError(
            errno.ENOENT, "another program has put something else there", path
        )
    change_mode(path, status, 0o660 if is_shared(mode) else 0o600)
    give(path, path.parent)


def _take_down(bell: socket.socket, path: Path, process: int) -> None:
    bell.close()
    if process == os.getpid():
        _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        # The folder has lost the right to write. Whoever rings tries it again.
        _log.debug("cannot remove the doorbell %s: %s", path, error)


def _is_socket(path: Path) -> bool:
    # NAS systems put folders of their own into each folder, and a link could lead to the
    # sockets of other programs: what is no socket here is not ours.
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False  # just removed


def _message(channels: Iterable[str]) -> bytes:
    names = b"".join(_SEPARATOR + name.encode() for name in dict.fromkeys(channels))
    return names if len(names) <= _LONGEST_RING else _ANY


def _ring_one(sender: socket.socket, folder: Path, name: str, message: bytes) -> None:
    try:
        with _address(folder, name) as address:
            sender.sendto(message, address)
    except ConnectionRefusedError:
        _remove(folder / name)
    except OSError:
        # Full (it has been rung already), just removed, or without the right to ring: the
        # listener also polls.
        pass


def _datagram_socket() -> socket.socket:
    bell: socket.socket = native.original("socket", "socket")(
        socket.AF_UNIX, socket.SOCK_DGRAM
    )
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
