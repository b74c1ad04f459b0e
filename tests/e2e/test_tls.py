"""TLS that ends in the server, and HTTP/2 that some of them speak then."""

import contextlib
import signal
import ssl

import pytest

from browser import chromium, open_ten_streams
from redises import certificates
from servers import publish, serving_with, subscribers, until

# How each is given its certificate and key.
OPTIONS = {
    "gunicorn-gthread": ("--certfile", "--keyfile"),
    "gunicorn-gevent": ("--certfile", "--keyfile"),
    "gevent-pywsgi": ("--certfile", "--keyfile"),
    "werkzeug": ("--cert", "--key"),
    "uvicorn-httptools": ("--ssl-certfile", "--ssl-keyfile"),
    "uvicorn-h11": ("--ssl-certfile", "--ssl-keyfile"),
    "uvicorn-uvloop": ("--ssl-certfile", "--ssl-keyfile"),
    "uvicorn-fallback": ("--ssl-certfile", "--ssl-keyfile"),
    "hypercorn": ("--certfile", "--keyfile"),
    "granian": ("--ssl-certificate", "--ssl-keyfile"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls"))


@contextlib.contextmanager
def serving_tls(name, folder, files):
    certificate, key = OPTIONS.get(name, ("--certfile", "--keyfile"))
    context = ssl.create_default_context(cafile=files["ca.crt"])
    options = [certificate, str(files["one.crt"]), key, str(files["one.key"])]
    with serving_with(name, folder, options=options, context=context) as server:
        yield server


@pytest.mark.parametrize("name", OPTIONS)
def test_tls(tmp_path, files, name):
    """Each event before the next; who leaves is noticed; and the server stops."""
    with serving_tls(name, tmp_path, files) as server:
        with server.stream() as stream:
            stream.placed()
            for n in range(5):
                publish(server, str(n))
                assert stream.wait(n + 1)[n].data == str(n)
        until(lambda: subscribers(server) == 0)
        with server.stream() as stream:
            stream.placed()
            heartbeats = stream.body.count(b":\n\n")
            server.signal(signal.SIGTERM)
            stream.ended()
            assert stream.body.count(b":\n\n") == heartbeats
        server.process.wait(10)
        # WSGI servers give each stream a thread then, and say so. A greenlet is not worth it.
        waits = name in {"gunicorn-gthread", "werkzeug"}
        assert server.log_text().count("because it ends TLS itself") == waits


def test_tls_of_one_request_at_a_time(tmp_path, files):
    """The one that a stream holds is all there is, which is said in so many words."""
    with serving_tls("gunicorn-sync", tmp_path, files) as server, server.stream() as stream:
        stream.placed()
        until(lambda: "one at a time by gunicorn" in server.log_text())
        assert "and it ends TLS itself, so" in server.log_text()


@pytest.mark.parametrize("name", ["uvicorn-httptools", "uvicorn-h11", "uvicorn-uvloop"])
def test_tls_is_taken_over(tmp_path, files, name):
    """Whatever uvicorn still serves it waits for, and it does not wait for this."""
    with serving_tls(name, tmp_path, files) as server:
        streams = [server.stream().placed() for _ in range(20)]
        server.stop()
        for stream in streams:
            stream.ended()
        assert "Waiting for background tasks" not in server.log_text()
        assert "Traceback" not in server.log_text()


@pytest.mark.parametrize("name", ["hypercorn", "granian"])
def test_ten_streams_in_one_tab(tmp_path, files, name):
    """HTTP/2 from the server itself: one is closed and noticed, the others go on."""
    with serving_tls(name, tmp_path, files) as server, chromium() as browser:
        page = browser.new_page(ignore_https_errors=True)
        page.goto(f"https://127.0.0.1:{server.port}/ping")
        open_ten_streams(page)
        for n in range(10):
            publish(server, "hello", f"c{n}")
        page.wait_for_function("got.length === 10")
        assert sorted(page.evaluate("got")) == [f"{n} hello" for n in range(10)]
        page.evaluate("sources.pop().close()")
        until(lambda: subscribers(server) == 9)
        publish(server, "again", "c0")
        page.wait_for_function("got.includes('0 again')")
        assert (
            page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol")
            == "h2"
        )
