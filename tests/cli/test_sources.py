"""``heliograph listen`` at a URL: what it asks a server for, and what it makes of answers."""

import contextlib
import socket
import threading

import pytest

from commands import Command, heliograph, lines, resuming
from programs import until
from servers import gunicorn, publish, serving, subscribers


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(
        gunicorn("plain:app", "--threads", "4"), tmp_path_factory.mktemp("server")
    ) as server:
        yield server


# (path, words of the message)
REFUSED = [
    ("/nothing", ["404", "check the path"]),
    ("/ping?token=hidden", ["text/html", "check the path"]),
    ("/stream?channnel=a", ["400"]),
]


@pytest.mark.parametrize(("path", "words"), REFUSED)
def test_streams_that_are_refused(path, words, server):
    """One line with the status and what to try; no password and no token."""
    done = heliograph("listen", f"http://me:hidden@127.0.0.1:{server.port}{path}")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("heliograph: ")
    assert "hidden" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


# (query of the stream, channel of its newest event)
NAMED = [("", "sse"), ("?channel=a&channel=b", "b"), ("?channel=a", "a")]


@pytest.mark.parametrize(("query", "channel"), NAMED)
def test_the_channel_of_the_first_event(query, channel, server):
    """The server names the channels, and the position before the first event."""
    data = f"first of {query}"
    publish(server, data, channel)
    address = f"http://127.0.0.1:{server.port}/stream{query}"
    with Command("listen", address, "--since", "last") as command:
        command.wait_for(data)
        assert command.interrupt() == 0

    found = {event["data"]: event["channel"] for event in lines(command.out)}
    assert found[data] == channel


def test_ctrl_c_before_the_first_event(server):
    """The position is known already: what is published meanwhile is not missed."""
    address = f"http://127.0.0.1:{server.port}/stream?channel=quiet"
    since = None
    # The server has the client a moment before the client has the position.
    while not since:
        with Command("listen", address) as command:
            until(lambda: subscribers(server))
            assert command.interrupt() == 0
        since = "--since" in command.err and resuming(command.err)
        until(lambda: not subscribers(server))
    publish(server, "meanwhile", "quiet")
    with Command("listen", address, *since) as command:
        command.wait_for("meanwhile")
        command.interrupt()


@contextlib.contextmanager
def answering(answer):
    """Answer one request; yield the address, and the list of heads that have come."""
    heads = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                heads.append(connection.recv(65536).decode())
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/stream", heads
        thread.join()


def test_headers_and_the_query():
    """They are sent with each request; --channel and --since add to the query."""
    options = ["-H", "X-Key: a: b", "-c", "job:7", "-c", "a b", "--since", "last"]
    with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (address, heads):
        done = heliograph("listen", f"{address}?token=t", *options)

    assert done.returncode == 0
    assert heads[0].startswith(
        "GET /stream?token=t&channel=job%3A7&channel=a+b&start=1 HTTP/1.1\r\n"
    )
    assert "\r\nX-Key: a: b\r\n" in heads[0]


def test_an_opening_that_is_none_of_ours():
    """Whatever a server sends by that name, its events are printed."""
    stream = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        b'event: heliograph.open\ndata: {"channels": ["\\ud800", 1]}\n\n'
        b"id: 1\ndata: x\n\n"
    )
    with answering(stream) as (address, _), Command("listen", address) as command:
        command.wait_for('"x"')
        command.interrupt()

    assert [(one["channel"], one["data"]) for one in lines(command.out)] == [(None, "x")]
