"""Streams of an application whose hooks and middleware do to responses what they can."""

import pytest

from servers import TAKEN_OVER, publish, serving, subscribers, until

# One of each kind: the others write responses as these do.
WSGI = [
    "gunicorn-gthread",
    "gunicorn-gevent",
    "waitress",
    "uwsgi-http-socket",
    "werkzeug",
]

CONDITIONS = [
    "If-None-Match: *",
    "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT",
    "Range: bytes=0-0",
    "Accept-Encoding: gzip, br",
]


def with_hooks(name):
    """The command line of a server with the application of ``hooks.py``."""
    return [
        "hooks:app" if part == "plain:app" else "hooks" if part == "plain" else part
        for part in TAKEN_OVER[name]
    ]


@pytest.fixture(scope="module", params=WSGI)
def server(request, tmp_path_factory):
    """A server that tests leave as they have found it."""
    folder = tmp_path_factory.mktemp(request.param)
    with serving(with_hooks(request.param), folder) as server:
        yield server


@pytest.mark.parametrize("hook", ["", "validate", "compress", "copy"])
def test_hooks(server, hook):
    """The stream is one, whatever hooks say of a body that they have not seen."""
    with server.stream(f"/stream?hook={hook}", headers=CONDITIONS) as stream:
        assert stream.status == 200
        stream.placed()
        publish(server, "x")
        assert stream.wait(1)[0].data == "x"

    names = {name for name, _ in stream.headers}
    assert not names & {
        "accept-ranges", "content-encoding", "content-length", "content-md5", "digest",
        "etag", "last-modified", "x-heliograph-stream",
    }  # fmt: skip
    assert stream.header("access-control-allow-origin") == "https://page.example"
    assert stream.header("content-type") == "text/event-stream; charset=utf-8"
    until(lambda: subscribers(server) == 0)


@pytest.mark.parametrize("middleware", ["webob", "werkzeug", "iterated"])
def test_middleware_that_starts_late(server, middleware):
    """Its headers are in the head, and the stream holds no thread all the same."""
    with server.stream(f"/stream?middleware={middleware}") as stream:
        assert stream.header("x-middleware") == "added"
        stream.placed()
        assert stream.header("connection") == "close"
        publish(server, "x")
        assert stream.wait(1)[0].data == "x"
    until(lambda: subscribers(server) == 0)


def test_middleware_that_changes_the_body(server):
    """The server keeps its connection, since all that is sent has to pass the middleware."""
    with server.stream("/stream?middleware=changing") as stream:
        stream.placed()
        first, _, rest = stream.body.partition(b": changed\n:\nretry: ")
        assert first.startswith(b": changed\n: ")
        assert rest
        publish(server, "x")
        assert stream.wait(1)[0].data == "x"
        assert stream.body.count(b": changed\n") > 2


@pytest.mark.parametrize("take_over", ["true", "false"])
@pytest.mark.parametrize("name", ["gunicorn-gthread", "gunicorn-gevent"])
def test_what_is_called_on_close(tmp_path, name, take_over):
    """When the stream has ended, also by the end of the server: presence is counted so."""
    present = tmp_path / "instance-present"
    env = {"APP_SSE_TAKE_OVER": take_over}
    with serving(with_hooks(name), tmp_path, env=env) as server:
        streams = [server.stream("/present").placed() for _ in range(3)]
        assert present.read_text() == "+++"

        streams[0].close()
        until(lambda: present.read_text() == "+++-")

        server.stop()
        assert present.read_text() == "+++---"
        assert "Traceback" not in server.log_text()
