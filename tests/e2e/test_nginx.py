"""Behind a real nginx with its defaults, and what may be added to them."""

import urllib.request

import pytest

from browser import chromium, open_ten_streams
from proxies import BY_UWSGI, nginx_in_front_of, recipe
from servers import (
    Stream,
    gunicorn,
    publish,
    serving,
    serving_with,
    subscribers,
    until,
    uwsgi,
)

EXTRAS = {
    "defaults": "",
    "gzip": "gzip on; gzip_types *; gzip_proxied any;",
    "cache": "proxy_cache_path {folder}/cache keys_zone=c:1m; proxy_cache c; proxy_cache_valid any 1m;",
    "http-1.1": 'proxy_http_version 1.1; proxy_set_header Connection "";',
}


@pytest.fixture(
    scope="module",
    params=[
        "gunicorn-gthread", "gunicorn-gthread-fallback", "uwsgi-http-socket", "uvicorn-httptools",
        "uvicorn-fallback",
    ],
)  # fmt: skip
def server(request, tmp_path_factory):
    """A server that tests leave as they have found it."""
    with serving_with(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.mark.parametrize("extra", EXTRAS)
def test_nothing_is_held_back(tmp_path, extra, server):
    """The head and each event come before the next is sent; who leaves is noticed."""
    extra = EXTRAS[extra].format(folder=tmp_path)
    with nginx_in_front_of(tmp_path, server.port, extra) as port:
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
    env = {"APP_SSE_HEARTBEAT_SECONDS": "1"}
    with (
        serving(command, tmp_path, env=env) as server,
        nginx_in_front_of(tmp_path, server.port, "proxy_read_timeout 3s;") as port,
        Stream(port) as stream,
    ):
        # The greeting is such a line, too.
        while stream.body.splitlines().count(b":") < 6:
            assert stream.read()
        server.get("/publish", "POST", {"Content-Type": "application/json"}, '"x"')
        assert stream.wait(1)[0].data == "x"


def test_ten_streams_in_one_tab(tmp_path):
    """Chromium opens them all on one connection, where HTTP/1.1 would stop at six."""
    with (
        serving(gunicorn("plain:app"), tmp_path) as server,
        recipe("nginx", tmp_path, f"127.0.0.1:{server.port}") as proxy,
        chromium() as browser,
    ):
        page = browser.new_page(ignore_https_errors=True)
        page.goto(f"{proxy.url}/ping")
        open_ten_streams(page)
        for n in range(10):
            publish(server, "hello", f"c{n}")
        page.wait_for_function("got.length === 10")
        assert sorted(page.evaluate("got")) == [f"{n} hello" for n in range(10)]


@pytest.mark.parametrize("headers", [[], ["Accept-Encoding: gzip"]], ids=["", "gzip"])
@pytest.mark.parametrize(
    "command",
    [
        uwsgi("plain:app", "--socket", "127.0.0.1:{port}"),
        gunicorn("plain:app", "--worker-class", "gthread", "--protocol", "uwsgi"),
    ],
    ids=["uwsgi", "gunicorn"],
)
def test_the_protocol_uwsgi(tmp_path, command, headers):
    """A body has no chunks there, whatever the client of nginx speaks."""
    env = {"APP_SSE_COMPRESSION": "blocks"}
    with (
        serving(command, tmp_path, env=env, ready=None) as server,
        nginx_in_front_of(tmp_path, server.port, way=BY_UWSGI) as port,
        Stream(port, headers=headers) as stream,
    ):
        stream.placed()
        assert stream.body.startswith(b":\nretry: ")
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/publish",
            data=b'"x"',
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()
        assert stream.wait(1)[0].data == "x"
