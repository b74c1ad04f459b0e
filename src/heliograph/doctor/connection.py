"""
Connections as a browser makes them, step by step, each step with its time and its fault.

Plain sockets, because an HTTP library hides what is to be found out: which address failed,
how the body is framed, what arrived before the head was complete.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from typing import TYPE_CHECKING

from .observation import Connected, Fault

if TYPE_CHECKING:
    from .target import Address, Target

__all__ = ["connect", "speaks_tls"]

CONNECT_SECONDS = 10.0
_HTTP1 = ["http/1.1"]


def connect(
    address: Address, target: Target, dead: dict[tuple[str, int], str]
) -> tuple[Connected, socket.socket | None]:
    """
    Connect to a server, with TLS if the address says so.

    Args:
        address: Where to.
        target: How to verify certificates.
        dead: Addresses that could not be reached before, with the reasons, which are tried
            last: each costs up to 10 seconds. Those that fail now are added.

    Returns:
        What was seen, and the connection unless there is a fault.
    """
    seen = Connected()
    start = time.monotonic()
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is too long, or empty
        seen.fault = Fault("dns", f"{address.host}: {error}")
        return seen, None
    except OSError as error:
        seen.fault = Fault("dns", f"{address.host}: {error.strerror or error}")
        return seen, None
    seen.dns_seconds = time.monotonic() - start
    seen.addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
    connection = _connect_to_one(found, seen, dead)
    if connection is None or address.scheme == "http":
        return seen, connection
    start = time.monotonic()
    try:
        secure = _context(target, _HTTP1).wrap_socket(
            connection, server_hostname=address.host
        )
    except OSError as error:
        connection.close()
        seen.fault = _tls_fault(error)
        return seen, None
    seen.tls_seconds = time.monotonic() - start
    seen.tls_version = secure.version()
    return seen, secure


def preferred_protocol(address: Address, target: Target, peer: str) -> str | None:
    """
    Return what a server chooses that is offered HTTP/2; :obj:`None` without TLS.

    Args:
        address: The name of the server, and its port.
        target: How to verify certificates.
        peer: The IP address at which the server was reached.
    """
    if address.scheme != "https":
        return None
    context = _context(target, ["h2", *_HTTP1])
    try:
        with (
            socket.create_connection((peer, address.port), CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as secure,
        ):
            return secure.selected_alpn_protocol()
    except OSError:
        return None


def speaks_tls(address: Address, peer: str) -> bool:
    """Return whether a server answers TLS at the port of an address without; see above."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((peer, address.port), CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=address.host),
        ):
            return True
    except OSError:
        return False


def _connect_to_one(
    found: list[tuple],  # type: ignore[type-arg]  # as getaddrinfo returns it
    seen: Connected,
    dead: dict[tuple[str, int], str],
) -> socket.socket | None:
    failures = []
    for family, kind, protocol, _, sockaddr in sorted(
        found, key=lambda one: one[4][:2] in dead
    ):
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(CONNECT_SECONDS)
        start = time.monotonic()
        try:
            connection.connect(sockaddr)
        except OSError as error:
            connection.close()
            failures.append(error)
            dead[sockaddr[:2]] = _reason(error)
            continue
        seen.tcp_seconds = time.monotonic() - start
        seen.peer = str(sockaddr[0])
        seen.failed = _failed(seen, sockaddr[1], dead)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    last = failures[-1]
    name, port = sockaddr[:2]
    seen.failed = _failed(seen, port, dead)
    seen.fault = Fault(_kind(last), f"{name} port {port}: {_reason(last)}")
    return None


def _failed(
    seen: Connected, port: int, dead: dict[tuple[str, int], str]
) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, dead[name, port]) for name in seen.addresses if (name, port) in dead
    )


def _kind(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "timeout"
    return "unreachable"


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _context(target: Target, protocols: list[str]) -> ssl.SSLContext:
    context = target.context
    if context is None:
        context = ssl.create_default_context()
        # Python 3.13 refuses certificates of private authorities that browsers accept.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(protocols)
    return context


# What OpenSSL says of an answer that is no TLS, in its different releases.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL",
           "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "HTTPS_PROXY_REQUEST")  # fmt: skip


def _tls_fault(error: OSError) -> Fault:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fault("certificate", error.verify_message or str(error))
    if isinstance(error, ssl.SSLError) and "NO_APPLICATION_PROTOCOL" in (
        error.reason or ""
    ):
        return Fault("h2", "the server refuses HTTP/1.1 in the TLS handshake")
    if isinstance(error, ssl.SSLError):
        kind = "plain-port" if error.reason in _NO_TLS else "tls"
        return Fault(kind, (error.reason or str(error)).replace("_", " ").lower())
    if isinstance(error, TimeoutError):
        return Fault("timeout", "no answer to the TLS handshake")
    return Fault("tls", f"the connection ended during the TLS handshake: {_reason(error)}")
