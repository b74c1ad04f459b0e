"""Options of connections."""

import socket
import sys

import pytest

from heliograph import (
    HubConfig,
)
from heliograph.hub.sinks import tune_descriptor


@pytest.mark.skipif(sys.platform != "linux", reason="the names are Linux's")
@pytest.mark.parametrize(
    ("seconds", "times"),
    [(6, [6_000, 3, 1, 3]), (86_400, [86_400_000, 32_767, 14_400, 3])],
)
def test_what_is_set_for_a_connection(seconds, times):
    """It is prompt and bounded, and its peer is watched, also through a copy of it."""
    config = HubConfig(send_buffer_bytes=65_536, dead_peer_seconds=seconds)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    with client, accepted:
        tune_descriptor(accepted.fileno(), config)
        # The kernel counts its own bookkeeping.
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 65_536
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        found = [
            accepted.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_NODELAY", "TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL",
                         "TCP_KEEPCNT")
        ]  # fmt: skip
        assert found == [1, *times]
