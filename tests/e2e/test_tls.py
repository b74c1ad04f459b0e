"""TLS that ends in the server, and HTTP/2 that some of them speak then."""

import contextlib
import signal
import socket
import ssl
import sys
import time

import h2.config
import h2.connection
import h2.events
import httpx
import pytest

from browser import chromium, open_ten_streams
from redises import certificates
from servers import (
    hypercorn,
    leave_behind,
    publish,
    serving,
    serving_with,
    subscribers,
    until,
)

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
    context = ssl.create_default_context(cafile=files["ca.crt"])
    if name == "daphne":
        place = f"ssl:{{port}}:interface=127.0.0.1:privateKey={files['one.key']}:certKey={files['one.crt']}"
        command = [sys.executable, "-m", "daphne", "-e", place, "-v", "2", "streams:app"]
        with serving(command, folder, context=context) as server:
            yield server
        return
    certificate, key = OPTIONS.get(name, ("--certfile", "--keyfile"))
    options = [certificate, str(files["one.crt"]), key, str(files["one.key"])]
    if name == "gunicorn-asgi":
        options += ["--http-protocols", "h1,h2"]
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
            heartbeats = stream.body.count(b":\n")
            server.signal(signal.SIGTERM)
            stream.ended()
            # Where gevent is patched in, a heartbeat may come in between.
            assert "gevent" in name or stream.body.count(b":\n") == heartbeats
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


class Http2:
    """A client of HTTP/2, which opens no window that it is not told to open."""

    def __init__(self, port, context):
        context.set_alpn_protocols(["h2"])
        connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket = context.wrap_socket(connection, server_hostname="127.0.0.1")
        assert self.socket.selected_alpn_protocol() == "h2"
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self.protocol = h2.connection.H2Connection(config)
        self.protocol.initiate_connection()

    def get(self, path):
        number = self.protocol.get_next_available_stream_id()
        headers = {
            ":method": "GET",
            ":path": path,
            ":scheme": "https",
            ":authority": "test",
        }
        self.protocol.send_headers(number, headers.items(), end_stream=True)
        self.socket.sendall(self.protocol.data_to_send())
        return number

    def wait_for(self, kind, number):
        """Read until something has happened to a request."""
        while True:
            data = self.socket.recv(1 << 16)
            assert data, f"the connection has ended before {kind}"
            events = self.protocol.receive_data(data)
            self.socket.sendall(self.protocol.data_to_send())
            for event in events:
                if isinstance(event, kind) and event.stream_id == number:
                    return event


@pytest.mark.parametrize("name", ["hypercorn", "granian", "daphne", "gunicorn-asgi"])
def test_a_stream_of_http2_that_is_not_read(tmp_path, files, name):
    """It is given up, and its client told; other requests of the connection go on."""
    with serving_tls(name, tmp_path, files) as server:
        client = Http2(server.port, ssl.create_default_context(cafile=files["ca.crt"]))
        with client.socket, server.stream("/stream?channel=much") as other:
            stuck = client.get("/stream?channel=much")
            client.wait_for(h2.events.DataReceived, stuck)
            other.placed()
            leave_behind(server, "much", other)
            # It reads on, as somebody who has been away.
            client.protocol.increment_flow_control_window(10_000_000)
            client.protocol.increment_flow_control_window(10_000_000, stuck)
            client.socket.sendall(client.protocol.data_to_send())
            client.wait_for((h2.events.StreamReset, h2.events.StreamEnded), stuck)
            client.wait_for(h2.events.StreamEnded, client.get("/ping"))
        until(lambda: subscribers(server) == 0)
        assert "Traceback" not in server.log_text()


@pytest.mark.parametrize("is_alone", [True, False])
def test_hypercorn_and_a_client_that_leaves_early(tmp_path, files, is_alone):
    """One that takes its request back before its stream begins is no fault."""
    certificate = ["--certfile", str(files["one.crt"]), "--keyfile", str(files["one.key"])]
    context = ssl.create_default_context(cafile=files["ca.crt"])
    with serving(hypercorn("slow:app", *certificate), tmp_path, context=context) as server:
        client = Http2(server.port, ssl.create_default_context(cafile=files["ca.crt"]))
        with client.socket:
            if not is_alone:
                client.wait_for(h2.events.DataReceived, client.get("/stream?channel=a"))
            early = client.get("/stream?channel=a")
            # It is asked for in this order.
            client.wait_for(h2.events.StreamEnded, client.get("/ping"))
            client.protocol.reset_stream(early)
            client.wait_for(h2.events.StreamEnded, client.get("/ping"))
            # hypercorn forgets it now.
            client.protocol.increment_flow_control_window(1000)
            client.socket.sendall(client.protocol.data_to_send())
            time.sleep(1.5)  # until it gets on
            assert subscribers(server) == (not is_alone)
        until(lambda: subscribers(server) == 0)
        for complaint in ("Traceback", "is not known"):
            assert complaint not in server.log_text()


# gunicorn waits for the connection of one that is not read.
@pytest.mark.parametrize(
    ("name", "what"),
    [("hypercorn", "read"), ("hypercorn", "stuck"), ("gunicorn-asgi", "read")],
)
def test_stop_with_streams_of_http2(tmp_path, files, name, what):
    """They end by themselves, also one that is not read."""
    with serving_tls(name, tmp_path, files) as server:
        client = Http2(server.port, ssl.create_default_context(cafile=files["ca.crt"]))
        with client.socket:
            number = client.get("/stream?channel=a")
            client.wait_for(h2.events.DataReceived, number)
            if what == "stuck":
                for _ in range(4):
                    publish(server, 30_000 * "x", "a")
            server.signal(signal.SIGTERM)
            if what == "read":
                # As browsers do when the server closes the connection.
                while client.socket.recv(9999):
                    pass
                client.socket.close()
            server.process.wait(20)
        assert "Traceback" not in server.log_text()


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_daphne_ends_a_stream(tmp_path, files, version):
    """The response has an end, and nothing is left of it in Twisted."""
    with serving_tls("daphne", tmp_path, files) as server:
        context = ssl.create_default_context(cafile=files["ca.crt"])
        with httpx.Client(
            verify=context,
            base_url=f"https://127.0.0.1:{server.port}",
            http2=version == "2",
        ) as client:
            for _ in range(3):
                with client.stream("GET", "/stream?channel=a") as stream:
                    assert stream.http_version == f"HTTP/{version}"
                    lines = stream.iter_lines()
                    assert next(line for line in lines if line.startswith("id: "))
                    client.post("/disconnect?channel=a")
                    list(lines)
        log = server.log_text()
        assert "unregistered" not in log
        assert "Traceback" not in log
