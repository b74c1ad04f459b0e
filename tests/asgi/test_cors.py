"""CORS for ASGI applications, on real servers."""

import contextlib
import http.client
import sys

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from heliograph.asgi import CORSMiddleware
from heliograph.cors import CorsPolicy
from servers import serving, until

A = "https://a.example"
TENANT = "https://x.tenant.example"
EVIL = "https://evil.example"
ORIGIN = "Access-Control-Allow-Origin"
PREFLIGHT = {
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "x-a",
}
ERROR = "Internal Server Error"
FRAMEWORKS = ["starlette", "inside", "fastapi", "handled", "quart", "plain"]


@contextlib.contextmanager
def uvicorn(app, folder):
    command = [
        sys.executable, "-m", "uvicorn", f"asgi:{app}", "--port", "{port}", "--no-access-log",
        "--timeout-graceful-shutdown", "1",
    ]  # fmt: skip
    with serving(command, folder, ready="/") as server:
        yield server


@pytest.fixture(scope="module", params=FRAMEWORKS)
def server(request, tmp_path_factory):
    """A uvicorn that serves one of the applications."""
    with uvicorn(request.param, tmp_path_factory.mktemp(request.param)) as server:
        server.name = request.param
        yield server


def granted(response):
    return response.getheader(ORIGIN)


def is_refused(response):
    return not any(
        name.lower().startswith("access-control") for name, _ in response.getheaders()
    )


@pytest.mark.parametrize("origin", [A, TENANT])
def test_granted(server, origin):
    """The response has the origin, credentials and exposed headers; ``Vary`` is merged."""
    answer = server.get("/", headers={"Origin": origin})

    assert (answer.status, answer.text, granted(answer)) == (200, "hello", origin)
    assert answer.getheader("Access-Control-Allow-Credentials") == "true"
    assert answer.getheader("Access-Control-Expose-Headers") == "X-B"
    vary = answer.getheader("Vary").replace(" ", "").split(",")
    assert sorted(vary) == ["Cookie", "Origin"]


@pytest.mark.parametrize(
    "origin", [EVIL, "null", f"{A},{A}", f"{A}/", "https://tenant.example"]
)
def test_refused(server, origin):
    """The application answers, and the page cannot read it."""
    answer = server.get("/", headers={"Origin": origin})

    assert (answer.status, is_refused(answer)) == (200, True)
    assert "Origin" in answer.getheader("Vary")


def test_nobody(server):
    """A request without an origin is answered as usual, with ``Vary`` for caches."""
    answer = server.get("/")

    assert (answer.status, is_refused(answer)) == (200, True)
    assert "Origin" in answer.getheader("Vary")


@pytest.mark.parametrize("path", ["/", "/nothing", "/crash"])
def test_preflight(server, path):
    """A preflight is answered before the application, whatever its path."""
    answer = server.get(path, "OPTIONS", {"Origin": TENANT, **PREFLIGHT})

    assert (answer.status, answer.text, granted(answer)) == (204, "", TENANT)
    assert answer.getheader("Access-Control-Allow-Headers") == "x-a"
    assert answer.getheader("Access-Control-Max-Age") == "600"
    assert answer.getheader("Access-Control-Expose-Headers") is None


@pytest.mark.parametrize(
    ("fields", "status", "named", "words"),
    [
        ({"Origin": EVIL}, 403, None, "evil.example"),
        ({"Origin": A, "Access-Control-Request-Headers": "x-c"}, 200, A, "x-c"),
    ],
)
def test_refused_preflight(server, fields, status, named, words):
    """A refused preflight gets the reason; an allowed origin, what the browser needs."""
    answer = server.get("/", "OPTIONS", {**PREFLIGHT, **fields})

    assert (answer.status, granted(answer)) == (status, named)
    assert answer.getheader("Access-Control-Allow-Headers") is None
    assert answer.getheader("Access-Control-Max-Age") is None
    assert words in answer.text
    assert answer.getheader("Content-Type").startswith("text/plain")


def test_the_header_is_there_already(server):
    """An ``Access-Control-Allow-Origin`` of the application is not changed."""
    answer = server.get("/own", headers={"Origin": A})

    assert [v for n, v in answer.getheaders() if n.lower() == ORIGIN.lower()] == [
        "https://own.example"
    ]


def test_unhandled_exception(server):
    """The page that caused it reads the answer, the application's own if it has one."""
    answer = server.get("/crash", headers={"Origin": A})

    assert (answer.status, granted(answer)) == (500, A)
    assert ("sorry: crash" if server.name == "handled" else ERROR) in answer.text
    assert is_refused(server.get("/crash", headers={"Origin": EVIL}))
    until(lambda: "LookupError: crash" in server.log_text())


def running(server):
    """How many streams are being generated."""
    return int(server.get("/running").text)


def test_stream(server):
    """A stream that is allowed begins where the client was."""
    with server.stream(headers=[f"Origin: {A}"], last_event_id="5") as stream:
        assert stream.header("access-control-allow-origin") == A
        assert [event.data for event in stream.wait(2)][:2] == ["6", "7"]
        assert running(server) == 1
    until(lambda: running(server) == 0)


def test_refused_stream(server):
    """The page gets an answer and no event; nothing is generated while it is connected."""
    until(lambda: running(server) == 0)
    with server.stream(headers=[f"Origin: {EVIL}"]) as refused:
        assert refused.status == 403
        assert refused.header("content-type").startswith("text/plain")
        assert b"data:" not in refused.body
        assert not [
            name for name, _ in refused.headers if name.startswith("access-control")
        ]
        until(lambda: running(server) == 0)
    assert "ClientDisconnect" not in server.log_text()
    assert "_RefusedError" not in server.log_text()


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [(A, True), (TENANT, True), (None, True), ("http://127.0.0.1:{port}", True),
     ("https://127.0.0.1:{port}", True), (EVIL, False), ("null", False),
     ("http://127.0.0.1:{port}0", False), ("http://127.0.0.1", False), ("ws://127.0.0.1:{port}", False)],
)  # fmt: skip
def test_websocket(server, origin, is_let_in):
    """Allowed origins, the server's own pages and other programs may connect."""
    if origin is not None:
        origin = origin.format(port=server.port)
    url = f"ws://127.0.0.1:{server.port}/echo"
    if is_let_in:
        with connect(url, origin=origin) as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"
        return
    with pytest.raises(InvalidStatus) as caught, connect(url, origin=origin):
        pass
    assert caught.value.response.status_code == 403


def test_an_exception_handler(tmp_path):
    """It is called once, although two could call it."""
    with uvicorn("handled", tmp_path) as server:
        before = int(server.get("/handled").text)
        server.get("/crash", headers={"Origin": A})

        assert int(server.get("/handled").text) == before + 1


@pytest.fixture(scope="module")
def starlette(tmp_path_factory):
    with uvicorn("starlette", tmp_path_factory.mktemp("starlette")) as server:
        yield server


def test_an_exception_after_the_beginning(starlette):
    """The response cannot be changed: the connection ends, and the error is logged."""
    with pytest.raises(http.client.IncompleteRead):
        starlette.get("/late", headers={"Origin": A})
    until(lambda: "LookupError: late" in starlette.log_text())
    assert "Expected ASGI message" not in starlette.log_text()
    assert "Unexpected ASGI message" not in starlette.log_text()


def test_a_stream_that_was_asked_for_by_post(starlette):
    """A POST has an Origin on the server's own pages as well, so it is not refused."""
    answer = starlette.get("/posted", "POST", {"Origin": EVIL})

    assert (answer.status, answer.text, is_refused(answer)) == (200, "data: x\n\n", True)


@pytest.mark.parametrize("origin", [A, EVIL])
def test_vary_is_not_said_twice(starlette, origin):
    """A ``Vary`` of the application that names the origin is enough."""
    answer = starlette.get("/merged", headers={"Origin": origin})

    assert [v for n, v in answer.getheaders() if n.lower() == "vary"] == ["origin, Cookie"]


@pytest.mark.parametrize("is_caused", [True, False])
async def test_an_error_after_a_refusal(is_caused):
    """An error that the refusal has caused ends there; any other is raised."""
    sent = []

    async def app(scope, receive, send):
        start = {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"Content-Type", b"text/event-stream")],
        }
        with contextlib.suppress(OSError):
            await send(start)
        if is_caused:
            try:
                await send({"type": "http.response.body", "body": b"secret"})
            except OSError as error:
                raise ExceptionGroup("of a task group", [error]) from error
        raise KeyError("another")

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"origin", EVIL.encode())],
    }
    middleware = CORSMiddleware(app, CorsPolicy(origins=A))
    if is_caused:
        await middleware(scope, None, send)
    else:
        with pytest.raises(KeyError):
            await middleware(scope, None, send)

    assert [message.get("status") for message in sent] == [403, None]
    assert b"secret" not in sent[1]["body"]


def test_several_origins(starlette):
    """Two Origin fields are a list, and a list is never an origin."""
    with starlette.stream("/", headers=[f"Origin: {EVIL}", f"Origin: {A}"]) as answer:
        assert answer.status == 200
        assert answer.header("access-control-allow-origin") == ""


@pytest.fixture(scope="module")
def mounted(tmp_path_factory):
    with uvicorn("mounted", tmp_path_factory.mktemp("mounted")) as server:
        server.get("/files/plain.py")
        server.get("/routes/")
        yield server


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/files/plain.py", "GET", 200),
        ("/files/nothing", "GET", 404),
        ("/files/plain.py", "POST", 405),
        ("/routes/", "GET", 200),
        ("/routes/nothing", "GET", 404),
        ("/routes/", "POST", 405),
        ("/routes/crash", "GET", 500),
    ],
)
def test_inside_of_a_framework(mounted, path, method, status):
    """The framework answers to exceptions, and its answers have the headers."""
    for _ in range(2):
        answer = mounted.get(path, method, {"Origin": A})
        assert (answer.status, granted(answer)) == (status, A)
    assert is_refused(mounted.get(path, method, {"Origin": EVIL}))
    assert is_refused(mounted.get("/", headers={"Origin": A}))
    assert "response already started" not in mounted.log_text()


def test_other_middleware(tmp_path):
    """Middleware further out answers to exceptions that it catches."""
    with uvicorn("caught", tmp_path) as server:
        answer = server.get("/crash", headers={"Origin": A})

    assert (answer.status, answer.text, granted(answer)) == (503, "caught", A)


def test_nested(tmp_path):
    """The innermost decides everything but preflights, which the outermost answers."""
    admin = "https://admin.example"
    with uvicorn("nested", tmp_path) as server:
        assert granted(server.get("/", headers={"Origin": EVIL})) == "*"
        assert is_refused(server.get("/admin/", headers={"Origin": EVIL}))
        assert granted(server.get("/admin/", headers={"Origin": admin})) == admin
        assert granted(server.get("/admin/nothing", headers={"Origin": admin})) == admin
        answer = server.get("/admin/", "OPTIONS", {
            "Origin": EVIL, "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Private-Network": "true",
        })  # fmt: skip
        assert granted(answer) == "*"
        assert answer.getheader("Access-Control-Allow-Private-Network") == "true"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A server whose policy allows every origin, and names some."""
    with uvicorn("open_to_all", tmp_path_factory.mktemp("open")) as server:
        yield server


def test_websocket_with_any_credentials(tmp_path):
    """The dangerous option lets every page connect with cookies."""
    with (
        uvicorn("dangerous", tmp_path) as server,
        connect(
            f"ws://127.0.0.1:{server.port}/echo",
            origin=EVIL,
            additional_headers={"Cookie": "secret"},
        ) as websocket,
    ):
        websocket.send("hello")
        assert websocket.recv() == "hello"


@pytest.mark.parametrize(
    ("more", "is_own"),
    [({}, True), ({"scheme": "ws"}, True), ({"scheme": "wss"}, False)],
)
async def test_own_pages(more, is_own):
    """The server's own pages are known by the scheme and the Host of the handshake."""
    sent = []

    async def app(scope, receive, send):
        sent.append("let in")

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message["type"])

    headers = [(b"origin", b"http://api.example"), (b"host", b"api.example")]
    scope = {"type": "websocket", "path": "/", "headers": headers, **more}
    await CORSMiddleware(app, CorsPolicy(origins=A))(scope, receive, send)

    assert sent == ["let in" if is_own else "websocket.close"]


@pytest.mark.parametrize(
    ("origin", "field", "is_let_in"),
    [
        (EVIL, None, True),
        (EVIL, "Cookie", False),
        (EVIL, "Authorization", False),
        ("null", "Cookie", False),
        (A, "Cookie", True),
        ("https://x.b.example", "Cookie", True),
        (TENANT, "Cookie", True),
        (None, "Cookie", True),
        ("http://127.0.0.1:{port}", "Cookie", True),
    ],
)
def test_websocket_open_to_all(opened, origin, field, is_let_in):
    """A handshake has the visitor's cookies, which ``*`` never allows."""
    url = f"ws://127.0.0.1:{opened.port}/echo"
    options = {
        "origin": origin and origin.format(port=opened.port),
        "additional_headers": {field: "secret"} if field else {},
    }
    if is_let_in:
        with connect(url, **options) as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"
        return
    with pytest.raises(InvalidStatus), connect(url, **options):
        pass


def test_open_to_all(opened):
    """Every origin gets the same response, so that caches can keep it."""
    answer = opened.get("/", headers={"Origin": EVIL})

    assert (granted(answer), answer.getheader("Vary")) == ("*", "Cookie")


@pytest.mark.parametrize("origins", ["*", A])
async def test_credentials_that_somebody_else_allows(origins):
    """If the application adds this header, no origin is echoed to every page."""
    sent = []

    async def app(scope, receive, send):
        headers = [(b"Access-Control-Allow-Credentials", b"true")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"origin", A.encode())],
    }
    policy = CorsPolicy(origins=origins, send_wildcard=False)
    await CORSMiddleware(app, policy)(scope, None, send)

    assert dict(sent[0]["headers"])[b"access-control-allow-origin"] == origins.encode()


def test_lifespan(tmp_path):
    """Lifespan events are passed on: the application starts and stops."""
    with uvicorn("plain", tmp_path) as server:
        pass

    assert "Application startup complete" in server.log_text()
    assert "Application shutdown complete" in server.log_text()


@pytest.mark.parametrize("policy", [None, {"origins": A}, [A]])
def test_no_policy(policy):
    """Anything but a policy is refused at once."""
    with pytest.raises(TypeError, match="CorsPolicy"):
        CORSMiddleware(lambda: None, policy)
