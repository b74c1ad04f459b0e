"""Whether a peer on this machine has read what was sent to it."""

import fcntl
import socket
import struct
import termios
import time

# Of linux/netlink.h and linux/sock_diag.h.
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG = 20
_REQUEST = 1
_ERROR = 2
_EVERY = 0xFFFFFFFF


def wait_until_read(connection):
    """Wait until the peer has read all that was sent, or has closed."""
    while (unread := _unread(connection)) is not None:
        # What is not acknowledged is on its way there.
        if unread == 0 and _unacknowledged(connection) == 0:
            return
        time.sleep(0.0005)  # the kernel notifies nobody


def _unacknowledged(connection):
    (waiting,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))
    return waiting


def _unread(connection):
    """Return how many bytes the peer's socket has to read, or None: see sock_diag(7)."""
    (theirs, their_port), (ours, our_port) = (
        connection.getpeername(),
        connection.getsockname(),
    )
    request = struct.pack(
        "=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _EVERY
    ) + struct.pack(
        "!HH4s12x4s12xIII",
        their_port, our_port, socket.inet_aton(theirs), socket.inet_aton(ours), 0, _EVERY, _EVERY,
    )  # fmt: skip
    message = struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG, _REQUEST, 0, 0) + request
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.send(message)
        answer = netlink.recv(8192)
    kind, *_ = struct.unpack_from("=H", answer, 4)
    if kind == _ERROR:
        return None  # its socket is closed
    unread, *_ = struct.unpack_from("=I", answer, 16 + 4 + 48 + 4)
    return unread
