"""CORS in Starlette applications that have other middleware, in whatever order."""

import gc
import logging

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware as StarlettesMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from heliograph.asgi import CORSMiddleware
from heliograph.cors import CorsPolicy
from starlettes import (
    EVIL,
    ORIGIN,
    PREFLIGHT,
    TENANT,
    A,
    Asked,
    Closed,
    Passing,
    client,
    crash,
    echo,
    hello,
)
from streams import until
from uvicorns import serving

pytestmark = pytest.mark.usefixtures("fresh_process")


class Raising:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            raise LookupError("crash")
        await self.app(scope, receive, send)


class Cors(CORSMiddleware):
    """A subclass that builds its policy itself."""

    def __init__(self, app, *, asked):
        super().__init__(app, asked.policy())


async def sorry(request, error):
    return PlainTextResponse("sorry", status_code=500)


async def fail(request, call_next):
    raise LookupError("crash")


# (options of the application, the other middleware, the status)
OTHERS = [
    pytest.param({}, [Middleware(Closed)], 401, id="answers-401"),
    pytest.param({}, [Middleware(HTTPSRedirectMiddleware)], 307, id="redirects"),
    pytest.param(
        {}, [Middleware(TrustedHostMiddleware, ["other"])], 400, id="trusts-hosts"
    ),
    pytest.param({}, [Middleware(Raising)], 500, id="raises"),
    pytest.param({}, [Middleware(BaseHTTPMiddleware, fail)], 500, id="function-raises"),
    pytest.param({"debug": True}, [Middleware(Raising)], 500, id="debug"),
    pytest.param(
        {"exception_handlers": {Exception: sorry}}, [Middleware(Raising)], 500, id="handler"
    ),
    pytest.param({}, [Middleware(GZipMiddleware), Middleware(Passing)], 200, id="passes"),
]


def build(framework, options, others, cors, *, position):
    """Return an application with other middleware that was added earlier, later or both."""
    app = {"starlette": Starlette, "fastapi": FastAPI}.get(framework)
    routes = [Route("/", hello), Route("/crash", crash), WebSocketRoute("/echo", echo)]
    if framework == "constructor":
        middleware = [cors, *others] if position == "earlier" else [*others, cors]
        return Starlette(routes=routes, middleware=middleware, **options)
    built = app(routes=routes, **options)
    added = [*others, cors] if position == "earlier" else [cors, *others]
    for kind, args, kwargs in added:
        built.add_middleware(kind, *args, **kwargs)
    return built


async def check(session, path, status, asked):
    """Ask for a preflight and for a response, in the names of a friend and of a stranger."""
    preflight = await session.options(path, headers={"Origin": TENANT, **PREFLIGHT})
    assert (preflight.status_code, preflight.headers.get(ORIGIN)) == (204, TENANT)
    assert asked.times == 1
    answer = await session.get(path, headers={"Origin": TENANT})
    assert answer.status_code == status
    assert answer.headers.get_list(ORIGIN) == [TENANT]
    assert asked.times == 2
    refused = await session.options(path, headers={"Origin": EVIL, **PREFLIGHT})
    assert (refused.status_code, refused.headers.get(ORIGIN)) == (403, None)
    answer = await session.get(path, headers={"Origin": EVIL})
    assert (answer.status_code, answer.headers.get(ORIGIN)) == (status, None)
    assert "Origin" in answer.headers["vary"]
    assert asked.times == 4


@pytest.mark.parametrize("framework", ["starlette", "fastapi", "constructor"])
@pytest.mark.parametrize("position", ["earlier", "later"])
@pytest.mark.parametrize(("options", "others", "status"), OTHERS)
async def test_other_middleware(framework, position, options, others, status):
    """Whatever it does, preflights are answered, and every answer has the headers."""
    asked = Asked()
    cors = Middleware(CORSMiddleware, policy=asked.policy())
    app = build(framework, options, others, cors, position=position)

    async with client(app) as session:
        await check(session, "/", status, asked)


async def test_a_real_server():
    """The same for each of these applications, in a process that has no lifespan."""
    apps, expected = {}, {}
    for parameters in OTHERS:
        options, others, status = parameters.values
        name, asked = parameters.id, Asked()
        cors = Middleware(CORSMiddleware, policy=asked.policy())
        apps[name] = build("fastapi", options, others, cors, position="later")
        expected[name] = (status, asked)

    async def switch(scope, receive, send):
        name, _, path = scope["path"][1:].partition("/")
        await apps[name]({**scope, "path": f"/{path}"}, receive, send)

    async with (
        serving(switch, lifespan="off") as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as session,
    ):
        for name, (status, asked) in expected.items():
            await check(session, f"/{name}/", status, asked)


async def test_a_subclass_with_a_policy_of_its_own():
    """It is known by its class: its policy acts around everything, and decides once."""
    asked = Asked()
    cors = Middleware(Cors, asked=asked)
    app = build("fastapi", {}, [Middleware(Closed)], cors, position="later")

    async with client(app) as session:
        await check(session, "/", 401, asked)


async def test_the_middleware_is_built_again():
    """As test suites do that add middleware to an application that has run."""
    asked = Asked()
    app = FastAPI(routes=[Route("/", hello)])
    app.add_middleware(CORSMiddleware, policy=asked.policy())
    async with client(app) as session:
        assert (await session.get("/", headers={"Origin": A})).headers[ORIGIN] == A

        app.middleware_stack = None
        app.add_middleware(Closed)

        await check(session, "/", 401, asked)


async def test_another_policy_among_the_middleware():
    """The one that was added first is the innermost, wherever an answer comes from."""
    app = FastAPI(routes=[Route("/", hello)])
    app.add_middleware(CORSMiddleware, policy=CorsPolicy(origins=A))
    app.add_middleware(Closed)
    app.add_middleware(CORSMiddleware, policy=CorsPolicy(origins=TENANT))

    async with client(app) as session:
        answer = await session.get("/", headers={"Origin": A})
        assert (answer.status_code, answer.headers[ORIGIN]) == (401, A)
        answer = await session.options("/", headers={"Origin": TENANT, **PREFLIGHT})
        assert answer.status_code == 204


@pytest.mark.parametrize("position", ["earlier", "later"])
async def test_the_middleware_of_starlette_beside_ours(position):
    """There is one Access-Control-Allow-Origin, and the preflight is ours."""
    theirs = Middleware(StarlettesMiddleware, allow_origins=["*"])
    ours = Middleware(CORSMiddleware, policy=CorsPolicy(origins=A))
    app = build("fastapi", {}, [theirs], ours, position=position)

    async with client(app) as session:
        answer = await session.get("/", headers={"Origin": A})
        assert answer.headers.get_list(ORIGIN) == ["*"]
        answer = await session.options("/", headers={"Origin": A, **PREFLIGHT})
        assert (answer.status_code, answer.headers.get_list(ORIGIN)) == (204, [A])
    async with client(StarlettesMiddleware(app, allow_origins=[A])) as session:
        answer = await session.get("/", headers={"Origin": A})
        assert len(answer.headers.get_list(ORIGIN)) == 1


async def test_a_refused_stream_behind_middleware():
    """The page gets 403, the stream ends, and background tasks run as usual."""
    running = []

    async def numbers():
        running.append(True)
        try:
            while True:
                yield b"data: 1\n\n"
        finally:
            running.pop()

    async def stream(request):
        return StreamingResponse(numbers(), media_type="text/event-stream")

    app = FastAPI(routes=[Route("/stream", stream)])
    app.add_middleware(CORSMiddleware, policy=CorsPolicy(origins=A))
    app.add_middleware(Passing)

    @app.get("/task")
    async def task():
        return PlainTextResponse("", background=BackgroundTask(running.append, "task"))

    async with (
        serving(app, lifespan="off") as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as session,
    ):
        for _ in range(2):
            answer = await session.get("/stream", headers={"Origin": EVIL})
            assert answer.status_code == 403
            assert "evil.example" in answer.text
            # Starlette leaves the generator of a task that is cancelled to the collector.
            await until(lambda: gc.collect() >= 0 and not running)
        answer = await session.get("/task", headers={"Origin": A})
        assert answer.headers[ORIGIN] == A
        await until(lambda: running == ["task"])


async def test_websockets():
    """A handshake is judged once, before middleware; a refusal says why in its body."""
    asked = Asked()
    cors = Middleware(CORSMiddleware, policy=asked.policy())
    app = build("fastapi", {}, [Middleware(Passing)], cors, position="later")

    async with serving(app, lifespan="off") as port:
        url = f"ws://127.0.0.1:{port}/echo"
        with pytest.raises(InvalidStatus) as caught:
            await connect(url, origin=EVIL)
        async with connect(url, origin=TENANT):
            pass

    refused = caught.value.response
    assert refused.status_code == 403
    assert refused.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert refused.body == b"the policy's origins do not allow 'https://evil.example'\n"
    assert asked.times == 2


async def test_what_is_logged(caplog):
    """What a policy further in allows is no refusal; an accident is a warning at once."""
    inner = Starlette(routes=[Route("/", hello)])
    inner.add_middleware(CORSMiddleware, policy=CorsPolicy(origins=EVIL))
    app = Starlette(routes=[Mount("/in", inner), Route("/", hello)])
    accident = CorsPolicy(origins=[A, r"https://.*order\.example"])
    app.add_middleware(CORSMiddleware, policy=accident)
    caplog.set_level(logging.DEBUG, "heliograph.cors")

    async with client(app) as session:
        await session.get("/in/", headers={"Origin": EVIL})
        await session.get("/", headers={"Origin": EVIL})
        await session.options("/in/", headers={"Origin": EVIL, **PREFLIGHT})

    warning, *refused = [record.getMessage() for record in caplog.records]
    assert (warning,) == accident.warnings
    assert [line[: line.index(":")] for line in refused] == [
        "answered GET '/' without CORS headers, so the page cannot read it",
        "refused OPTIONS '/in/'",
    ]
