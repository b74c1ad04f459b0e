"""
A face without a framework, on wsgiref, from nothing but the shared layer and a hub.

It is a test of the wall: what a face of its own would need is in :class:`PlainWSGI`, and no
more. If it has to grow, the shared layer lacks something.
"""

import contextlib
import http.client
import socketserver
import threading
import time
from http import HTTPStatus
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest

from heliograph import HubConfig
from heliograph.channels.entry import id_after
from heliograph.faces import (
    DEFAULT_CHANNEL,
    Access,
    Admission,
    Arrivals,
    NeedsVerdict,
    Refusal,
    StreamRequest,
    admit,
    decide,
    dumps_json,
    event_for,
    noted_arrival,
    read_keys,
    signed_parameters,
    stream_headers,
)
from heliograph.hub import HubThread
from servers import until
from streams import StreamParser


class PlainWSGI:
    """A face for WSGI (PEP 3333)."""

    def __init__(self, hub, *, authorize=None, private=False, secret_key=None):
        self.hub = hub
        self.authorize = authorize
        self.access = Access(
            keys=read_keys(secret_key, extra="wsgi"),
            private=private,
            has_authorizer=authorize is not None,
            channels=hub.config.channel_patterns,
        )

    def __call__(self, environ, start_response):
        decision = decide(self.request(environ), self.access, now=time.time())
        if isinstance(decision, NeedsVerdict):
            decision = decision.settle(self.authorize(decision.channels, environ))
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        ticket = decision
        if not is_head and not isinstance(decision, Refusal):
            ticket = admit(self.hub, decision, accept=environ.get("HTTP_ACCEPT", ""))
        if isinstance(ticket, Refusal):
            status = HTTPStatus(ticket.status)
            start_response(f"{status} {status.phrase}", [*ticket.all_headers])
            return [b"" if is_head else ticket.body]
        start_response("200 OK", [*stream_headers(decision)])
        if is_head:
            return [b""]
        self.hub.locate(ticket)
        return self.hub.pull(ticket, None)

    def request(self, environ):
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        return StreamRequest(
            method=environ["REQUEST_METHOD"],
            query_string=environ.get("QUERY_STRING", "").encode("latin-1"),
            headers=headers,
            address=environ.get("REMOTE_ADDR"),
            arrived_at=noted_arrival(environ),
        )

    def publish(self, data, type=None, id=None, retry=None, channel=DEFAULT_CHANNEL):
        channels, event = event_for(
            channel, data, type=type, id=id, retry=retry, dumps=dumps_json
        )
        return id_after(self.hub.publish(channels, event))

    def query(self, *channels, expires_in):
        return signed_parameters(
            self.access.keys, channels, expires_in, now=time.time(), setting="secret_key"
        )


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """The standard library's, with a thread for each request, all of which are waited for."""


class Quiet(WSGIRequestHandler):
    """It writes no line for each request."""

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving(*, config=None, **options):
    """Run the face on a server; yield it, and a function that sends requests."""
    face = PlainWSGI(HubThread("memory:", config or HubConfig()), **options)
    opened = []

    def ask(query="", method="GET", **headers):
        client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
        opened.append(client)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        client.request(method, f"/?{query}", headers=headers)
        return client.getresponse()

    with Server(("127.0.0.1", 0), Quiet) as server:
        server.set_app(Arrivals(face))
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        thread.start()
        try:
            yield face, ask
        finally:
            # Its streams end, so that the threads that serve them do.
            face.hub.close()
            server.shutdown()
            thread.join()
            for client in opened:
                client.close()


def events_of(response, count):
    parser, events = StreamParser(), []
    while len(events) < count:
        line = response.readline()
        assert line, f"the stream ended after {events}"
        events += parser.feed(line)
    return events


def begun(response):
    """Read until the client has been given its position: from then on it is joined."""
    while not response.readline().startswith(b"id: "):
        pass
    return response


def test_streams_and_resumes():
    """Events arrive in order, with the headers of a stream; a client resumes by its id."""
    with serving() as (face, ask):
        response = begun(ask("channel=a&channel=b"))
        assert response.status == 200
        for name, value in stream_headers(Admission(("a", "b"))):
            assert response.headers[name] == value

        first = face.publish({"n": 1}, type="t", channel="a")
        face.publish("two", channel=["a", "b"])

        got = events_of(response, 3)
        assert (got[0].type, got[0].data) == ("t", '{"n": 1}')
        assert [event.data for event in got[1:]] == ["two", "two"]
        resumed = ask("channel=a", Last_Event_ID=first)
        assert [event.data for event in events_of(resumed, 1)] == ["two"]


def test_head():
    """The head alone, and no slot is taken."""
    with serving() as (face, ask):
        response = ask(method="HEAD")

        assert (response.status, response.read()) == (200, b"")
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert face.hub.statistics().subscribers == 0


REFUSED = [
    ("channel=%00", "GET", {}, 400, "control characters"),
    ("&" * 1000, "GET", {}, 400, "at most 1000 fields"),
    ("chanel=a", "GET", {}, 400, "'chanel': must be spelled channel"),
    ("", "POST", {}, 405, "requested with GET"),
    ("", "GET", {"private": True}, 403, "a signed URL is needed"),
    ("token=x", "GET", {"secret_key": "key"}, 403, "not signed"),
    ("", "GET", {"authorize": lambda channels, environ: False}, 403, "not allowed"),
]


@pytest.mark.parametrize(("query", "method", "options", "status", "words"), REFUSED)
def test_refuses(query, method, options, status, words):
    """With the status and the text of every face."""
    with serving(**options) as (face, ask):
        response = ask(query, method)

        assert response.status == status
        assert words in response.read().decode()
        assert response.headers["Allow"] == ("GET, HEAD" if status == 405 else None)
        assert face.hub.statistics().subscribers == 0


def test_lets_in():
    """By an authorizer that sees the environment, or by a signed query."""
    options = {
        "private": True,
        "secret_key": "key",
        "authorize": lambda channels, environ: environ.get("HTTP_X_USER") == "alice",
    }
    with serving(**options) as (face, ask):
        assert ask("channel=a", X_User="bob").status == 403
        assert begun(ask("channel=a", X_User="alice")).status == 200
        token = face.query("a", expires_in=60)["token"]
        assert begun(ask(f"channel=a&token={token}")).status == 200


def test_caps_and_disconnect():
    """Over a cap a client is told when to try again. A disconnect ends the stream."""
    config = HubConfig(max_subscribers=1, retry_after_seconds=7)
    with serving(config=config) as (face, ask):
        response = begun(ask("channel=a"))
        refused = ask("channel=b")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "7")
        assert b"has its 1 subscribers" in refused.read()
        told = ask("channel=b", Accept="text/event-stream")
        assert (told.status, told.headers["Vary"]) == (200, "Accept")
        assert told.read().startswith(b":\nretry: ")

        face.hub.disconnect("a")

        response.read()
        until(lambda: face.hub.statistics().subscribers == 0)


def test_disconnect_while_a_client_is_authorised():
    """The stream ends as it begins, since the permission may have been withdrawn."""

    def authorize(channels, environ):
        face.hub.disconnect("a")
        return True

    with serving(authorize=authorize) as (face, ask):
        response = ask("channel=a")

        assert response.status == 200
        response.read()
        until(lambda: face.hub.statistics().subscribers == 0)
