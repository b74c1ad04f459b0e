"""Behind a real nginx with its defaults: nothing is held back."""

import contextlib
import shutil
import socket
import ssl
import subprocess

import httpx
import pytest

from browser import chromium, open_ten_streams
from redises import certificates
from servers import (
    APPS,
    Stream,
    free_port,
    gunicorn,
    publish,
    serving,
    serving_with,
    subscribers,
    until,
)

MAIN = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""
# As little as there can be.
DEFAULTS = """
{extra}
server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
}}
"""


@contextlib.contextmanager
def nginx(folder, upstream, extra):
    port = free_port()
    servers = DEFAULTS.format(port=port, upstream=upstream, extra=extra)
    with running(folder, servers):
        until(lambda: answers(port))
        yield port


@contextlib.contextmanager
def running(folder, servers):
    path = folder / "nginx.conf"
    path.write_text(MAIN.format(folder=folder, servers=servers))
    command = [
        shutil.which("nginx") or "/usr/sbin/nginx",
        "-c",
        path,
        "-e",
        folder / "error.log",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def answers(port):
    try:
        with Stream(port, "/ping") as answer:
            return answer.status == 200
    except OSError:
        return False


EXTRAS = {
    "defaults": "",
    "gzip": "gzip on; gzip_types *; gzip_proxied any;",
    "cache": "proxy_cache_path {folder}/cache keys_zone=c:1m; proxy_cache c; proxy_cache_valid any 1m;",
    "http-1.1": 'proxy_http_version 1.1; proxy_set_header Connection "";',
}


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize(
    "name",
    [
        "gunicorn-gthread", "gunicorn-gthread-fallback", "uwsgi-http-socket", "uvicorn-httptools",
        "uvicorn-fallback",
    ],
)  # fmt: skip
def test_nothing_is_held_back(tmp_path, extra, name):
    """The head and each event come before the next is sent; who leaves is noticed."""
    with (
        serving_with(name, tmp_path) as server,
        nginx(tmp_path, server.port, EXTRAS[extra].format(folder=tmp_path)) as port,
    ):
        with Stream(port) as stream:
            assert stream.header("content-type") == "text/event-stream; charset=utf-8"
            stream.placed()
            for n in range(5):
                server.get("/publish", "POST", {"Content-Type": "application/json"}, str(n))
                assert stream.wait(n + 1)[n].data == str(n)
        until(lambda: subscribers(server) == 0)


def test_silence_is_survived(tmp_path):
    """Heartbeats keep the connection through a short time-out for silent upstreams."""
    command = gunicorn("plain:app")
    env = {"APP_SSE_HEARTBEAT_SECONDS": "2"}
    with (
        serving(command, tmp_path, env=env) as server,
        nginx(tmp_path, server.port, "proxy_read_timeout 5s;") as port,
        Stream(port) as stream,
    ):
        while stream.body.count(b"\n:\n\n") < 4:
            assert stream.read()
        server.get("/publish", "POST", {"Content-Type": "application/json"}, '"x"')
        assert stream.wait(1)[0].data == "x"


@contextlib.contextmanager
def recipe(folder, upstream):
    """The configuration of the documentation, in front of a server."""
    port = free_port()
    files = certificates(folder / "tls")
    text = (APPS.parent.parent / "docs/nginx.conf").read_text()
    for before, after in {
        "listen 443": f"listen 127.0.0.1:{port}",
        "server 127.0.0.1:8000": f"server {upstream}",
        "/etc/ssl/application.crt": str(files["one.crt"]),
        "/etc/ssl/application.key": str(files["one.key"]),
    }.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    with running(folder, text):
        until(lambda: is_open(port))
        yield port, ssl.create_default_context(cafile=files["ca.crt"])


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("upstream", ["tcp", "unix"])
def test_the_recipe(tmp_path, upstream):
    """HTTP/2 over TLS: a hundred streams on one connection, each event before the next."""
    path = tmp_path / "socket"
    command = gunicorn("plain:app", "--bind", f"unix:{path}")
    with (
        serving(command, tmp_path) as server,
        recipe(
            tmp_path,
            f"unix:{path}" if upstream == "unix" else f"127.0.0.1:{server.port}",
        ) as (port, context),
        httpx.Client(
            http2=True, verify=context, base_url=f"https://127.0.0.1:{port}"
        ) as client,
        contextlib.ExitStack() as stack,
    ):
        streams = [stack.enter_context(client.stream("GET", "/stream")) for _ in range(100)]
        assert {stream.http_version for stream in streams} == {"HTTP/2"}
        lines = [stream.iter_lines() for stream in streams]
        for n in range(3):
            publish(server, str(n))
            for stream_lines in lines:
                assert (
                    next(line for line in stream_lines if "data:" in line) == f"data: {n}"
                )
        assert subscribers(server) == 100
        stack.close()
        client.close()
        until(lambda: subscribers(server) == 0)


def test_ten_streams_in_one_tab(tmp_path):
    """Chromium opens them all on one connection, where HTTP/1.1 would stop at six."""
    with (
        serving(gunicorn("plain:app"), tmp_path) as server,
        recipe(tmp_path, f"127.0.0.1:{server.port}") as (port, _),
        chromium() as browser,
    ):
        page = browser.new_page(ignore_https_errors=True)
        page.goto(f"https://127.0.0.1:{port}/ping")
        open_ten_streams(page)
        for n in range(10):
            publish(server, "hello", f"c{n}")
        page.wait_for_function("got.length === 10")
        assert sorted(page.evaluate("got")) == [f"{n} hello" for n in range(10)]
