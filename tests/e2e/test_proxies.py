"""Behind each proxy of the documentation, configured as its recipe says."""

import contextlib
import signal
from pathlib import Path

import httpx
import pytest

from proxies import RECIPES, recipe
from servers import gunicorn, publish, serving, subscribers, until, uvicorn

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
        recipe(name, tmp_path, f"127.0.0.1:{server.port}") as proxy,
    ):
        follow(server, proxy, version, count)
        until(lambda: subscribers(server) == 0)


def test_nginx_in_front_of_a_unix_socket(tmp_path):
    """The same where the recipe's other line is used."""
    path = tmp_path / "socket"
    with (
        serving(gunicorn("plain:app", "--bind", f"unix:{path}"), tmp_path) as server,
        recipe("nginx", tmp_path, f"unix:{path}") as proxy,
    ):
        follow(server, proxy, "HTTP/2", 100)
        until(lambda: subscribers(server) == 0)


def follow(server, proxy, version, count):
    """Let clients, on one connection with HTTP/2, see three events, and leave."""
    with (
        httpx.Client(
            http2=version == "HTTP/2",
            verify=proxy.context,
            base_url=proxy.url,
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
                assert f"data: {n}" in stream_lines
        assert subscribers(server) == count


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("nginx", {"60s": "3s"}),
        ("haproxy", {"60s": "3s"}),
        ("apache", {"timeout=60": "timeout=3"}),
    ],
)
def test_heartbeats_keep_streams(tmp_path, name, more):
    """Silence for longer than the proxy's time-out, which is longer than a heartbeat."""
    with (
        serving(gunicorn("plain:app"), tmp_path, env=HEARTBEAT) as server,
        recipe(name, tmp_path, f"127.0.0.1:{server.port}", more) as proxy,
        httpx.Client(verify=proxy.context, base_url=proxy.url) as client,
        client.stream("GET", "/stream") as stream,
    ):
        lines = stream.iter_lines()
        heartbeats = 0
        while heartbeats < 6:
            heartbeats += next(lines) == ":"
        publish(server, "x")
        assert "data: x" in lines


@pytest.mark.parametrize("name", RECIPES)
def test_addresses_are_not_to_be_invented(tmp_path, name):
    """What a client says of its own address is overwritten, whoever is believed."""
    command = uvicorn("streams:app", "--forwarded-allow-ips", "*")
    env = {"APP_SSE_MAX_SUBSCRIBERS_PER_ADDRESS": "1"}
    with (
        serving(command, tmp_path, env=env) as server,
        recipe(name, tmp_path, f"127.0.0.1:{server.port}") as proxy,
        httpx.Client(verify=proxy.context, base_url=proxy.url) as client,
    ):
        first, second = ({"X-Forwarded-For": address} for address in ("1.1.1.1", "2.2.2.2"))
        with client.stream("GET", "/stream", headers=first) as stream:
            assert stream.status_code == 200
            refused = client.get("/stream", headers=second)
            assert refused.status_code == 429
            assert "127.0.0.1" in refused.text


def reload_nginx(proxy):
    """A reload: another process serves, and the old one ends."""
    children = Path(f"/proc/{proxy.process.pid}/task/{proxy.process.pid}/children")
    (old,) = children.read_text().split()
    proxy.process.send_signal(signal.SIGHUP)
    until(lambda: old not in children.read_text().split())


def stop(number):
    """A stop that lets requests end; HAProxy's old process is told so with each reload."""

    def stop(proxy):
        proxy.process.send_signal(number)
        proxy.process.wait()

    return stop


RENEWALS = {
    "nginx": reload_nginx,
    "caddy": stop(signal.SIGTERM),
    "haproxy": stop(signal.SIGUSR1),
    "apache": stop(signal.SIGWINCH),
}


@pytest.mark.parametrize("name", RENEWALS)
def test_streams_do_not_hold_a_proxy(tmp_path, name):
    """One that is reloaded or stopped gives them some seconds, and ends them."""
    with (
        serving(gunicorn("plain:app"), tmp_path) as server,
        recipe(name, tmp_path, f"127.0.0.1:{server.port}", grace_seconds=2) as proxy,
        httpx.Client(verify=proxy.context, base_url=proxy.url, timeout=60) as client,
        client.stream("GET", "/stream") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == ":"
        RENEWALS[name](proxy)
        with contextlib.suppress(httpx.RemoteProtocolError):
            for _ in lines:
                pass
        until(lambda: subscribers(server) == 0)
