"""Chromium is the judge: what it allows and refuses is what was decided."""

import contextlib
import http.server
import itertools
import sys
import threading

import pytest

from apps.cors_policies import policies
from browser import chromium
from heliograph.cors import CorsPolicy, CorsRequest, decide
from heliograph.flask.cors_options import make_rule
from servers import gunicorn, serving

CREDENTIALS = "Access-Control-Allow-Credentials"


class Page(http.server.BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title><link rel=icon href='data:,'>")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def pages():
    """A server of empty pages; its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


class Api:
    """A server, the pages' port, and what its face makes of options."""

    def __init__(self, server, page_port, policy):
        self.server = server
        self.url = f"http://127.0.0.1:{server.port}"
        self.page = f"http://127.0.0.1:{page_port}"
        # Another name, and so another origin, and another site.
        self.foreign = f"http://localhost:{page_port}"
        self.policies = {
            name: policy(options) for name, options in policies(self.page).items()
        }


def _flask(options):
    return make_rule(options, []).policy


def _asgi(options):
    return CorsPolicy(**options)


UVICORN = [
    sys.executable,
    "-m",
    "uvicorn",
    "cors_asgi:app",
    "--port",
    "{port}",
    "--timeout-graceful-shutdown",
    "1",
]


@pytest.fixture(
    scope="module",
    params=[(gunicorn("cors_flask:app", "--threads", "4"), _flask), (UVICORN, _asgi)],
    ids=["flask", "asgi"],
)
def api(request, tmp_path_factory):
    """The same API in two frameworks."""
    command, policy = request.param
    folder = tmp_path_factory.mktemp("api")
    with pages() as port:
        env = {"PAGE": f"http://127.0.0.1:{port}"}
        with serving(command, folder, env=env) as server:
            yield Api(server, port, policy)


@pytest.fixture(scope="module")
def tabs(api, browser):
    """Pages of the three origins: the one that may, a foreign one, and none."""
    context = browser.new_context()
    page, foreign = context.new_page(), context.new_page()
    page.goto(api.page)
    foreign.goto(api.foreign)
    sandboxed = context.new_page()
    sandboxed.goto(api.page)
    sandboxed.evaluate("""() => new Promise(loaded => {
        const frame = document.createElement("iframe")
        frame.sandbox = "allow-scripts"
        frame.srcdoc = "<title>sandboxed</title>"
        frame.onload = loaded
        document.body.append(frame)
    })""")
    yield {api.page: page, api.foreign: foreign, "null": sandboxed.frames[1]}
    context.close()


# What a page may try: the options of fetch(), and what the browser asks about it before, by
# Fetch's rules on what needs a preflight.
FETCHES = {
    "simple": ({}, None),
    "text": ({"method": "POST", "body": "x"}, None),
    "json": (
        {"method": "POST", "body": "{}", "headers": {"Content-Type": "application/json"}},
        "content-type",
    ),
    "header": ({"headers": {"X-Ask": "1"}}, "x-ask"),
    "two-headers": ({"headers": {"X-Ask": "1", "X-Other": "1"}}, "x-ask,x-other"),
    "token": ({"headers": {"Authorization": "Bearer x"}}, "authorization"),
    "put": ({"method": "PUT"}, ""),
    "lower-case-put": ({"method": "put"}, ""),
    "delete": ({"method": "DELETE"}, ""),
    "report": ({"method": "REPORT"}, ""),
}
# The browser puts only these in capitals. Fetch, "normalize a method".
NORMALIZED = {"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"}

FETCH = """async ([url, options]) => {
    try {
        const answer = await fetch(url, options)
        return {
            status: answer.status,
            body: await answer.json(),
            shown: answer.headers.get("X-Shown"),
            hidden: answer.headers.get("X-Hidden"),
        }
    } catch (error) {
        return {error: error.name}
    }
}"""


def passes(decision, *, credentials):
    """What the browser makes of the headers of a decision that grants."""
    headers = dict(decision.headers)
    if decision.reason is not None:
        return False
    return not credentials or headers.get(CREDENTIALS) == "true"


def expected(policy, origin, options, asked):
    """Whether the page may read the answer, by what is decided."""
    method = options.get("method", "GET")
    method = method.upper() if method.upper() in NORMALIZED else method
    credentials = options.get("credentials") == "include"
    actual = decide(policy, CorsRequest(method, origin=origin))
    if asked is None:
        return passes(actual, credentials=credentials)
    preflight = CorsRequest(
        "OPTIONS", origin=origin, request_method=method, request_headers=asked or None
    )
    return passes(decide(policy, preflight), credentials=credentials) and passes(
        actual, credentials=credentials
    )


@pytest.mark.timeout(180)
@pytest.mark.parametrize("credentials", ["same-origin", "include"])
def test_the_browser_does_what_was_decided(api, tabs, credentials):
    """Every policy, every origin, every request: read if granted, and only then."""
    wrong, count = [], {True: 0, False: 0}
    tried = itertools.product(api.policies.items(), tabs.items(), FETCHES.items())
    for (name, policy), (origin, tab), (what, (fetch, asked)) in tried:
        options = {**fetch, "credentials": credentials}
        got = tab.evaluate(FETCH, [f"{api.url}/{name}/echo?{what}", options])
        wanted = expected(policy, origin, options, asked)
        count[wanted] += 1
        if ("status" in got) is not wanted:
            wrong.append((name, origin, what, got))
        elif wanted:
            exposed = policy.expose_headers
            is_shown = "X-Shown" in exposed or "*" in exposed
            if (got["shown"], got["hidden"]) != (
                "yes" if is_shown else None,
                "no" if "*" in exposed else None,
            ):
                wrong.append((name, origin, what, got))

    assert wrong == []
    # Both happened, often.
    assert min(count.values()) > 20


@pytest.mark.parametrize(("method", "wanted"), [("PATCH", 200), ("patch", None)])
def test_methods_have_capitals(api, tabs, method, wanted):
    """The browser puts those of old in capitals, and PATCH is not one of them."""
    got = tabs[api.page].evaluate(FETCH, [f"{api.url}/exact/echo", {"method": method}])

    assert got.get("status") == wanted


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_errors_are_read(api, tabs, status):
    """By the page that may, and no other."""
    url = f"{api.url}/exact/echo?status={status}"

    assert tabs[api.page].evaluate(FETCH, [url, {}])["status"] == status
    assert tabs[api.foreign].evaluate(FETCH, [url, {}]) == {"error": "TypeError"}


def test_cookies(api, browser):
    """They are sent and kept with credentials, and only where those are allowed."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(api.page)

    def visitor(name, mode):
        answer = page.evaluate(FETCH, [f"{api.url}/{name}/echo", {"credentials": mode}])
        return answer.get("body", answer).get("cookie", "error")

    assert visitor("credentials", "include") is None
    page.evaluate(
        "url => fetch(url, {method: 'POST', credentials: 'include'})",
        f"{api.url}/credentials/login",
    )
    assert visitor("credentials", "include") == "ann"
    assert visitor("credentials", "same-origin") is None
    assert visitor("exact", "include") == "error"
    assert visitor("exact", "same-origin") is None
    context.close()


def test_preflights_are_remembered(api, browser):
    """For as long as the policy says."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(api.page)
    counts = {}
    for name in ("remembered", "forgotten"):
        path = f"{name}/echo"
        before = int(api.server.get(f"/preflights/{path}").text)
        for _ in range(3):
            assert (
                page.evaluate(FETCH, [f"{api.url}/{path}", {"method": "PUT"}])["status"]
                == 200
            )
        counts[name] = int(api.server.get(f"/preflights/{path}").text) - before
    context.close()

    assert counts == {"remembered": 1, "forgotten": 3}


LISTEN = """url => {
    window.got = []
    window.source = new EventSource(url, {withCredentials: true})
    source.onmessage = event => got.push(event.data)
    source.onopen = () => got.push("open")
}"""


def test_event_source_with_credentials(api, tabs):
    """A page of another origin listens, loses its connection, and misses nothing."""
    url = f"{api.url}/stream/events"
    page, foreign = tabs[api.page], tabs[api.foreign]
    page.evaluate(LISTEN, url)
    foreign.evaluate(LISTEN, url)
    page.wait_for_function("source.readyState === 1")
    # It is refused for good: a browser does not come back from that.
    foreign.wait_for_function("source.readyState === 2")

    for round_ in range(3):
        for n in range(5):
            api.server.get("/publish", "POST", body=f"{round_}-{n}".encode())
        api.server.get("/cut", "POST")
        api.server.get("/publish", "POST", body=f"{round_}-cut".encode())
        page.wait_for_function(f"got.includes('{round_}-cut')")

    got = page.evaluate("got")
    assert [data for data in got if data != "open"] == [
        f"{round_}-{n}" for round_ in range(3) for n in (0, 1, 2, 3, 4, "cut")
    ]
    assert got.count("open") >= 3
    assert foreign.evaluate("got") == []
    page.evaluate("source.close()")
    with api.server.stream("/stream/events", headers=[f"Origin: {api.foreign}"]) as stream:
        assert stream.status == 403
        assert not [name for name, _ in stream.headers if name.startswith("access-control")]
