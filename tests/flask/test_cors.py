"""``CORS`` and ``cross_origin``, and what was reported against those of Flask-CORS."""

import logging
from functools import wraps

import pytest
from fastapi import APIRouter, FastAPI
from quart import Blueprint as QuartBlueprint
from quart import Quart
from starlette.applications import Starlette

from cors_pages import (
    EVIL,
    NETWORK,
    A,
    B,
    ask,
    asynchronous,
    gone,
    granted,
    is_refused,
    make_app,
    preflight,
)
from flask import Flask, abort
from heliograph.asgi import CORSMiddleware
from heliograph.cors import CorsPolicy
from heliograph.flask import CORS, cross_origin

QUART = "app.asgi_app = CORSMiddleware(app.asgi_app, CorsPolicy(origins=["
STARLETTE = "app.add_middleware(CORSMiddleware, policy=CorsPolicy(origins=["


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("app", "not 'app'; write CORS(app), where app = Flask(…)"),
        (Flask, "write CORS(app), where"),
        (make_app().wsgi_app, "write CORS(app), where"),
        (Quart("q"), QUART),
        (QuartBlueprint("b", "b"), QUART),
        (Starlette(), STARLETTE),
        (FastAPI(), STARLETTE),
        (APIRouter(), STARLETTE),
    ],
)
def test_no_application(app, words):
    """Anything else is refused, and an application of ASGI with the line to write."""
    with pytest.raises(TypeError) as caught:
        CORS(app)

    message = str(caught.value)
    assert message.startswith("CORS() takes an application or a blueprint of Flask, not ")
    assert words in message


def test_the_lines_to_write():
    """What the message says for Quart and Starlette can be executed as it is written."""
    quart, starlette = Quart("q"), Starlette()
    for app in (quart, starlette):
        with pytest.raises(TypeError) as caught:
            CORS(app)
        lines = str(caught.value).partition("write: ")[2].split("; ")
        exec("\n".join(lines), {"app": app})

    assert isinstance(quart.asgi_app, CORSMiddleware)
    assert [layer.cls for layer in starlette.user_middleware] == [CORSMiddleware]


WITHOUT_NAMES = [
    (cross_origin, "@cross_origin("),
    (lambda option: CORS(Flask(__name__), option), "CORS(app, "),
    (lambda option: CORS(None, option), "CORS(app, "),
    (lambda option: CORS().init_app(Flask(__name__), option), "init_app(app, "),
]


@pytest.mark.parametrize(("call", "line"), WITHOUT_NAMES)
@pytest.mark.parametrize("misplaced", [A, [A], make_app, CorsPolicy(origins=A)])
def test_options_without_a_name(call, line, misplaced):
    """Positional options are refused; Flask-CORS ignores them, and so allows every origin."""
    with pytest.raises(TypeError) as caught:
        call(misplaced)

    assert str(caught.value) == (
        f"{misplaced!r}: options are passed by name; write {line}origins=[…])"
    )


def test_a_route_alone():
    """cross_origin works without CORS(app), from the first request on."""
    app = make_app()

    @app.before_request
    def log_in():
        abort(401)

    @app.put("/route")
    @cross_origin(origins=A)
    def route():
        return ""

    answer = preflight(app, "/route")
    assert (answer.status_code, granted(answer)) == (204, A)
    answer = ask(app, "/route", method="PUT")
    assert (answer.status_code, granted(answer)) == (401, A)
    assert is_refused(preflight(app, "/"))


def test_an_extension_for_several_applications():
    """Each application has the options of its own init_app."""
    cors = CORS(origins=A)
    one, two = make_app(), make_app()
    cors.init_app(one)
    cors.init_app(two, origins=B)

    assert granted(ask(one)) == A
    assert granted(ask(two, origin=B)) == B
    assert is_refused(ask(two))


def test_twice_for_one_application():
    """Rules of both calls apply; between equal resources, the later wins."""
    app = make_app()
    CORS(app, origins=A, resources=["/a", "/both"])
    CORS(app, origins=B, resources=["/b", "/both"])

    assert granted(ask(app, "/a")) == A
    assert granted(ask(app, "/b", B)) == B
    assert granted(ask(app, "/both", B)) == B
    assert is_refused(ask(app, "/both"))


def test_async_decorators_above():
    """A decorated coroutine function is one still, so that async decorators can await it."""

    def above(view):
        @wraps(view)
        async def wrapped():
            return await view()

        return wrapped

    app = Flask(__name__)
    app.add_url_rule(
        "/r", endpoint="r", view_func=above(cross_origin(origins=A)(asynchronous))
    )

    answer = ask(app, "/r")
    assert (answer.text, granted(answer)) == ("async", A)


def test_below_other_decorators():
    """A decorator without functools.wraps hides cross_origin, and then nothing is granted."""
    app = Flask(__name__)

    def polite(view):
        @wraps(view)
        def wrapped():
            return view()

        return wrapped

    def rude(view):
        def hiding():
            return view()

        return hiding

    app.add_url_rule(
        "/polite", endpoint="p", view_func=polite(cross_origin(origins=A)(gone))
    )
    app.add_url_rule("/rude", endpoint="r", view_func=rude(cross_origin(origins=A)(gone)))

    assert granted(preflight(app, "/polite")) == A
    assert granted(ask(app, "/polite")) == A
    assert is_refused(ask(app, "/rude"))


@pytest.mark.parametrize(
    "path", ["/api/../x", "/api/%2e%2e/x", "/api/..%2fx", "/api/y/../../x", "/api/."]
)
def test_cve_2020_25032(path):
    """A path is matched with its dots resolved: /api/../x is not below /api/."""
    app = make_app()
    CORS(app, resources={r"/api/.*": {"origins": A}})

    wanted = A if path == "/api/." else None
    assert granted(ask(app, path)) == wanted
    assert granted(preflight(app, path)) == wanted


@pytest.mark.parametrize(
    "path", ["/api/x/..%2f..%2fpublic", "/public/../api/x", "/public/..%2fapi/x"]
)
def test_a_path_that_two_read_differently(path):
    """A path of two resources, one with its dots and one without, is granted nothing."""
    app = make_app()
    CORS(app, resources={"/api/*": {"origins": A}, "/*": {"origins": EVIL}})

    assert is_refused(ask(app, path))
    assert is_refused(ask(app, path, EVIL))


def test_cve_2024_1681(caplog):
    """What a client sent is logged escaped."""
    app = make_app()
    CORS(app, origins=A)
    with caplog.at_level(logging.DEBUG, "heliograph.cors"):
        ask(app, "/a%0d%0aFAKE%1b[31m\u00e4", f"{EVIL}\x1b[31m")
        preflight(app, "/x", headers="x\x1b[31m")

    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert all(message.isprintable() and message.isascii() for message in messages)
    assert r"'/a\r\nFAKE\x1b[31m\xe4'" in messages[0]
    assert r"evil.example\x1b[31m" in messages[0]


def test_cve_2024_6221():
    """Private network access is not granted by default."""
    app = make_app()
    CORS(app)

    answer = preflight(app, Access_Control_Request_Private_Network="true")
    assert NETWORK not in answer.headers


@pytest.mark.parametrize(
    "pattern", ["/[a-zA-Z0-9_/-]*.*", r"/[a-z]*/[a-z0-9]*/[a-z]*", "/*", r"/[^/]*/[^/]*/.*"]
)
@pytest.mark.parametrize("secret", ["/api/secret", r"/api/sec.*", "/api/*"])
def test_cve_2024_6839(pattern, secret):
    """The most specific resource wins, not the one with more slashes or characters."""
    app = make_app()
    CORS(app, resources={secret: {"origins": A}, pattern: {"origins": "*"}})

    assert is_refused(ask(app, "/api/secret", EVIL))
    assert granted(ask(app, "/api/secret")) == A
    assert granted(ask(app, "/other/path/here", EVIL)) == EVIL


def test_cve_2024_6844():
    """A plus is not a space, and a path is decoded once."""
    app = make_app()
    CORS(app, resources={r"/service\+path": {"origins": A}, "/service path": {"origins": B},
                         "/pub/.*": {"origins": "*"}})  # fmt: skip

    assert granted(ask(app, "/service+path")) == A
    assert granted(ask(app, "/service%20path", B)) == B
    assert is_refused(ask(app, "/service+path", B))
    assert is_refused(ask(app, "/service%20path", A))
    for path in ("/pub%252Fx", "/pub%2fx%252f", "/%70ub%252Fx"):
        answer = ask(app, path)
        assert granted(answer) == (A if path.startswith("/pub%2f") else None), path


def test_cve_2024_6866():
    """Paths are case-sensitive."""
    app = make_app()
    CORS(app, resources={"/admin/.*": {"origins": A}, "/Admin/*": {"origins": B}})

    assert granted(ask(app, "/admin/x")) == A
    assert is_refused(ask(app, "/Admin/x"))
    assert is_refused(ask(app, "/ADMIN/x"))
