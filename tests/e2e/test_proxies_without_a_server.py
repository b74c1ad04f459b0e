"""Behind each proxy of the documentation while the application is down."""

import asyncio
import contextlib
import socketserver
import threading
import time

import httpx
import pytest

from browser import chromium
from heliograph import Event, HubConfig
from heliograph.hub import HubThread
from proxies import RECIPES, is_open, recipe
from servers import free_port, gunicorn, publish, serving

RETRY = (200, "text/event-stream", "no-store", ":\nretry: 2000\n")
EVENT_STREAM = "text/event-stream"


class Failing(socketserver.BaseRequestHandler):
    """A server that hangs up before its answer, sends none in time, or sends 503."""

    def handle(self):
        path = self.request.recv(1 << 16).split()[1]
        if path == b"/silent":
            # Until the proxy closes the connection.
            with contextlib.suppress(ConnectionError):
                self.request.recv(1)
        if path == b"/busy":
            head = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
            self.request.sendall(head + b"busy")


@contextlib.contextmanager
def failing_server(port):
    with socketserver.ThreadingTCPServer(
        ("127.0.0.1", port), Failing, bind_and_activate=False
    ) as server:
        server.allow_reuse_address = True
        server.server_bind()
        server.server_activate()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


async def ask(proxy, http2, path, method="GET", accept=f"text/html, {EVENT_STREAM}"):
    """Return the response to a request on its own connection, or None if there is none."""
    async with httpx.AsyncClient(http2=http2, verify=proxy.context, timeout=20) as client:
        try:
            response = await client.request(
                method, proxy.url + path, headers={"Accept": accept}
            )
        except httpx.RemoteProtocolError:
            return None
    names = ("content-type", "cache-control")
    fields = (response.headers.get(name) for name in names)
    return (response.status_code, *fields, response.text)


# (the proxy, whether HTTP/2, what to replace in its file if it limits the wait for an answer)
CASES = [
    ("nginx", False, {"60s": "1s"}),
    ("nginx", True, {"60s": "1s"}),
    ("caddy", False, None),
    ("caddy", True, None),
    ("haproxy", False, {"60s": "1s"}),
    ("haproxy", True, {"60s": "1s"}),
    ("apache", False, {"timeout=60": "timeout=1"}),
]


@pytest.mark.parametrize(("name", "http2", "limit"), CASES)
async def test_only_requests_for_streams_are_told_to_retry(tmp_path, name, http2, limit):
    """Other requests receive the error, and so does everyone if the application sends it."""
    port = free_port()
    with recipe(name, tmp_path, f"127.0.0.1:{port}", limit) as proxy:
        stream, *others = await asyncio.gather(
            ask(proxy, http2, "/"),
            ask(proxy, http2, "/", accept="*/*"),
            ask(proxy, http2, "/", "HEAD"),
            ask(proxy, http2, "/", "POST"),
        )
        with failing_server(port):
            hung_up, busy, *silent = await asyncio.gather(
                ask(proxy, http2, "/hangs-up"),
                ask(proxy, http2, "/busy"),
                *([ask(proxy, http2, "/silent")] if limit else []),
            )

    assert stream == RETRY
    for status, content_type, *_ in others:
        assert status in (502, 503)
        assert content_type != EVENT_STREAM
    # HAProxy closes the stream without an answer in HTTP/2. An EventSource then reconnects.
    assert hung_up == (None if (name, http2) == ("haproxy", True) else RETRY)
    assert (busy[0], busy[-1]) == (503, "busy")
    assert silent == ([RETRY] if limit else [])


def test_nginx_has_no_connection_left(tmp_path):
    """A stream that nginx cannot pass on for want of connections is told to retry."""
    with (
        serving(gunicorn("plain:app"), tmp_path) as server,
        recipe("nginx", tmp_path, f"127.0.0.1:{server.port}", connections=20) as proxy,
        httpx.Client(http2=True, verify=proxy.context, base_url=proxy.url) as client,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(20):
            stream = stack.enter_context(
                client.stream("GET", "/stream", headers={"Accept": EVENT_STREAM})
            )
            assert stream.status_code == 200
        assert stream.read().decode() == RETRY[-1]


# Each file has a comment with a line that pages of another origin need.
UNCOMMENTED = {
    "nginx": {"# add_header Access": "add_header Access"},
    "caddy": {"# header Access": "header Access"},
    "haproxy": {"# http-after-response": "http-after-response"},
    "apache": {"# Header always": "Header always"},
}
LISTEN = """url => {
    window.got = []
    window.opened = 0
    window.states = []
    window.source = new EventSource(url)
    source.onopen = () => { opened += 1 }
    source.onerror = () => states.push(source.readyState)
    source.onmessage = (event) => got.push(event.data)
}"""


class Page:
    """A page with an EventSource, which must never close for good."""

    def __init__(self, context, page_url, url):
        self.page = context.new_page()
        self.page.goto(page_url)
        self.page.evaluate(LISTEN, url)

    def wait(self, condition):
        self.page.wait_for_function(f"{condition} || states.includes(2)")
        assert self.page.evaluate("states.includes(2)") is False

    def __getattr__(self, name):
        return self.page.evaluate(name)


@contextlib.contextmanager
def all_proxies(folder, port, origin):
    """Run them in front of a server, and yield their URLs."""
    with contextlib.ExitStack() as stack:
        urls = []
        for name in RECIPES:
            (folder / name).mkdir()
            more = {**UNCOMMENTED[name], "https://page.example": origin}
            proxy = recipe(name, folder / name, f"127.0.0.1:{port}", more)
            urls.append(stack.enter_context(proxy).url)
        yield urls


@pytest.mark.timeout(120)
def test_pages_live_through_five_seconds_without_a_server(tmp_path):
    """They get each proxy's answer, reconnect, and receive all events in order, once."""
    port = free_port()
    other_origin = f"http://127.0.0.1:{port}"
    serve = {
        "command": gunicorn("plain:app"),
        "tmp_path": tmp_path,
        "port": port,
        # Without the proxy's "retry: 2000" pages would reconnect without a pause.
        "env": {"APP_PAGE": other_origin, "APP_SSE_RETRY_MS": "0"},
    }
    with all_proxies(tmp_path, port, other_origin) as urls, chromium() as browser:
        context = browser.new_context(ignore_https_errors=True)
        with serving(**serve) as server:
            pages = {
                (url, origin): Page(context, f"{origin}/ping", f"{url}/stream")
                for url in urls
                for origin in (url, other_origin)
            }
            for page in pages.values():
                page.wait("opened === 1")
            publish(server, "before")
            for page in pages.values():
                page.wait("got.length === 1")
            server.stop()

        stopped = time.monotonic()
        before = {place: page.opened for place, page in pages.items()}
        for place, page in pages.items():
            page.wait(f"opened > {before[place]}")
        # So it was the proxy that opened them.
        assert not is_open(port)
        with contextlib.closing(HubThread(server.storage, HubConfig())) as hub:
            hub.publish(["sse"], Event("meanwhile"))
        context.pages[0].wait_for_timeout(max(0, stopped + 5 - time.monotonic()) * 1000)
        assert not is_open(port)
        opened = [page.opened - before[place] for place, page in pages.items()]
        seconds = time.monotonic() - stopped

        with serving(**serve) as server:
            publish(server, "after")
            for page in pages.values():
                page.wait("got.includes('after')")
            got = {place: page.got for place, page in pages.items()}

    assert got == {place: ["before", "meanwhile", "after"] for place in pages}
    assert max(opened) <= 1 + seconds / 2
