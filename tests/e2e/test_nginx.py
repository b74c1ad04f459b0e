"""Behind a real nginx with its defaults: nothing is held back."""

import contextlib
import shutil
import subprocess

import pytest

from servers import Stream, free_port, gunicorn, serving, until

CONFIGURATION = """
daemon off;
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
    {extra}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder, upstream, extra):
    port = free_port()
    path = folder / "nginx.conf"
    path.write_text(
        CONFIGURATION.format(folder=folder, port=port, upstream=upstream, extra=extra)
    )
    command = [
        shutil.which("nginx") or "/usr/sbin/nginx",
        "-c",
        path,
        "-e",
        folder / "error.log",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: answers(port))
            yield port
        finally:
            process.terminate()


def answers(port):
    try:
        with Stream(port, "/ping") as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    "extra", ["", "gzip on; gzip_types *; gzip_proxied any;"], ids=["defaults", "gzip"]
)
@pytest.mark.parametrize("take_over", ["true", "false"])
def test_nothing_is_held_back(tmp_path, extra, take_over):
    """The head and each event come before the next is sent; who leaves is noticed."""
    command = gunicorn("plain:app", "--worker-class", "gthread", "--threads", "4")
    env = {"APP_SSE_TAKE_OVER": take_over}
    with (
        serving(command, tmp_path, env=env) as server,
        nginx(tmp_path, server.port, extra) as port,
    ):
        with Stream(port) as stream:
            assert stream.header("content-type") == "text/event-stream; charset=utf-8"
            stream.placed()
            for n in range(5):
                server.get("/publish", "POST", {"Content-Type": "application/json"}, str(n))
                assert stream.wait(n + 1)[n].data == str(n)
        until(lambda: '"subscribers":0' in server.get("/statistics").text)


def test_silence_is_survived(tmp_path):
    """Heartbeats keep the connection through a short time-out for silent upstreams."""
    command = gunicorn("plain:app")
    env = {"APP_SSE_HEARTBEAT_SECONDS": "0.3"}
    with (
        serving(command, tmp_path, env=env) as server,
        nginx(tmp_path, server.port, "proxy_read_timeout 1s;") as port,
        Stream(port) as stream,
    ):
        while stream.body.count(b"\n:\n\n") < 8:
            assert stream.read()
        server.get("/publish", "POST", {"Content-Type": "application/json"}, '"x"')
        assert stream.wait(1)[0].data == "x"
