"""
What CORS costs a request, beside Flask-CORS and Starlette's middleware, in one run.

    python bench/cors.py [ROUNDS]

Each application is asked in turn, over and over, in this process, without a network: WSGI and
ASGI calls as a server makes them. What is shown is the time of a request beyond that of the
same application without CORS, the whole time of a preflight, medians of the rounds, and how
many times ours the others take. The machine's noise is the spread of the application without
CORS.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import sys
import time

import flask_cors
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware as StarlettesMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import heliograph.flask
from flask import Flask
from heliograph.asgi import CORSMiddleware
from heliograph.cors import CorsPolicy

REQUESTS_PER_ROUND = 100
ROUNDS = 60


def origins(count):
    return [f"https://site-{n}.example.com" for n in range(count)]


def hello():
    return "hello"


def flask_app(decorate=lambda view: view):
    app = Flask(__name__)
    app.add_url_rule("/api/v1/users/7", view_func=decorate(hello))
    return app


def resources(count):
    """As many paths as there are, with the one that is asked for among the last."""
    others = {f"/other/{n}/*": {"origins": origins(1)} for n in range(count - 1)}
    return {**others, "/api/*": {"origins": origins(10)}}


FLASK = {
    "1 origin": {"origins": origins(1)},
    "10 origins": {"origins": origins(10)},
    "1,000 origins": {"origins": origins(1000)},
    "50 resources": {"resources": resources(50)},
    "any origin": {},
}
KINDS = [
    "request",
    "request without Origin",
    "request from a stranger",
    "request for a wrong method",
    "preflight",
]
DECORATED = "@cross_origin, 10 origins"
ASGI = {
    "1 origin": origins(1),
    "10 origins": origins(10),
    "1,000 origins": origins(1000),
    "any origin": ["*"],
}


def asked(kind, origin):
    """The method and the fields of a request, and the status that is expected."""
    fields = {"Origin": origin}
    match kind:
        case "request":
            return "GET", fields, "200"
        case "request without Origin":
            return "GET", {}, "200"
        case "request from a stranger":
            return "GET", {"Origin": "https://stranger.invalid"}, "200"
        case "request for a wrong method":
            return "PUT", fields, "405"
        case "preflight":
            fields |= {
                "Access-Control-Request-Method": "PUT",
                "Access-Control-Request-Headers": "content-type,x-requested-with",
            }
            return "OPTIONS", fields, "20"


def wsgi_caller(app, method, fields):
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/api/v1/users/7",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **{
            f"HTTP_{name.upper().replace('-', '_')}": value
            for name, value in fields.items()
        },
    }
    answered = []

    def start_response(status, headers, *_):
        answered[:] = [status, dict(headers)]

    def call():
        for chunk in (body := app(dict(environ), start_response)):
            assert isinstance(chunk, bytes)
        body.close()
        return answered

    return call


def asgi_caller(app, method, fields, *, loop):
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": "/api/v1/users/7",
        "raw_path": b"/api/v1/users/7",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), *((n.lower().encode(), v.encode()) for n, v in fields.items())],
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 5),
    }  # fmt: skip
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    async def one():
        sent.clear()
        await app(dict(scope), receive, send)
        headers = {n.decode().title(): v.decode() for n, v in sent[0]["headers"]}
        return [str(sent[0]["status"]), headers]

    async def many(count):
        for _ in range(count):
            sent.clear()
            await app(dict(scope), receive, send)

    return lambda count=None: loop.run_until_complete(
        one() if count is None else many(count)
    )


def time_of(call, count):
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - begin) / count


def measure(callers, timer, rounds):
    """The times of each, in microseconds, a round at a time in turn."""
    times = {name: [] for name in callers}
    for _ in range(rounds):
        for name, call in callers.items():
            times[name].append(timer(call) * 1e6)
    return times


def report(title, kind, times, peer):
    bare = statistics.median(times["bare"])
    quarters = statistics.quantiles(times["bare"], n=4)
    # No application needs to be asked for a preflight: it is measured whole.
    beyond = 0 if kind == "preflight" else bare
    ours, theirs = (
        statistics.median(times[name]) - beyond for name in ("heliograph", peer)
    )
    title += f", {kind}"
    noise = (quarters[2] - quarters[0]) / 2
    print(
        f"{title:<52} {bare:8.1f} ±{noise:5.1f} {ours:10.1f} {theirs:10.1f}"
        f" {theirs / ours:8.1f}"
    )


def check(answers, kind, status, origin):
    """All have to have said the same thing, or there is nothing to compare."""
    for name, (got, headers) in answers.items():
        if name == "bare":
            continue
        assert got.startswith(status), (name, kind, got)
        if kind in {"request", "preflight"}:
            assert headers["Access-Control-Allow-Origin"] in {origin, "*"}, (name, headers)


def heading(framework, peer):
    print(f"\n{framework}, µs per request")
    print(f"{'':<52} {'without':>15} {'heliograph':>10} {peer:>10} {'times':>8}")


def bench_flask(rounds):
    heading("Flask", "flask-cors")
    for title, options in {**FLASK, DECORATED: {"origins": origins(10)}}.items():
        if title == DECORATED:
            ours = flask_app(heliograph.flask.cross_origin(**options))
            theirs = flask_app(flask_cors.cross_origin(**options))
        else:
            ours, theirs = flask_app(), flask_app()
            heliograph.flask.CORS(ours, **options)
            flask_cors.CORS(theirs, **options)
        apps = {"bare": flask_app(), "heliograph": ours, "flask-cors": theirs}
        origin = (options.get("origins") or origins(10))[-1]
        for kind in KINDS:
            method, fields, status = asked(kind, origin)
            callers = {n: wsgi_caller(a, method, fields) for n, a in apps.items()}
            check({n: call() for n, call in callers.items()}, kind, status, origin)
            times = measure(callers, lambda call: time_of(call, REQUESTS_PER_ROUND), rounds)
            report(title, kind, times, "flask-cors")


def bench_asgi(rounds):
    heading("Starlette", "starlette")
    loop = asyncio.new_event_loop()

    async def greet(_):
        return PlainTextResponse("hello")

    def app():
        return Starlette(
            routes=[Route("/api/v1/users/7", greet, methods=["GET", "OPTIONS"])]
        )

    def timer(call):
        begin = time.perf_counter()
        call(REQUESTS_PER_ROUND)
        return (time.perf_counter() - begin) / REQUESTS_PER_ROUND

    others = {
        title: {
            "bare": app(),
            "starlette": StarlettesMiddleware(
                app(), allow_origins=listed, allow_methods=["*"], allow_headers=["*"]
            ),
        }
        for title, listed in ASGI.items()
    }
    # Ours adds a layer to every application that is called first after this.
    for other in [other for apps in others.values() for other in apps.values()]:
        asgi_caller(other, "GET", {}, loop=loop)()
    for title, listed in ASGI.items():
        ours = CORSMiddleware(app(), CorsPolicy(origins=listed))
        apps = {"heliograph": ours, **others[title]}
        origin = listed[-1] if listed != ["*"] else "https://a.example"
        for kind in KINDS:
            method, fields, status = asked(kind, origin)
            callers = {
                n: asgi_caller(a, method, fields, loop=loop) for n, a in apps.items()
            }
            check({n: call() for n, call in callers.items()}, kind, status, origin)
            report(title, kind, measure(callers, timer, rounds), "starlette")
    loop.close()


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    bench_flask(number)
    bench_asgi(number)
