"""Behind each proxy of the documentation, configured as its recipe says."""

import contextlib

import httpx
import pytest

from proxies import recipe
from servers import gunicorn, publish, serving, subscribers, until

HEARTBEAT = {"APP_SSE_HEARTBEAT_SECONDS": "1"}
# Apache notices that a client has left when it writes to it, and has a thread for each.
CASES = [
    ("nginx", "HTTP/1.1", 100, {}),
    ("nginx", "HTTP/2", 100, {}),
    ("caddy", "HTTP/1.1", 100, {}),
    ("caddy", "HTTP/2", 100, {}),
    ("haproxy", "HTTP/1.1", 100, {}),
    ("haproxy", "HTTP/2", 100, {}),
    ("apache", "HTTP/1.1", 20, HEARTBEAT),
]


@pytest.mark.parametrize(("name", "version", "count", "env"), CASES)
def test_nothing_is_held_back(tmp_path, name, version, count, env):
    """Many streams over TLS, each event before the next; and who leaves is noticed."""
    with (
        serving(gunicorn("plain:app"), tmp_path, env=env) as server,
        recipe(name, tmp_path, f"127.0.0.1:{server.port}") as (port, context),
    ):
        follow(server, port, context, version, count)
        until(lambda: subscribers(server) == 0)


def test_nginx_in_front_of_a_unix_socket(tmp_path):
    """The same where the recipe's other line is used."""
    path = tmp_path / "socket"
    with (
        serving(gunicorn("plain:app", "--bind", f"unix:{path}"), tmp_path) as server,
        recipe("nginx", tmp_path, f"unix:{path}") as (port, context),
    ):
        follow(server, port, context, "HTTP/2", 100)
        until(lambda: subscribers(server) == 0)


def follow(server, port, context, version, count):
    """Let clients, on one connection with HTTP/2, see three events, and leave."""
    with (
        httpx.Client(
            http2=version == "HTTP/2",
            verify=context,
            base_url=f"https://127.0.0.1:{port}",
            limits=httpx.Limits(max_connections=None),
        ) as client,
        contextlib.ExitStack() as stack,
    ):
        streams = [
            stack.enter_context(client.stream("GET", "/stream")) for _ in range(count)
        ]
        assert {stream.http_version for stream in streams} == {version}
        lines = [stream.iter_lines() for stream in streams]
        for n in range(3):
            publish(server, str(n))
            for stream_lines in lines:
                data = next(line for line in stream_lines if "data:" in line)
                assert data == f"data: {n}"
        assert subscribers(server) == count


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("nginx", {"60s": "3s"}),
        ("caddy", {}),
        ("haproxy", {"60s": "3s"}),
        ("apache", {"timeout=60": "timeout=3"}),
    ],
)
def test_heartbeats_keep_streams(tmp_path, name, more):
    """Silence for longer than the proxy's time-out, which is longer than a heartbeat."""
    with (
        serving(gunicorn("plain:app"), tmp_path, env=HEARTBEAT) as server,
        recipe(name, tmp_path, f"127.0.0.1:{server.port}", more) as (port, context),
        httpx.Client(verify=context) as client,
        client.stream("GET", f"https://127.0.0.1:{port}/stream") as stream,
    ):
        lines = stream.iter_lines()
        heartbeats = 0
        while heartbeats < 6:
            heartbeats += next(lines) == ":"
        publish(server, "x")
        assert "data: x" in lines
