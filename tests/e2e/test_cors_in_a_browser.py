"""Chromium is the judge: what it allows and refuses is what was decided."""

import itertools

import pytest

from cors_api import FETCH
from heliograph.cors import CorsRequest, decide

CREDENTIALS = "Access-Control-Allow-Credentials"


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


def test_nothing_is_remembered_of_a_refused_preflight(api, browser):
    """
    What a refused preflight lists is not granted: each later request asks again.

    The policy has a ``max_age``, and the method and one of the headers are allowed.
    """
    context = browser.new_context()
    page = context.new_page()
    page.goto(api.page)
    path = "strict/echo"
    allowed = {"method": "PUT", "headers": {"X-Ask": "1"}}
    forbidden = {"method": "PUT", "headers": {"X-Ask": "1", "X-Other": "1"}}
    before = int(api.server.get(f"/preflights/{path}").text)
    sent = []
    for options in (
        forbidden,
        forbidden,
        {"method": "DELETE", "headers": {"X-Ask": "1"}},
        {"method": "POST", "headers": {"X-Ask": "1"}},
        allowed,
        allowed,
        forbidden,
    ):
        got = page.evaluate(FETCH, [f"{api.url}/{path}", options])
        count = int(api.server.get(f"/preflights/{path}").text)
        sent.append((got.get("status"), count - before))
        before = count
    context.close()

    assert sent == [
        *[(None, 1)] * 4,
        # PUT and X-Ask were listed in the refused ones, and are asked for again,
        (200, 1),
        # but not after they were granted.
        (200, 0),
        (None, 1),
    ]


UPLOAD = """([url, method]) => new Promise(done => {
    const request = new XMLHttpRequest()
    request.upload.onprogress = () => {}
    request.onload = () => done(request.status)
    request.onerror = () => done("error")
    request.open(method, url)
    request.send("x")
})"""


def test_an_upload_that_is_listened_to(api, tabs):
    """It needs a preflight whatever its method, and the policy's methods count."""
    page = tabs[api.page]
    got = {
        method: page.evaluate(UPLOAD, [f"{api.url}/strict/echo", method])
        for method in ("PUT", "DELETE", "POST")
    }

    assert got == {"PUT": 200, "DELETE": "error", "POST": "error"}


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


READ_WITH_FETCH = """async url => {
    const {fetchEventSource} = await import("/modules/index.js")
    window.got = []
    window.opened = 0
    window.stop = new AbortController()
    fetchEventSource(url, {
        headers: {Authorization: "Bearer x"},
        openWhenHidden: true,
        signal: stop.signal,
        onopen: async answer => { opened += answer.status === 200 },
        onmessage: message => { if (!message.event && message.data) got.push(message.data) },
        onclose: () => { throw new Error("reconnect") },
        onerror: () => 50,
    })
}"""


def test_a_page_that_sends_a_token_resumes(api, browser):
    """It sends Last-Event-ID only when it reconnects, and misses nothing."""
    page = browser.new_page()
    page.goto(api.page)
    page.evaluate(READ_WITH_FETCH, f"{api.url}/stream/events")
    page.wait_for_function("opened === 1")

    for round_ in range(3):
        api.server.get("/publish", "POST", body=f"{round_}-before".encode())
        page.wait_for_function(f"got.includes('{round_}-before')")
        api.server.get("/cut", "POST")
        api.server.get("/publish", "POST", body=f"{round_}-cut".encode())
        page.wait_for_function(f"got.includes('{round_}-cut')")

    assert page.evaluate("got") == [
        f"{round_}-{when}" for round_ in range(3) for when in ("before", "cut")
    ]
    assert page.evaluate("opened") >= 3
    page.evaluate("stop.abort()")
    page.close()
