"""What Chromium tells the developer of a page that is refused, and sends as its origin."""

import contextlib
import http.server
import re
import socket
from pathlib import Path

import pytest

from browser import EXECUTABLE, FLAGS
from cors_api import EMPTY, running

DOCS = Path(__file__).parents[2] / "docs/cors.md"
ORIGIN = "Access-Control-Allow-Origin"


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Answers that Heliograph does not give: those of proxies and other applications."""

    def do_GET(self):
        origin = self.headers["Origin"]
        self.server.origins.append(origin)
        status, fields = {
            "/value": (200, [(ORIGIN, "https://other.example")]),
            "/two-values": (200, [(ORIGIN, "*"), (ORIGIN, origin)]),
            "/login": (401, [(ORIGIN, origin)]),
            "/slash": (307, [(ORIGIN, origin), ("Location", "/slash/")]),
            "/redirect": (302, [(ORIGIN, origin), ("Location", self.server.target)]),
            "/to-nothing": (302, [(ORIGIN, origin), ("Location", "/nothing")]),
            "/nothing": (200, []),
            "/within": (302, [(ORIGIN, origin), ("Location", "/any")]),
            "/any": (200, [(ORIGIN, "*")]),
        }[self.path]
        self.send_response(status)
        for field in fields:
            self.send_header(*field)
        self.end_headers()

    def do_OPTIONS(self):
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def elsewhere(api):
    """Another server, which can redirect to the API."""
    origins = []
    target = f"{api.url}/exact/echo"
    with running(Elsewhere, origins=origins, target=target) as port:
        yield f"http://127.0.0.1:{port}", origins


FETCH = "([url, options]) => fetch(url, options).then(() => 'read', String)"
OPEN = """([kind, url]) => new Promise(done => {
    const source = new globalThis[kind](url)
    source.onerror = () => done("failed")
    source.onopen = () => done("open")
})"""

ASK = {"headers": {"X-Ask": "1"}}
JSON = {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": "{}"}
INCLUDE = {"credentials": "include"}

# The words of the table.
MISSING = "No 'Access-Control-Allow-Origin' header is present on the requested resource"
STAR = "The value of the 'Access-Control-Allow-Origin' header in the response must not be the wildcard '*' when the request's credentials mode is 'include'"
CREDENTIALS = "The value of the 'Access-Control-Allow-Credentials' header in the response is '…' which must be 'true' when the request's credentials mode is 'include'"
FIELD = "Request header field … is not allowed by Access-Control-Allow-Headers in preflight response"
METHOD = "Method … is not allowed by Access-Control-Allow-Methods in preflight response"
STATUS = "It does not have HTTP ok status"
VALUE = "The 'Access-Control-Allow-Origin' header has a value '…' that is not equal to the supplied origin"
VALUES = "The 'Access-Control-Allow-Origin' header contains multiple values '…', but only one is allowed"
REDIRECT = "Redirect is not allowed for a preflight request"
REDIRECTED = "(redirected from '…')"
HANDSHAKE = "Error during WebSocket handshake: Unexpected response code: 403"
NETWORK = "Permission was denied for this request to access the … address space"
MIXED = "This request has been blocked; the content must be served over HTTPS"
NO_SERVER = "net::ERR_CONNECTION_REFUSED"

# (path of the API, options of fetch, words, what stands for the dots). Add a row, not a test.
OWN = [
    ("nobody/echo", {}, MISSING, ""),
    ("nobody/echo", ASK, MISSING, ""),
    ("no/such/resource", {}, MISSING, ""),
    ("exact/echo", INCLUDE, CREDENTIALS, ""),
    ("exact/echo", INCLUDE | ASK, CREDENTIALS, ""),
    ("strict/echo", {"headers": {"X-Other": "1"}}, FIELD, "x-other"),
    ("strict/echo", {"headers": {"X-Ask": "1", "X-Other": "1"}}, FIELD, "x-other"),
    ("strict/echo", {"headers": {"X-Other": "1", "X-More": "1"}}, FIELD, "x-other"),
    ("strict/echo", {"headers": {"Authorization": "x"}}, FIELD, "authorization"),
    ("strict/echo", JSON, FIELD, "content-type"),
    ("strict/echo", {"method": "DELETE"}, METHOD, "DELETE"),
    ("strict/echo", {"method": "DELETE", **ASK}, METHOD, "DELETE"),
    ("strict/echo", {"method": "DELETE", "headers": {"X-Other": "1"}}, METHOD, "DELETE"),
    ("exact/echo", {"method": "patch"}, METHOD, "patch"),
    ("credentials/echo", INCLUDE | {"method": "DELETE"}, METHOD, "DELETE"),
    ("strict/echo", {"method": "POST", **ASK}, STATUS, ""),
]

# Likewise for the other server.
OTHERS = [
    ("/value", {}, VALUE, "https://other.example"),
    ("/two-values", {}, VALUES, "*, {page}"),
    ("/any", INCLUDE, STAR, ""),
    ("/login", ASK, STATUS, ""),
    ("/slash", ASK, REDIRECT, ""),
    ("/redirect", {}, REDIRECTED, "{elsewhere}/redirect"),
    ("/to-nothing", {}, REDIRECTED, "{elsewhere}/to-nothing"),
]


def table():
    """Return the words of Chromium in the table of the documentation, from the top."""
    _, _, section = DOCS.read_text().partition("\n## When a page is refused\n")
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def first_row(texts):
    """Return the first words of the table that are among the messages of a console."""
    for words in table():
        pattern = re.compile(".*".join(map(re.escape, words.split("…"))))
        if any(map(pattern.search, texts)):
            return words
    return None


def free_url():
    """Return a URL that nobody serves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


class Tab:
    """A page whose requests are refused; the words that were found in the table."""

    def __init__(self, page):
        self.page = page
        self.found = set()
        self._texts = []
        page.on("console", lambda message: self._texts.append(message.text))

    def refused(self, script, arguments, words, value=""):
        """Run a script; the console has the words, and the table leads to them."""
        self._texts.clear()
        printed = words.replace("…", value)
        with self.page.expect_console_message(lambda message: printed in message.text):
            outcome = self.page.evaluate(script, arguments)
        assert outcome in {"TypeError: Failed to fetch", "failed"}
        assert first_row(self._texts) == words
        self.found.add(words)


def test_the_table_has_what_the_browser_prints(api, elsewhere, browser):
    """Each refusal is in the table, and nothing else is."""
    url, _ = elsewhere
    tab = Tab(browser.new_page())
    tab.page.goto(api.page)
    for path, options, words, value in OWN:
        tab.refused(FETCH, [f"{api.url}/{path}", options], words, value)
    for path, options, words, value in OTHERS:
        shown = value.format(page=api.page, elsewhere=url)
        tab.refused(FETCH, [f"{url}{path}", options], words, shown)
    tab.refused(FETCH, [free_url(), {}], NO_SERVER)
    without = {HANDSHAKE}
    if api.name == "asgi":
        tab.refused(OPEN, ["EventSource", f"{api.url}/nobody/events"], MISSING)
        tab.refused(OPEN, ["WebSocket", f"ws{api.url[4:]}/nobody/events"], HANDSHAKE)
        without = set()

    # Refused before a request is sent: with a route, Playwright answers preflights itself.
    secure = Tab(browser.new_page())
    page = {"body": EMPTY, "content_type": "text/html"}
    secure.page.route("https://page.example/", lambda route: route.fulfill(**page))
    secure.page.goto("https://page.example/")
    secure.refused(FETCH, ["http://insecure.example/", {}], MIXED)
    secure.refused(FETCH, [f"{api.url}/exact/echo", {}], NETWORK, "`loopback`")

    assert tab.found | secure.found == set(table()) - without
    tab.page.close()
    secure.page.close()


def test_redirects_to_another_origin(api, elsewhere, browser):
    """The browser sends ``null`` after a redirect to another origin, and not within one."""
    url, origins = elsewhere
    page = browser.new_page()
    page.goto(api.page)

    def read(address):
        return page.evaluate(FETCH, [address, {}])

    origins.clear()
    assert read(f"{url}/within") == "read"
    assert origins == [api.page] * 2
    assert read(f"{url}/redirect") == "TypeError: Failed to fetch"
    # The policies of the API tell which origin arrives there.
    with running(Elsewhere, origins=origins, target=f"{api.url}/null/echo") as port:
        assert read(f"http://127.0.0.1:{port}/redirect") == "read"
    page.close()


@pytest.mark.parametrize(
    ("flags", "origin"),
    [([], "null"), (["--allow-file-access-from-files"], "file://")],
    ids=["null", "file"],
)
def test_pages_from_files(browser, tmp_path, flags, origin):
    """A page from a file has the origin ``null``, or ``file://`` if it may read files."""
    file = tmp_path / "page.html"
    file.write_bytes(EMPTY)
    origins = []
    flagged = browser.browser_type.launch(executable_path=EXECUTABLE, args=[*FLAGS, *flags])
    with (
        running(Elsewhere, origins=origins, target="") as port,
        contextlib.closing(flagged),
    ):
        page = flagged.new_page()
        page.goto(file.as_uri())
        assert page.evaluate(FETCH, [f"http://127.0.0.1:{port}/any", {}]) == "read"

    assert origins == [origin]
