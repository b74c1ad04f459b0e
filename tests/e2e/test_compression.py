"""Compressed streams on real servers, behind nginx, and in clients that decode."""

import random

import pytest

from proxies import nginx_in_front_of
from servers import Stream, publish, serving_with, subscribers, until

ASKS = ["Accept-Encoding: gzip"]

# Whatever can stand between a feed and its client.
WAYS = [
    "gunicorn-gthread",
    "gunicorn-gthread-fallback",
    "uwsgi-http-socket",
    "werkzeug",
    "uvicorn-httptools",
    "uvicorn-h11",
    "uvicorn-fallback",
    "uvicorn-a2wsgi",
    "hypercorn",
    "daphne",
]


def words(count, seed):
    choices = random.Random(seed).choices
    return " ".join("".join(choices("abcdefghij", k=6)) for _ in range(count))


@pytest.fixture(scope="module", params=WAYS)
def server(request, tmp_path_factory):
    """A server that compresses, in the way that shares most."""
    folder = tmp_path_factory.mktemp(request.param)
    with serving_with(
        request.param, folder, env={"APP_SSE_COMPRESSION": "shared-window"}
    ) as server:
        yield server


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_stream(server, version):
    """Each event is there before the next is sent; a client resumes, and sees the end."""
    with server.stream(headers=ASKS, version=version) as stream:
        assert stream.status == 200
        assert stream.header("content-encoding") == "gzip"
        assert "Accept-Encoding" in stream.header("vary")
        assert "no-transform" in stream.header("cache-control")
        stream.placed()
        ids = []
        for n in range(20):
            ids.append(publish(server, f"{n} {words(60, n % 3)}"))
            assert stream.wait(n + 1)[n].data == f"{n} {words(60, n % 3)}"
        # The same three texts over and over: a window finds them again.
        assert stream.received < len(stream.body) / 3
    until(lambda: subscribers(server) == 0)
    with server.stream(headers=ASKS, last_event_id=ids[14], version=version) as back:
        assert [event.id for event in back.wait(5)] == ids[15:]
        assert [opening["resumed"] for opening in back.parser.openings] == [True]
        server.get("/disconnect?channel=sse", "POST")
        back.ended()
        assert back.has_ended or not back.chunked
    until(lambda: subscribers(server) == 0)


@pytest.mark.parametrize(
    "headers", [[], ["Accept-Encoding: identity"], ["Accept-Encoding: gzip;q=0, *;q=0.5"]]
)
def test_whoever_does_not_ask_for_it(server, headers):
    """Gets it as it is, and caches are told that others may not."""
    with server.stream(headers=headers) as stream:
        assert not stream.header("content-encoding")
        assert "Accept-Encoding" in stream.header("vary")
        stream.placed()
        publish(server, "x")
        assert stream.wait(1)[0].data == "x"


def test_head(server):
    """As GET has it."""
    with server.stream(method="HEAD", headers=ASKS) as stream:
        assert stream.header("content-encoding") == "gzip"
        assert stream.body == b""


# What nginx may do with what it passes on.
NGINX = {
    "nothing": "",
    "gzip": "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1;",
    "gunzip": "gunzip on; proxy_set_header Accept-Encoding gzip;",
    "gunzip-1.1": "gunzip on; proxy_set_header Accept-Encoding gzip; proxy_http_version 1.1;",
}


@pytest.mark.parametrize("headers", [ASKS, []], ids=["asks", "does-not-ask"])
@pytest.mark.parametrize("extra", NGINX)
@pytest.mark.parametrize("server", ["gunicorn-gthread"], indirect=True)
def test_nginx(tmp_path, server, extra, headers):
    """Each event passes before the next is sent, whether nginx decodes it or not."""
    with (
        nginx_in_front_of(tmp_path, server.port, NGINX[extra]) as port,
        Stream(port, headers=headers) as stream,
    ):
        assert stream.header("content-encoding") == ("gzip" if headers else "")
        stream.placed()
        for n in range(20):
            publish(server, f"{n} {words(60, n % 3)}")
            assert stream.wait(n + 1)[n].data == f"{n} {words(60, n % 3)}"
        server.get("/disconnect?channel=sse", "POST")
        stream.ended()
    until(lambda: subscribers(server) == 0)
