"""Problems to expect in a set-up are logged once."""

import logging
import sys
from types import SimpleNamespace

import pytest

from heliograph.servers.advice import Advice
from heliograph.servers.wsgi_connection import SocketConnection

ADVICE = Advice(logging.getLogger("face"), url_setting="FACE_URL")
BROWSER = {"HTTP_USER_AGENT": "Mozilla/5.0 (X11)", "SERVER_PROTOCOL": "HTTP/1.1"}
GUNICORN = {"SERVER_SOFTWARE": "gunicorn/23", "wsgi.multiprocess": True}


@pytest.fixture(autouse=True)
def _nothing_logged(monkeypatch):
    monkeypatch.setattr("heliograph.servers.log_once._logged", set())


CONNECTIONS = [
    (BROWSER, 6, True),
    (BROWSER, 7, True),
    (BROWSER, 5, False),
    (BROWSER | {"HTTP_USER_AGENT": "curl/8"}, 6, False),
    (BROWSER | {"SERVER_PROTOCOL": "HTTP/2"}, 6, False),
    (BROWSER | {"HTTP_VIA": "1.1 proxy"}, 6, False),
    (BROWSER | {"HTTP_FORWARDED": "for=192.0.2.1"}, 6, False),
    ({}, 6, False),
]


@pytest.mark.parametrize(("environ", "streams", "warns"), CONNECTIONS)
def test_connections(caplog, environ, streams, warns):
    """Six streams of one browser without a proxy are all that it can open."""
    for _ in range(2):
        ADVICE.about_connections(environ, streams)

    assert caplog.text.count("opens no more than six connections") == warns
    assert {record.name for record in caplog.records} <= {"face"}


RECYCLING = [(10, 1, False), (10, 2, True), (1000, 100, False), (1000, 101, True)]


@pytest.mark.parametrize(("requests", "streams", "warns"), RECYCLING)
def test_recycling(caplog, monkeypatch, requests, streams, warns):
    """Where reconnects are more than a tenth of the requests of a process."""
    options = {"max-requests": str(requests).encode()}
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))

    advice = Advice(logging.getLogger("face"), url_setting="URL")
    for more in range(2):
        advice.about_recycling(GUNICORN, streams + more * warns)

    found = [f"after {requests} requests (--max-requests)" in m for m in caplog.messages]
    assert found == [True] * warns


MEMORY = [
    (GUNICORN, "memory:", True),
    (GUNICORN, "sqlite:///log", False),
    (GUNICORN | {"wsgi.multiprocess": False}, "memory:", False),
    ({"wsgi.multiprocess": True}, "memory:", False),
]


@pytest.mark.parametrize(("environ", "url", "warns"), MEMORY)
def test_memory(caplog, environ, url, warns):
    """Processes do not share memory; some adapters only claim several processes."""
    for _ in range(2):
        ADVICE.about_memory(environ, url)

    assert caplog.text.count("FACE_URL is memory:") == warns


class Encrypted(SocketConnection):
    """A connection whose TLS ends in the server."""

    is_encrypted = True


WAITING = [
    ({"wsgi.multithread": True}, SocketConnection, "Each open stream holds a thread of this server:"),
    ({"wsgi.multithread": False}, SocketConnection, "Requests are answered one at a time by this server, and a"),
    ({"wsgi.multithread": True}, Encrypted, "Each open stream holds a thread of this server, because it ends TLS"),
    ({"wsgi.multithread": False}, Encrypted, "one at a time by this server, and it ends TLS itself"),
    ({"SERVER_SOFTWARE": "Granian/2", "wsgi.multithread": True}, SocketConnection, "a thread of Granian/2"),
    ({"HTTP_USER_AGENT": "Werkzeug/3"}, SocketConnection, None),
]  # fmt: skip


@pytest.mark.parametrize(("environ", "kind", "text"), WAITING)
def test_waiting(caplog, environ, kind, text):
    """What a stream occupies, and why; nothing is logged for the client of a test."""
    for _ in range(2):
        ADVICE.about_waiting(environ, kind(environ))

    assert [text in message for message in caplog.messages] == (
        [] if text is None else [True]
    )


@pytest.mark.parametrize("is_patched", [True, False])
def test_waiting_of_a_greenlet(caplog, monkeypatch, is_patched):
    """A greenlet costs next to nothing, so nothing is logged."""
    patched = SimpleNamespace(is_module_patched=lambda name: is_patched)
    monkeypatch.setitem(sys.modules, "gevent.monkey", patched)

    ADVICE.about_waiting({}, SocketConnection({}))

    assert bool(caplog.records) is not is_patched


@pytest.mark.parametrize(
    ("advise", "option"),
    [(ADVICE.about_uwsgi, "--enable-threads"), (ADVICE.about_forks, "--lazy-apps")],
)
@pytest.mark.parametrize("is_uwsgi", [True, False])
def test_uwsgi(caplog, monkeypatch, advise, option, is_uwsgi):
    """The options of uWSGI decide; nothing is logged under other servers."""
    if is_uwsgi:
        module = SimpleNamespace(opt={"master": True}, worker_id=lambda: 0)
        monkeypatch.setitem(sys.modules, "uwsgi", module)

    advise()

    assert [option in message for message in caplog.messages] == [True] * is_uwsgi
