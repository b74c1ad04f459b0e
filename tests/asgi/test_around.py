"""The layer around all middleware of a Starlette application, from the first request on."""

import contextlib
import functools
import logging

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, Router

from heliograph.asgi import CORSMiddleware
from heliograph.cors import CorsPolicy
from starlettes import (
    ORIGIN,
    PREFLIGHT,
    TENANT,
    A,
    Asked,
    Closed,
    Passing,
    client,
    crash,
    hello,
)

pytestmark = pytest.mark.usefixtures("fresh_process")


def part(kind, middleware):
    """Return a route whose part of the application has middleware of its own."""
    match kind:
        case "mount":
            return Mount("/part", routes=[Route("/", crash)], middleware=middleware)
        case "router":
            return Mount("/part", Router(routes=[Route("/", crash)], middleware=middleware))
        case "route":
            methods = ["GET", "OPTIONS"]
            return Route("/part/", crash, methods=methods, middleware=middleware)
        case "application":
            return Mount(
                "/part", FastAPI(routes=[Route("/", crash)], middleware=middleware)
            )
        case "wrapped":
            ((_, _, options),) = middleware
            return Mount("/part", CORSMiddleware(Router([Route("/", crash)]), **options))


@pytest.mark.parametrize("kind", ["mount", "router", "route", "application", "wrapped"])
async def test_a_part_with_a_policy(kind):
    """The 500 of the application for an exception in that part, from the first one on."""
    asked = Asked()
    route = part(kind, [Middleware(CORSMiddleware, policy=asked.policy())])
    app = Starlette(routes=[route, Route("/", hello)])

    async with client(app) as session:
        answer = await session.get("/part/", headers={"Origin": TENANT})
        assert (answer.status_code, answer.headers.get(ORIGIN)) == (500, TENANT)
        preflight = {"Origin": TENANT, **PREFLIGHT}
        answer = await session.options("/part/", headers=preflight)
        assert (answer.status_code, answer.headers.get(ORIGIN)) == (204, TENANT)
        assert ORIGIN not in (await session.get("/", headers={"Origin": A})).headers
    assert asked.times == 2


@pytest.mark.parametrize("is_mounted", [True, False], ids=["application", "wrapped"])
async def test_a_policy_in_another_one(is_mounted):
    """The outer one answers preflights, the inner one decides; the same one decides once."""
    outer, inner = Asked(A), Asked()
    policies = [
        CorsPolicy(origins=[asked, "https://x.example"]) for asked in (outer, inner)
    ]
    cors = Middleware(CORSMiddleware, policy=policies[1])
    again = Mount("/again", CORSMiddleware(Router([Route("/", hello)]), policies[0]))
    routes = [Route("/", hello), again]
    app = FastAPI(routes=routes, middleware=[Middleware(Closed), cors])
    if not is_mounted:
        app = CORSMiddleware(Router(routes), policies[1])
    app = Starlette(routes=[Mount("/inner", app)])
    app.add_middleware(CORSMiddleware, policy=policies[0])
    app.add_middleware(Passing)

    async with client(app) as session:
        headers = {"Origin": A, **PREFLIGHT}
        answer = await session.options("/inner/", headers=headers)
        assert (answer.status_code, answer.headers[ORIGIN]) == (204, A)
        assert (outer.times, inner.times) == (1, 0)
        answer = await session.get("/inner/", headers={"Origin": A})
        assert (answer.status_code, ORIGIN in answer.headers) == (
            401 if is_mounted else 200,
            False,
        )
        answer = await session.get("/inner/", headers={"Origin": TENANT})
        assert answer.headers[ORIGIN] == TENANT
        assert (outer.times, inner.times) == (3, 2)
        if not is_mounted:
            # The innermost has the policy of the application, with another in between.
            answer = await session.get("/inner/again/", headers={"Origin": A})
            assert answer.headers[ORIGIN] == A
            answer = await session.get("/inner/again/", headers={"Origin": TENANT})
            assert ORIGIN not in answer.headers


async def test_an_application_that_was_built_earlier():
    """It has the layer from the second request on."""

    async def late(scope, receive, send):
        raise LookupError("crash")

    app = Starlette()
    async with client(app) as session:
        await session.get("/")
        app.mount("/late", CORSMiddleware(late, CorsPolicy(origins=A)))
        answers = [await session.get("/late/", headers={"Origin": A}) for _ in range(3)]

    assert [ORIGIN in answer.headers for answer in answers] == [False, True, True]


class Guarded(FastAPI):
    """An application that keeps its middleware elsewhere."""

    @property
    def middleware_stack(self):
        return self.__dict__.get("stack")

    @middleware_stack.setter
    def middleware_stack(self, stack):
        self.__dict__["stack"] = stack


async def test_another_shape(caplog):
    """The policy acts where it was added, and one warning says what follows from that."""
    app = Guarded(routes=[Route("/", hello)])
    app.add_middleware(CORSMiddleware, policy=CorsPolicy(origins=A))

    async with client(app) as session:
        for _ in range(2):
            answer = await session.get("/", headers={"Origin": A})
            assert answer.headers[ORIGIN] == A

    (record,) = [each for each in caplog.records if each.name == "heliograph.cors"]
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(
        "Guarded has another middleware_stack than Starlette 1.10, so"
    )
    assert "app = CORSMiddleware(app, policy)" in record.getMessage()


async def test_another_attribute():
    """An attribute that is there already is not replaced."""
    Starlette.middleware_stack = None
    app = FastAPI(routes=[Route("/crash", crash)])
    app.add_middleware(CORSMiddleware, policy=CorsPolicy(origins=A))

    async with client(app) as session:
        with contextlib.suppress(LookupError):
            await session.get("/crash", headers={"Origin": A})
        answer = await session.get("/crash", headers={"Origin": A})

    assert (answer.status_code, answer.headers[ORIGIN]) == (500, A)


class Inside:
    """Middleware that keeps what is inside of it under another name."""

    def __init__(self, app, policy):
        self.inner = CORSMiddleware(app, policy)

    async def __call__(self, scope, receive, send):
        await self.inner(scope, receive, send)


def in_a_function(app, policy):
    async def passing(scope, receive, send):
        await cors(scope, receive, send)

    cors = CORSMiddleware(app, policy)
    return passing


@pytest.mark.parametrize(
    "middleware",
    [
        Middleware(Inside, policy=CorsPolicy(origins=A)),
        Middleware(in_a_function, policy=CorsPolicy(origins=A)),
        Middleware(functools.partial(CORSMiddleware, policy=CorsPolicy(origins=A))),
        Middleware(lambda app: CORSMiddleware(app, CorsPolicy(origins=A))),
    ],
    ids=["attribute", "variable", "partial", "function"],
)
async def test_middleware_that_is_built_by_others(middleware):
    """The policy is found in it, and acts around all middleware."""
    app = Starlette(middleware=[Middleware(Closed), middleware])

    async with client(app) as session:
        headers = {"Origin": A, **PREFLIGHT}
        assert (await session.options("/", headers=headers)).status_code == 204
        answer = await session.get("/", headers={"Origin": A})
    assert (answer.status_code, answer.headers.get(ORIGIN)) == (401, A)


class Stamped(CORSMiddleware):
    """A subclass that does more."""

    calls = 0

    async def __call__(self, scope, receive, send):
        Stamped.calls += 1
        await super().__call__(scope, receive, send)


async def test_a_subclass_is_called_once():
    """There is one instance of it for each application, which each request passes once."""
    app = Starlette(routes=[Route("/", hello)])
    app.add_middleware(Stamped, policy=CorsPolicy(origins=A))

    async with client(app) as session:
        assert (await session.get("/", headers={"Origin": A})).headers[ORIGIN] == A
    assert Stamped.calls == 1


async def test_the_scope_is_not_copied():
    """What the application adds to the scope is read outside, without CORS of its own."""
    CORSMiddleware(hello, CorsPolicy(origins=A))
    app = FastAPI(routes=[Route("/{number}", hello)])
    seen = []

    async def outside(scope, receive, send):
        before = set(scope)
        await app(scope, receive, send)
        seen.append((scope["path_params"], scope["endpoint"]))
        assert not any(key.startswith("heliograph") for key in set(scope) - before)

    async with client(outside) as session:
        await session.get("/7")
    assert seen == [({"number": "7"}, hello)]


async def test_several_policies_and_a_part_with_one_of_them():
    """The innermost decides, although the same policy acts around the application, too."""
    everyone, strict = CorsPolicy(origins="*"), CorsPolicy(origins=A)
    part = Mount("/part", CORSMiddleware(Router([Route("/", hello)]), strict))
    app = Starlette(routes=[part, Route("/", hello)])
    app.add_middleware(CORSMiddleware, policy=everyone)
    app.add_middleware(CORSMiddleware, policy=strict)

    async with client(app) as session:
        assert (
            ORIGIN not in (await session.get("/part/", headers={"Origin": TENANT})).headers
        )
        assert (await session.get("/", headers={"Origin": TENANT})).headers[ORIGIN] == "*"
        headers = {"Origin": TENANT, **PREFLIGHT}
        assert (await session.options("/", headers=headers)).status_code == 403


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_a_function_that_fails(method):
    """The application's handler answers, and nothing is granted."""

    def failing(origin, request):
        raise LookupError("no database")

    async def sorry(request, error):
        return PlainTextResponse(f"sorry: {error}", 500)

    app = Starlette(routes=[Route("/", hello)], exception_handlers={Exception: sorry})
    app.add_middleware(CORSMiddleware, policy=CorsPolicy(origins=[A, failing]))
    app.add_middleware(Passing)

    async with client(app) as session:
        answer = await session.request(method, "/", headers={"Origin": TENANT, **PREFLIGHT})
    assert (answer.status_code, answer.text) == (500, "sorry: no database")
    assert ORIGIN not in answer.headers


async def test_what_is_put_around_later():
    """The policy stays outermost, and asks its functions once."""
    asked = Asked()
    app = Starlette(routes=[Route("/", hello)])
    app.add_middleware(CORSMiddleware, policy=asked.policy())

    async with client(app) as session:
        await session.get("/", headers={"Origin": TENANT})
        app.middleware_stack = Closed(app.middleware_stack)
        answer = await session.get("/", headers={"Origin": TENANT})
        assert (answer.status_code, answer.headers[ORIGIN]) == (401, TENANT)
        del app.middleware_stack
        app.middleware_stack = None
        answer = await session.get("/", headers={"Origin": TENANT})
        assert (answer.status_code, answer.headers[ORIGIN]) == (200, TENANT)
    assert asked.times == 3
