"""Preflights are answered before the application; every response gets its headers."""

import logging

import pytest
from flask.sessions import SecureCookieSessionInterface

from cors_pages import (
    CREDENTIALS,
    EVIL,
    HEADERS,
    METHODS,
    NETWORK,
    ORIGIN,
    A,
    B,
    ask,
    asynchronous,
    crash,
    gone,
    granted,
    is_refused,
    make_app,
    preflight,
    with_blueprint,
    with_decorator,
    with_extension,
)
from flask import Flask, Response, abort, current_app, g, redirect, request
from heliograph.flask import CORS, cross_origin


def guarded(**options):
    """Return an application whose hooks all fail without a login."""
    app = make_app()
    app.config["SECRET_KEY"] = "x"
    CORS(app, origins=A, **options)

    @app.before_request
    def log_in():
        if "Authorization" not in request.headers:
            abort(401)
        g.user = "user"

    @app.after_request
    def count(response):
        response.headers["X-User"] = g.user
        return response

    @app.url_value_preprocessor
    def check(endpoint, values):
        if "Authorization" not in request.headers:
            abort(400)

    return app


@pytest.mark.parametrize("path", ["/", "/x", "/no/such/route", "/x/"])
def test_hooks_cannot_break_a_preflight(path):
    """A preflight gets 204 whatever its path, and no hook sees it."""
    app = guarded()
    answer = preflight(app, path, headers="authorization")

    assert answer.status_code == 204
    assert granted(answer) == A
    assert answer.data == b""
    assert "Content-Type" not in answer.headers
    assert "X-User" not in answer.headers


def test_a_refused_preflight():
    """A refused preflight gets 403 and the reason, and grants nothing."""
    app = guarded()
    answer = preflight(app, origin=EVIL)

    assert (answer.status_code, is_refused(answer)) == (403, True)
    assert answer.text == "the policy's origins do not allow 'https://evil.example'\n"
    assert answer.mimetype == "text/plain"
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("has_network", [True, False])
def test_a_refused_preflight_of_an_allowed_origin(has_network):
    """The browser gets what it needs to name the method, and nothing is granted."""
    app = make_app()
    CORS(app, origins=A, methods="GET", max_age=600, allow_private_network=has_network)
    fields = {"Access_Control_Request_Private_Network": "true"}
    answer = preflight(app, headers="x-a", **fields)

    assert (answer.status_code, granted(answer)) == (200, A)
    assert answer.text == "the policy's methods do not allow 'PUT'\n"
    assert answer.mimetype == "text/plain"
    assert answer.headers[HEADERS] == "x-a"
    assert {n for n, _ in answer.headers if n.startswith("Access-Control")} == {
        ORIGIN,
        METHODS,
        HEADERS,
    }
    assert answer.headers[METHODS] == "GET"


def test_a_preflight_that_nobody_has_a_policy_for():
    """Without a rule, the application answers a preflight."""
    app = make_app()
    CORS(app, resources="/api/*")
    answer = preflight(app, "/x")

    assert (answer.status_code, is_refused(answer)) == (200, True)
    assert "Allow" in answer.headers


def test_an_ordinary_options_request():
    """Without Access-Control-Request-Method, the application answers OPTIONS."""
    app = make_app()
    CORS(app, origins=A)
    answer = ask(app, method="OPTIONS")

    assert (answer.status_code, granted(answer)) == (200, A)
    assert METHODS not in answer.headers
    assert "GET" in answer.headers["Allow"]


def test_a_view_that_answers_preflights_itself():
    """With automatic_options=False, the view answers, and the headers are added."""
    app = Flask(__name__)

    @app.route("/r", methods=["GET", "OPTIONS"])
    @cross_origin(origins=A, automatic_options=False)
    def view():
        return f"my {request.method}"

    answer = preflight(app, "/r", method="GET")
    assert (answer.status_code, answer.text, granted(answer)) == (200, "my OPTIONS", A)
    assert "GET" in answer.headers[METHODS]
    assert is_refused(preflight(app, "/r", EVIL, method="GET"))


ERRORS = [
    pytest.param(gone, "GET", "/r", 410, id="abort"),
    pytest.param(crash, "GET", "/r", 500, id="unhandled"),
    pytest.param(gone, "DELETE", "/r", 405, id="method-not-allowed"),
    pytest.param(gone, "GET", "/slash", 308, id="redirect-to-the-slash"),
]


@pytest.mark.parametrize("way", [with_extension, with_decorator, with_blueprint])
@pytest.mark.parametrize(("view", "method", "path", "status"), ERRORS)
def test_errors(way, view, method, path, status):
    """Errors have the headers for an allowed origin, and for no other."""
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    prefix = "/b" if way is with_blueprint else ""
    way(app, "/slash/" if path == "/slash" else path)(view)

    answer = ask(app, prefix + path, method=method)
    assert (answer.status_code, granted(answer)) == (status, A)
    answer = ask(app, prefix + path, EVIL, method)
    assert (answer.status_code, is_refused(answer)) == (status, True)
    assert answer.headers["Vary"] == "Origin"
    answer = preflight(app, prefix + path, method=method)
    assert (answer.status_code, granted(answer)) == (204, A)


@pytest.mark.parametrize("way", [with_extension, with_blueprint])
def test_not_found(way):
    """A 404 gets the headers of the blueprint whose prefix the path has."""
    app = Flask(__name__)
    way(app, "/r")(gone)
    prefix = "/b" if way is with_blueprint else ""
    answer = ask(app, f"{prefix}/nothing")

    assert (answer.status_code, granted(answer)) == (404, A)
    assert preflight(app, f"{prefix}/nothing").status_code == 204
    if prefix:
        assert is_refused(ask(app, "/beside"))
        assert granted(ask(app, "/b")) == A


def test_hooks_that_fail():
    """The response to a failed after_request has the headers."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    CORS(app, origins=A)

    @app.after_request
    def fail(response):
        raise LookupError("after")

    answer = ask(app)
    assert (answer.status_code, granted(answer)) == (500, A)


def test_error_handlers():
    """The response of an error handler has the headers."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    CORS(app, origins=A)
    app.add_url_rule("/crash", view_func=crash)

    @app.errorhandler(Exception)
    def handle(error):
        return "handled", 418

    answer = ask(app, "/crash")
    assert (answer.status_code, granted(answer), answer.text) == (418, A, "handled")


def test_exceptions_are_not_intercepted():
    """With intercept_exceptions=False, only that response has no headers."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    CORS(app, origins=A, intercept_exceptions=False)
    app.add_url_rule("/crash", view_func=crash)
    app.add_url_rule("/gone", view_func=gone)

    assert is_refused(ask(app, "/crash"))
    assert granted(ask(app, "/gone")) == A


def test_exceptions_are_propagated():
    """With TESTING, an exception is raised as without CORS."""
    app = make_app(TESTING=True)
    CORS(app)
    app.add_url_rule("/crash", view_func=crash)

    with pytest.raises(LookupError):
        ask(app, "/crash")


@pytest.mark.parametrize("status", [200, 204, 301, 404])
def test_answers_of_any_kind(status):
    """Responses of every status have the headers."""
    app = Flask(__name__)
    CORS(app, origins=A)
    app.add_url_rule("/r", view_func=lambda: ("", status, {"Location": "/"}))

    assert granted(ask(app, "/r")) == A


def test_redirects_of_the_application():
    """A redirect of a view has the headers, which the browser needs to follow it."""
    app = Flask(__name__)
    CORS(app, origins=A)
    app.add_url_rule("/r", view_func=lambda: redirect("/elsewhere"))

    assert granted(ask(app, "/r")) == A


@pytest.mark.parametrize("way", [with_extension, with_decorator, with_blueprint])
def test_async_views(way):
    """Async views work with each of the three."""
    app = Flask(__name__)
    way(app, "/r")(asynchronous)
    answer = ask(app, "/b/r" if way is with_blueprint else "/r")

    assert (answer.text, granted(answer)) == ("async", A)


def test_an_answer_that_has_the_header_already():
    """A response with its own origin is not changed, not even its ``Vary``."""
    app = Flask(__name__)
    CORS(app, origins=A, supports_credentials=True)
    app.add_url_rule("/r", view_func=lambda: ("", 200, {ORIGIN: B}))
    answer = ask(app, "/r")

    assert answer.headers.getlist(ORIGIN) == [B]
    assert {CREDENTIALS, "Vary"}.isdisjoint(answer.headers.keys())


@pytest.mark.parametrize(
    ("sent", "vary"),
    [
        (["Accept-Encoding"], ["Accept-Encoding", "Origin"]),
        (["origin, Cookie"], ["origin, Cookie"]),
    ],
)
def test_vary(sent, vary):
    """A missing name is added as a field of its own."""
    app = Flask(__name__)
    CORS(app, origins=[A, B])
    app.add_url_rule(
        "/r", view_func=lambda: Response(headers=[("Vary", one) for one in sent])
    )

    for origin in (A, EVIL, None):
        assert ask(app, "/r", origin).headers.getlist("Vary") == vary


def test_credentials_that_somebody_else_allows():
    """If the application allows credentials, no origin is echoed to every page."""
    app = Flask(__name__)
    CORS(app)
    app.add_url_rule("/r", view_func=lambda: ("", 200, {CREDENTIALS: "true"}))
    app.add_url_rule("/named", endpoint="named",
                     view_func=cross_origin(origins=A)(lambda: ("", 200, {CREDENTIALS: "true"})))  # fmt: skip

    assert granted(ask(app, "/r", EVIL)) == "*"
    assert granted(ask(app, "/named")) == A


def test_headers_of_another_kind():
    """Some libraries assign a dict to ``response.headers``."""
    app = Flask(__name__)
    CORS(app, origins=[A, B])

    @app.get("/r")
    def view():
        response = Response("r")
        response.headers = {"X-A": "a"}
        return response

    answer = ask(app, "/r")
    assert (granted(answer), answer.headers["X-A"]) == (A, "a")
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("option", "actual", "asked"),
    [({}, None, None), ({"allow_private_network": True}, "true", "true"),
     ({"allow_private_network": False}, "false", "false")],
)  # fmt: skip
def test_private_network(option, actual, asked):
    """No header by default; an explicit False is sent, as in Flask-CORS."""
    app = make_app()
    CORS(app, origins=A, **option)
    field = {"Access-Control-Request-Private-Network": "true"}

    assert ask(app, headers=field).headers.get(NETWORK) == actual
    assert preflight(app, **field).headers.get(NETWORK) == asked
    assert NETWORK not in ask(app, origin=EVIL, headers=field).headers
    assert NETWORK not in preflight(app, origin=EVIL, **field).headers
    assert NETWORK not in ask(app).headers


def test_a_mistake_shows_before_the_work_is_done():
    """A wrong option is found before the view runs."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    done = []

    @app.post("/pay")
    @cross_origin(supports_credentials=True)
    def pay():
        done.append(1)
        return "paid"

    assert ask(app, "/pay", None, "POST").status_code == 500
    assert done == []


def test_functions_may_ask_the_application():
    """A function is called once for each request, within it, and for preflights."""
    app = make_app(TENANTS={"https://t.example"})
    seen = []

    def tenant(origin, asked):
        seen.append((origin, asked.method, asked.path, request.path, asked.host))
        return origin in current_app.config["TENANTS"]

    CORS(app, origins=tenant, supports_credentials=True)

    assert granted(ask(app, "/x", "https://t.example")) == "https://t.example"
    assert granted(preflight(app, "/x", "https://t.example")) == "https://t.example"
    assert is_refused(ask(app, "/x", EVIL))
    assert is_refused(ask(app, "/x", None))
    assert [entry[1] for entry in seen] == ["GET", "OPTIONS", "GET"]
    assert seen[0] == ("https://t.example", "GET", "/x", "/x", "localhost")


def test_a_function_that_fails(caplog):
    """If a function fails, nothing is granted, the error is logged, and the view is not run."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    done = []
    app.add_url_rule("/do", view_func=lambda: done.append(1) or "", methods=["POST"])

    def fail(origin, asked):
        raise LookupError("no tenants today")

    CORS(app, origins=[A, fail])

    assert granted(ask(app)) == A
    for answer in (
        ask(app, origin=EVIL), preflight(app, origin=EVIL), ask(app, "/do", EVIL, "POST")
    ):  # fmt: skip
        assert (answer.status_code, is_refused(answer)) == (500, True)
    assert "no tenants today" in caplog.text
    assert done == []


def test_a_session_that_fails():
    """The response to a session that cannot be opened has the headers."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    CORS(app, origins=A)

    class Failing(SecureCookieSessionInterface):
        def open_session(self, app, request):
            raise LookupError("no sessions today")

    app.session_interface = Failing()
    answer = ask(app)
    assert (answer.status_code, granted(answer)) == (500, A)


def test_what_is_logged(caplog):
    """What the view itself allows is no refusal; an accident is a warning at once."""
    app = make_app()
    CORS(app, origins=[A, r"https://.*hooks\.example"])

    @app.get("/own")
    @cross_origin(origins=[A, r"https://b.hooks\.example"])
    def own():
        return "own", {ORIGIN: "*"}

    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "evilhooks.example" in caplog.messages[0]
    assert "https://bxhooks.example" in caplog.messages[1]
    caplog.clear()
    caplog.set_level(logging.DEBUG, "heliograph.cors")
    ask(app, "/own", EVIL)
    ask(app, "/", EVIL)
    preflight(app, "/own", EVIL)

    lines = caplog.messages
    assert [line[: line.index(":")] for line in lines] == [
        "answered GET '/' without CORS headers, so the page cannot read it",
        "refused OPTIONS '/own'",
    ]
