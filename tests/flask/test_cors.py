"""CORS for Flask: what Flask-CORS offers, and what its users miss."""

import logging
import re
from datetime import timedelta
from functools import wraps

import pytest
from flask.sessions import SecureCookieSessionInterface
from flask.views import MethodView

from flask import Blueprint, Flask, Response, abort, current_app, g, redirect, request
from heliograph import ConfigError, CorsConfigError
from heliograph.flask import CORS, SSE, cross_origin

A = "https://a.example"
B = "https://b.example"
EVIL = "https://evil.example"
ORIGIN = "Access-Control-Allow-Origin"
METHODS = "Access-Control-Allow-Methods"
HEADERS = "Access-Control-Allow-Headers"
CREDENTIALS = "Access-Control-Allow-Credentials"
NETWORK = "Access-Control-Allow-Private-Network"


def make_app(**config):
    app = Flask(__name__)
    app.config.update(config)

    @app.get("/")
    def index():
        return "index"

    @app.get("/<path:anything>")
    def other(anything):
        return anything

    return app


def ask(app, path="/", origin=A, method="GET", headers=(), **options):
    fields = dict(headers)
    if origin is not None:
        fields["Origin"] = origin
    return app.test_client().open(path, method=method, headers=fields, **options)


def preflight(app, path="/", origin=A, method="PUT", headers=None, **fields):
    fields = {"Access-Control-Request-Method": method} | {
        name.replace("_", "-"): value for name, value in fields.items()
    }
    if headers is not None:
        fields["Access-Control-Request-Headers"] = headers
    return ask(app, path, origin, "OPTIONS", fields)


def granted(response):
    return response.headers.get(ORIGIN)


def is_refused(response):
    return not any(name.startswith("Access-Control") for name, _ in response.headers)


# Options, their precedence and their forms.


def test_the_defaults_are_those_of_flask_cors():
    """Any origin, as an echo, without credentials; Authorization may be sent."""
    app = make_app()
    CORS(app)

    assert granted(ask(app)) == A
    assert granted(ask(app, origin=None)) == "*"
    assert ask(app).headers["Vary"] == "Origin"
    answer = preflight(app, headers="authorization,x-a")
    assert answer.headers[HEADERS] == "authorization, x-a"
    assert answer.headers[METHODS] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    assert CREDENTIALS not in answer.headers


def test_precedence():
    """Resource, init_app, constructor, configuration, default."""
    app = make_app(CORS_ORIGINS="https://1.example", CORS_MAX_AGE=1, CORS_METHODS=["PUT"],
                   CORS_EXPOSE_HEADERS=None, CORS_ALLOW_HEADERS="x-1")  # fmt: skip
    cors = CORS(origins="https://2.example", max_age=2, methods=["PUT", "GET"])
    cors.init_app(
        app,
        origins="https://3.example",
        max_age=3,
        resources={"/4": {"origins": "https://4.example"}, "/3": {}},
    )

    four, three = (
        preflight(app, f"/{n}", f"https://{n}.example", headers="x-1") for n in (4, 3)
    )
    assert (granted(four), granted(three)) == ("https://4.example", "https://3.example")
    for answer in (four, three):
        assert answer.headers["Access-Control-Max-Age"] == "3"
        assert answer.headers[METHODS] == "GET, PUT"
    assert is_refused(preflight(app, "/3", "https://2.example"))
    assert is_refused(preflight(app, "/3", "https://3.example", headers="x-2"))


def test_configuration_of_a_route():
    """A route takes from the configuration what it does not say itself."""
    app = make_app(CORS_ORIGINS=[A], CORS_SUPPORTS_CREDENTIALS=True, CORS_RESOURCES="/x")

    @app.get("/route")
    @cross_origin(expose_headers="X-A")
    def route():
        return ""

    answer = ask(app, "/route")
    assert granted(answer) == A
    assert answer.headers[CREDENTIALS] == "true"
    assert answer.headers["Access-Control-Expose-Headers"] == "X-A"
    assert is_refused(ask(app, "/route", EVIL))


def test_a_blueprint_has_no_configuration():
    """As in Flask-CORS: a blueprint may belong to several applications."""
    app = make_app(CORS_ORIGINS=B)
    blueprint = Blueprint("b", __name__)
    blueprint.add_url_rule("/b", view_func=lambda: "b")
    CORS(blueprint, origins=A)
    app.register_blueprint(blueprint)

    assert granted(ask(app, "/b")) == A


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({"max_age": timedelta(minutes=10)}, {"Access-Control-Max-Age": "600"}),
        ({"max_age": "600"}, {"Access-Control-Max-Age": "600"}),
        ({"max_age": 0}, {"Access-Control-Max-Age": "0"}),
        ({"methods": "put, get"}, {METHODS: "GET, PUT"}),
        ({"methods": ["put"]}, {METHODS: "PUT"}),
        ({"methods": "*"}, {METHODS: "PUT"}),
        ({"allow_headers": "X-A"}, {HEADERS: "X-A"}),
        ({"allow_headers": ["*"]}, {HEADERS: "X-A"}),
        ({"allow_headers": re.compile("x-a")}, {HEADERS: "X-A"}),
        ({"allow_headers": ["X-A", "X-B"]}, {HEADERS: "X-A"}),
        ({"send_wildcard": True}, {ORIGIN: "*"}),
    ],
)
def test_forms(options, headers):
    """Everything that Flask-CORS takes is taken."""
    app = make_app()
    CORS(app, **options)
    answer = preflight(app, headers="X-A")

    assert answer.status_code == 204
    assert {name: answer.headers[name] for name in headers} == headers


def test_exposed_as_one_text():
    """Sorted, so that it does not change."""
    app = make_app()
    CORS(app, expose_headers="X-B, X-A")

    assert ask(app).headers["Access-Control-Expose-Headers"] == "X-A, X-B"


def test_no_headers_allowed():
    """None allows no header."""
    app = make_app()
    CORS(app, allow_headers=None)

    assert is_refused(preflight(app, headers="x-a"))
    assert granted(preflight(app)) == A


MISTAKES = [
    ({"origin": A}, "origin is not a CORS option; did you mean origins?"),
    ({"origins": "a.example"}, "write 'https://a.example'"),
    ({"supports_credentials": True}, "'*' with supports_credentials"),
    ({"supports_credentials": "false"}, "supports_credentials: 'false' is neither"),
    ({"automatic_options": 1}, "automatic_options: 1 is neither"),
    ({"intercept_exceptions": None}, "intercept_exceptions: None is neither"),
    ({"max_age": -1}, "max_age: -1"),
    ({"max_age": timedelta(seconds=-1)}, "max_age: -1"),
    ({"max_age": "\u0661"}, "max_age: '\u0661'"),
    ({"methods": 5}, "methods: 5"),
    ({"allow_headers": 5}, "allow_headers: 5"),
    ({"expose_headers": 5}, "expose_headers: 5"),
    ({"resources": 5}, "resources: 5 is neither"),
    ({"resources": [5]}, "resources: 5 is no path"),
    ({"resources": {"/a": A}}, "resources['/a']: 'https://a.example' is no dict"),
    ({"resources": {"/a": {"origin": A}}}, "resources['/a']: origin is not a CORS option"),
    ({"resources": {"/a": {"resources": {}}}}, "resources['/a']: resources is not a CORS option"),
    ({"resources": r"/(a+)+$"}, "resources: '/(a+)+$' is taken for a regular expression"),
    ({"resources": "/("}, "resources: '/('"),
]


@pytest.mark.parametrize(
    ("options", "words"), MISTAKES, ids=lambda value: ascii(value)[:50]
)
@pytest.mark.parametrize("target", [Flask(__name__), Blueprint("b", __name__)])
def test_mistakes(options, words, target):
    """They show at start, for applications and blueprints, and nothing is let in."""
    with pytest.raises(CorsConfigError) as caught:
        CORS(target, **options)

    assert words in str(caught.value)
    assert isinstance(caught.value, ConfigError)


def test_all_mistakes_at_once():
    """Those of the root once, those of a resource with its path."""
    with pytest.raises(CorsConfigError) as caught:
        CORS(
            make_app(),
            max_age=-1,
            nonsense=1,
            resources={
                "/a": {"origins": "a.example"},
                "/b": {},
                "/c": {"methods": 5, "x": 1},
            },
        )

    problems = "\n".join(caught.value.problems)
    assert problems.count("\nmax_age: -1") == 1
    for words in ("nonsense is not a CORS option", "resources['/a']: origins: 'a.example'",
                  "resources['/c']: methods: 5", "resources['/c']: x is not a CORS option"):  # fmt: skip
        assert words in problems


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("CORS_ORIGIN", "CORS_ORIGINS"), ("CORS_ALLOW_CREDENTIALS", "CORS_")],
)
def test_unknown_keys(key, nearest):
    """A key that nobody reads would leave everything open."""
    with pytest.raises(
        CorsConfigError, match=f"{key} is not a CORS option; did you mean {nearest}"
    ):
        CORS(make_app(**{key: A}))


def test_no_application():
    """What it is for has to be one of the two."""
    with pytest.raises(TypeError, match="application or a blueprint"):
        CORS("app")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"origin": A}, "did you mean origins"),
        ({"resources": "/x"}, "resources is not a CORS option"),
        ({"intercept_exceptions": True}, "intercept_exceptions is not a CORS option"),
        ({"origins": "*", "supports_credentials": True}, "with supports_credentials"),
        ({"max_age": -1, "methods": 5}, "methods: 5"),
    ],
)
def test_mistakes_of_a_route(options, words):
    """What no configuration can put right shows where it is written."""
    with pytest.raises(CorsConfigError, match=words):
        cross_origin(**options)


@pytest.mark.parametrize("misplaced", [A, make_app])
def test_options_without_a_name(misplaced):
    """Flask-CORS ignores them, and so lets everyone in."""
    with pytest.raises(TypeError, match="by name"):
        cross_origin(misplaced)


def test_mistakes_of_a_route_with_its_configuration(caplog):
    """Only then is it known that any origin is meant: nobody is let in."""
    app = make_app()

    @app.get("/route")
    @cross_origin(supports_credentials=True)
    def route():
        return "secret"

    answer = ask(app, "/route")
    assert (answer.status_code, is_refused(answer)) == (500, True)
    assert "'*' with supports_credentials" in caplog.text
    assert preflight(app, "/route").status_code == 500


def test_a_mistake_shows_before_the_work_is_done():
    """What is wrong with a decision is not found out when the view has run."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    done = []

    @app.post("/pay")
    @cross_origin(supports_credentials=True)
    def pay():
        done.append(1)
        return "paid"

    assert ask(app, "/pay", None, "POST").status_code == 500
    assert done == []


@pytest.mark.parametrize("way", [CORS, cross_origin])
def test_what_everybody_has_copied(way):
    """A key that no Flask-CORS of this decade reads is no mistake."""
    app = make_app(CORS_HEADERS="Content-Type")
    CORS(app)
    app.add_url_rule("/r", view_func=cross_origin()(lambda: "r"), methods=["POST"])

    assert granted(ask(app, "/r", method="POST")) == A


def test_iterators_are_read_once():
    """And count for all that they are for."""
    app = make_app()
    CORS(app, origins=iter([A]), methods=(m for m in ["PUT"]),
         resources=iter(["/a", "/b"]), allow_headers=map(str.lower, ["X-A"]))  # fmt: skip

    for path in ("/a", "/b"):
        assert preflight(app, path, headers="x-a").headers[METHODS] == "PUT"
    app.add_url_rule("/r", view_func=cross_origin(origins=filter(None, [A]))(lambda: "r"))
    assert [granted(ask(app, "/r")) for _ in range(2)] == [A, A]
    other = make_app()
    CORS(other, resources={"/c": {"origins": iter([A])}})
    assert granted(ask(other, "/c")) == A


# Preflights come before everything.


def guarded(**options):
    """An application whose every hook gets in the way."""
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
    """It is answered with 204, whatever is there, and no hook sees it."""
    app = guarded()
    answer = preflight(app, path, headers="authorization")

    assert answer.status_code == 204
    assert granted(answer) == A
    assert answer.data == b""
    assert "Content-Type" not in answer.headers
    assert "X-User" not in answer.headers


def test_a_refused_preflight():
    """403 with nothing granted, and the reason for whoever looks at it."""
    app = guarded()
    answer = preflight(app, origin=EVIL)

    assert (answer.status_code, is_refused(answer)) == (403, True)
    assert answer.text == "the policy does not allow the origin 'https://evil.example'\n"
    assert answer.mimetype == "text/plain"
    assert "Origin" in answer.headers["Vary"]


def test_a_preflight_that_nobody_has_a_policy_for():
    """It is the application's."""
    app = make_app()
    CORS(app, resources="/api/*")
    answer = preflight(app, "/x")

    assert (answer.status_code, is_refused(answer)) == (200, True)
    assert "Allow" in answer.headers


def test_an_ordinary_options_request():
    """It is no preflight: the application answers, and the page may read it."""
    app = make_app()
    CORS(app, origins=A)
    answer = ask(app, method="OPTIONS")

    assert (answer.status_code, granted(answer)) == (200, A)
    assert METHODS not in answer.headers
    assert "GET" in answer.headers["Allow"]


def test_a_route_alone():
    """Without CORS(app), from the very first request on."""
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


# Headers are on every answer.


def failing(set_up):
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    set_up(app)
    return app


def with_extension(app, rule, **options):
    CORS(app, origins=A)
    return app.route(rule, **options)


def with_decorator(app, rule, **options):
    def decorate(view):
        return app.route(rule, **options)(cross_origin(origins=A)(view))

    return decorate


def with_blueprint(app, rule, **options):
    def decorate(view):
        blueprint = Blueprint("b", __name__, url_prefix="/b")
        CORS(blueprint, origins=A)
        blueprint.route(rule, **options)(view)
        app.register_blueprint(blueprint)

    return decorate


def gone():
    abort(410)


def crash():
    raise LookupError("crash")


ERRORS = [
    pytest.param(gone, "GET", "/r", 410, id="abort"),
    pytest.param(crash, "GET", "/r", 500, id="unhandled"),
    pytest.param(gone, "DELETE", "/r", 405, id="method-not-allowed"),
    pytest.param(gone, "GET", "/slash", 308, id="redirect-to-the-slash"),
]


@pytest.mark.parametrize("way", [with_extension, with_decorator, with_blueprint])
@pytest.mark.parametrize(("view", "method", "path", "status"), ERRORS)
def test_errors(way, view, method, path, status):
    """An error is read by the page that caused it, and by no other."""
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
    """There is no route; whose it would be is known all the same."""
    app = Flask(__name__)
    way(app, "/r")(gone)
    prefix = "/b" if way is with_blueprint else ""
    answer = ask(app, f"{prefix}/nothing")

    assert (answer.status_code, granted(answer)) == (404, A)
    assert preflight(app, f"{prefix}/nothing").status_code == 204
    if prefix:
        assert is_refused(ask(app, "/beside"))
        assert granted(ask(app, "/b")) == A


def test_not_found_below_a_prefix_with_variables():
    """Each stands for one segment."""
    app = Flask(__name__)
    blueprint = Blueprint("b", __name__, url_prefix="/<lang>/api/<int:version>")
    CORS(blueprint, origins=A)
    blueprint.add_url_rule("/r", view_func=lambda lang, version: lang)
    app.register_blueprint(blueprint)

    for path in ("/en/api/1/r", "/en/api/1/nothing", "/en/api/x"):
        assert granted(ask(app, path)) == A, path
        assert preflight(app, path).status_code == 204, path
    for path in ("/en/api", "/en/other/1/r", "/en/x/api/1"):
        assert is_refused(ask(app, path)), path


def test_hooks_that_fail():
    """Also what goes wrong behind the view."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    CORS(app, origins=A)

    @app.after_request
    def fail(response):
        raise LookupError("after")

    answer = ask(app)
    assert (answer.status_code, granted(answer)) == (500, A)


def test_error_handlers():
    """What they answer is an answer."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    CORS(app, origins=A)
    app.add_url_rule("/crash", view_func=crash)

    @app.errorhandler(Exception)
    def handle(error):
        return "handled", 418

    answer = ask(app, "/crash")
    assert (answer.status_code, granted(answer), answer.text) == (418, A, "handled")


def test_exceptions_are_not_intercepted():
    """If told so: the answer to an unhandled exception is as without CORS."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    CORS(app, origins=A, intercept_exceptions=False)
    app.add_url_rule("/crash", view_func=crash)
    app.add_url_rule("/gone", view_func=gone)

    assert is_refused(ask(app, "/crash"))
    assert granted(ask(app, "/gone")) == A


def test_exceptions_are_propagated():
    """In tests and in the debugger, as ever."""
    app = make_app(TESTING=True)
    CORS(app)
    app.add_url_rule("/crash", view_func=crash)

    with pytest.raises(LookupError):
        ask(app, "/crash")


@pytest.mark.parametrize("status", [200, 204, 301, 404])
def test_answers_of_any_kind(status):
    """The status makes no difference."""
    app = Flask(__name__)
    CORS(app, origins=A)
    app.add_url_rule("/r", view_func=lambda: ("", status, {"Location": "/"}))

    assert granted(ask(app, "/r")) == A


async def asynchronous():
    return "async"


@pytest.mark.parametrize("way", [with_extension, with_decorator, with_blueprint])
def test_async_views(way):
    """They are what they were."""
    app = Flask(__name__)
    way(app, "/r")(asynchronous)
    answer = ask(app, "/b/r" if way is with_blueprint else "/r")

    assert (answer.text, granted(answer)) == ("async", A)


def test_an_answer_that_has_the_header_already():
    """It is left alone, ``Vary`` included."""
    app = Flask(__name__)
    CORS(app, origins=A, supports_credentials=True)
    app.add_url_rule("/r", view_func=lambda: ("", 200, {ORIGIN: B}))
    answer = ask(app, "/r")

    assert answer.headers.getlist(ORIGIN) == [B]
    assert {CREDENTIALS, "Vary"}.isdisjoint(answer.headers.keys())


@pytest.mark.parametrize(
    ("sent", "vary"),
    [
        ([], ["Origin"]),
        (["Accept-Encoding"], ["Accept-Encoding", "Origin"]),
        (["origin, Cookie"], ["origin, Cookie"]),
        (["Cookie", "Origin"], ["Cookie", "Origin"]),
        (["*"], ["*"]),
    ],
)
def test_vary(sent, vary):
    """It is merged, never twice."""
    app = Flask(__name__)
    CORS(app, origins=[A, B])
    app.add_url_rule(
        "/r", view_func=lambda: Response(headers=[("Vary", one) for one in sent])
    )

    for origin in (A, EVIL, None):
        assert ask(app, "/r", origin).headers.getlist("Vary") == vary


def test_credentials_that_somebody_else_allows():
    """A header that the application adds does not open it to everyone's credentials."""
    app = Flask(__name__)
    CORS(app)
    app.add_url_rule("/r", view_func=lambda: ("", 200, {CREDENTIALS: "true"}))
    app.add_url_rule("/named", endpoint="named",
                     view_func=cross_origin(origins=A)(lambda: ("", 200, {CREDENTIALS: "true"})))  # fmt: skip

    assert granted(ask(app, "/r", EVIL)) == "*"
    assert granted(ask(app, "/named")) == A


def test_headers_of_another_kind():
    """Some libraries put a dict in the place of headers."""
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
    """Nothing is said by default; who says False aloud is heard, as in Flask-CORS."""
    app = make_app()
    CORS(app, origins=A, **option)
    field = {"Access-Control-Request-Private-Network": "true"}

    assert ask(app, headers=field).headers.get(NETWORK) == actual
    assert preflight(app, **field).headers.get(NETWORK) == asked
    assert NETWORK not in ask(app, origin=EVIL, headers=field).headers
    assert NETWORK not in preflight(app, origin=EVIL, **field).headers
    assert NETWORK not in ask(app).headers


# What applies to a request.


def test_route_then_blueprint_then_application():
    """The first that has something to say decides."""
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "")
    CORS(app, origins="https://app.example")
    blueprint = Blueprint("b", __name__, url_prefix="/b")
    CORS(blueprint, origins="https://blueprint.example", resources="/b/own*")
    blueprint.add_url_rule("/own", view_func=lambda: "")
    blueprint.add_url_rule("/other", endpoint="other", view_func=lambda: "")
    blueprint.add_url_rule(
        "/own-route",
        endpoint="route",
        view_func=cross_origin(origins="https://route.example")(lambda: ""),
    )
    app.register_blueprint(blueprint)

    for path, name in (
        ("/", "app"), ("/b/own", "blueprint"), ("/b/other", "app"), ("/b/own-route", "route"),
        ("/b/own-nothing", "blueprint"), ("/b/nothing", "app"), ("/bother", "app"),
    ):  # fmt: skip
        for other in ("app", "blueprint", "route"):
            origin = f"https://{other}.example"
            wanted = origin if other == name else None
            assert granted(ask(app, path, origin)) == wanted, (path, other)
            assert granted(preflight(app, path, origin)) == wanted, (path, other)


def test_nested_blueprints():
    """The innermost that has something to say decides."""
    app = Flask(__name__)
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    inner = Blueprint("inner", __name__, url_prefix="/inner")
    plain = Blueprint("plain", __name__, url_prefix="/plain")
    CORS(outer, origins=A)
    CORS(inner, origins=B)
    for blueprint in (inner, plain):
        blueprint.add_url_rule("/r", view_func=lambda: "r")
        outer.register_blueprint(blueprint)
    app.register_blueprint(outer)

    for path, origin in (
        ("/outer/inner/r", B), ("/outer/plain/r", A), ("/outer/inner/nothing", B),
        ("/outer/plain/nothing", A), ("/outer", A), ("/outer/inner", B), ("/outersider", None),
    ):  # fmt: skip
        assert [o for o in (A, B) if granted(ask(app, path, o))] == [
            o for o in (origin,) if o
        ], path


def test_one_blueprint_twice():
    """In two applications, and under another name."""
    blueprint = Blueprint("b", __name__)
    CORS(blueprint, origins=A)
    blueprint.add_url_rule("/r", view_func=lambda: "r")
    apps = [Flask("one"), Flask("two")]
    for app in apps:
        app.register_blueprint(blueprint, url_prefix="/x")
        app.register_blueprint(blueprint, url_prefix="/y", name="again")

    for app in apps:
        for path in ("/x/r", "/y/r", "/y/nothing"):
            assert granted(ask(app, path)) == A
        assert is_refused(ask(app, "/nothing"))


def test_an_extension_for_several_applications():
    """It keeps none of them."""
    cors = CORS(origins=A)
    one, two = make_app(), make_app()
    cors.init_app(one)
    cors.init_app(two, origins=B)

    assert granted(ask(one)) == A
    assert granted(ask(two, origin=B)) == B
    assert is_refused(ask(two))


def test_twice_for_one_application():
    """The rules add up; between equals the later wins."""
    app = make_app()
    CORS(app, origins=A, resources=["/a", "/both"])
    CORS(app, origins=B, resources=["/b", "/both"])

    assert granted(ask(app, "/a")) == A
    assert granted(ask(app, "/b", B)) == B
    assert granted(ask(app, "/both", B)) == B
    assert is_refused(ask(app, "/both"))


def test_options_of_the_root_apply_to_all_resources():
    """And to paths that are not listed nothing does."""
    app = make_app()
    CORS(
        app,
        origins=A,
        supports_credentials=True,
        resources={"/a": {}, "/b": {"max_age": 5}},
    )

    for path in ("/a", "/b"):
        assert preflight(app, path).headers[CREDENTIALS] == "true"
        assert granted(ask(app, path)) == A
    assert is_refused(ask(app, "/c"))


class Decorated(MethodView):
    decorators = (cross_origin(origins=A),)

    def get(self):
        return "get"

    def put(self):
        abort(410)


class Partly(MethodView):
    def get(self):
        return "get"

    @cross_origin(origins=A)
    def put(self):
        abort(410)


class OnlyGet(MethodView):
    @cross_origin(origins=A)
    def get(self):
        return "get"


def test_views_that_are_classes():
    """Whole or in part."""
    app = Flask(__name__)
    app.add_url_rule("/whole", view_func=Decorated.as_view("whole"))
    app.add_url_rule("/part", view_func=Partly.as_view("part"))
    app.add_url_rule("/get", view_func=OnlyGet.as_view("get"))

    assert granted(ask(app, "/whole")) == A
    assert granted(ask(app, "/whole", method="PUT")) == A
    assert granted(preflight(app, "/whole")) == A
    assert is_refused(ask(app, "/part"))
    assert granted(ask(app, "/part", method="PUT")) == A
    assert granted(preflight(app, "/part", method="PUT")) == A
    assert is_refused(preflight(app, "/part", method="GET"))
    for method in ("GET", "HEAD"):
        assert granted(ask(app, "/get", method=method)) == A
        assert granted(preflight(app, "/get", method=method)) == A


def test_a_view_that_calls_another():
    """What the other one lets in is not let in here."""
    app = Flask(__name__)
    CORS(app, origins=A, supports_credentials=True)

    @app.get("/public")
    @cross_origin(origins=B, supports_credentials=True)
    def public():
        return "public"

    @app.get("/private")
    def private():
        return f"secret, {public()}"

    assert granted(ask(app, "/public", B)) == B
    assert is_refused(ask(app, "/private", B))
    assert granted(ask(app, "/private")) == A


def test_one_function_for_two_routes():
    """The one that is decorated says nothing of the other."""
    app = Flask(__name__)
    app.add_url_rule("/open", endpoint="o", view_func=cross_origin(origins=A)(gone))
    app.add_url_rule("/closed", endpoint="c", view_func=gone)

    assert granted(ask(app, "/open")) == A
    assert is_refused(ask(app, "/closed"))


def test_async_decorators_above():
    """What was a coroutine function is one still."""

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


def test_requests_that_routing_rejects():
    """A host that is not trusted, a WebSocket's path: as without CORS."""
    statuses = []
    for with_cors in (False, True):
        app = make_app(TRUSTED_HOSTS=["good.example"])
        app.url_map.add(app.url_rule_class("/socket", endpoint="socket", websocket=True))
        if with_cors:
            CORS(app, origins=A)
            blueprint = Blueprint("b", __name__)
            CORS(blueprint, origins=B)
            app.register_blueprint(blueprint)
        statuses.append([
            ask(app, path, base_url=f"http://{host}.example", method=method).status_code
            for path in ("/", "/socket") for host in ("good", "bad") for method in ("GET", "PUT")
        ])  # fmt: skip

    assert statuses[0] == statuses[1]
    assert {200, 400, 405} == set(statuses[0])


def test_below_other_decorators():
    """One that hides what is below it hides that it may be read, and so nobody reads it."""
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


def test_several_views_of_one_path():
    """Each method has its own rules."""
    app = Flask(__name__)
    app.add_url_rule(
        "/r", endpoint="g", view_func=cross_origin(origins=A)(lambda: ""), methods=["GET"]
    )
    app.add_url_rule(
        "/r", endpoint="p", view_func=cross_origin(origins=B)(lambda: ""), methods=["PUT"]
    )

    assert granted(preflight(app, "/r", A, "GET")) == A
    assert granted(preflight(app, "/r", B, "PUT")) == B
    assert is_refused(preflight(app, "/r", A, "PUT"))
    assert granted(ask(app, "/r", B, "PUT")) == B


def test_a_view_that_answers_preflights_itself():
    """It is asked, and what it says is completed."""
    app = Flask(__name__)

    @app.route("/r", methods=["GET", "OPTIONS"])
    @cross_origin(origins=A, automatic_options=False)
    def view():
        return f"my {request.method}"

    answer = preflight(app, "/r", method="GET")
    assert (answer.status_code, answer.text, granted(answer)) == (200, "my OPTIONS", A)
    assert "GET" in answer.headers[METHODS]
    assert is_refused(preflight(app, "/r", EVIL, method="GET"))


def test_behind_a_prefix_of_the_server():
    """Paths are those of the application."""
    app = make_app()
    CORS(app, origins=A, resources="/api/*")
    app.add_url_rule(
        "/route/", endpoint="route", view_func=cross_origin(origins=B)(lambda: "")
    )

    for path, origin, wanted in (("/api/x", A, A), ("/x", A, None), ("/route", B, B)):
        answer = ask(app, path, origin, base_url="http://host.example/mount")
        assert granted(answer) == wanted, path
    assert granted(app.test_client().options(
        "/route", base_url="http://host.example/mount",
        headers={"Origin": B, "Access-Control-Request-Method": "GET"},
    )) == B  # fmt: skip


# Functions.


def test_functions_may_ask_the_application():
    """They are called within the request, preflights included, once for each."""
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
    """Nobody is let in, the error is logged, and the server goes on; the view is not run."""
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
    """What fails before the application is begun with is an answer like others."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    CORS(app, origins=A)

    class Failing(SecureCookieSessionInterface):
        def open_session(self, app, request):
            raise LookupError("no sessions today")

    app.session_interface = Failing()
    answer = ask(app)
    assert (answer.status_code, granted(answer)) == (500, A)


# Streams.


@pytest.fixture
def streaming(tmp_path):
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config.update(SSE_URL="memory:")
    SSE(app)
    closed = []

    @app.route("/own", methods=["GET", "POST"])
    def own():
        response = Response("data: x\n\n", mimetype="text/event-stream")
        response.call_on_close(lambda: closed.append(1))
        return response

    app.closed = closed
    yield app
    app.extensions["heliograph"].hub.close()


def test_a_stream(streaming):
    """Its headers are decided before the first byte; a foreign page gets nothing."""
    CORS(streaming, origins=[A, B], supports_credentials=True)

    with ask(streaming, "/stream") as answer:
        assert (answer.status_code, granted(answer)) == (200, A)
        assert answer.headers[CREDENTIALS] == "true"
        assert set(answer.headers["Vary"].split(", ")) <= {"Origin", "Accept-Encoding"}
    answer = ask(streaming, "/stream", EVIL)
    assert (answer.status_code, is_refused(answer)) == (403, True)
    assert "event-stream" not in answer.content_type
    assert "Origin" in ", ".join(answer.headers.getlist("Vary"))
    with ask(streaming, "/stream", None) as answer:
        assert (answer.status_code, is_refused(answer)) == (200, True)
    assert streaming.extensions["heliograph"].hub.statistics().refused == 0


def test_a_stream_of_ones_own(streaming):
    """It is not even begun, and let go of. A POST has an Origin on pages of our own, too."""
    CORS(streaming, origins=A)

    assert ask(streaming, "/own", EVIL).status_code == 403
    assert streaming.closed == [1]
    assert ask(streaming, "/own", EVIL, "POST").status_code == 200
    assert ask(streaming, "/own").status_code == 200


def test_a_stream_without_a_policy(streaming):
    """It is left alone."""
    CORS(streaming, origins=A, resources="/api/*")

    assert ask(streaming, "/own", EVIL).status_code == 200


def test_a_stream_with_its_own_rules(streaming):
    """The blueprint is one like others."""
    app = Flask("two", instance_path=streaming.instance_path)
    app.config.update(SSE_URL="memory:")
    extension = SSE()
    CORS(extension, origins=A)
    extension.init_app(app)
    app.add_url_rule("/x", view_func=lambda: "x")

    with ask(app, "/stream") as answer:
        assert granted(answer) == A
    assert is_refused(ask(app, "/x"))
    app.extensions["heliograph"].hub.close()


# What was reported against Flask-CORS, each with what is left of it in 6.0.5.


@pytest.mark.parametrize(
    "path", ["/api/../x", "/api/%2e%2e/x", "/api/..%2fx", "/api/y/../../x", "/api/."]
)
def test_cve_2020_25032(path):
    """A path is matched as one canonical path: /api/../x is none of the API's."""
    app = make_app()
    CORS(app, resources={r"/api/.*": {"origins": A}})

    wanted = A if path == "/api/." else None
    assert granted(ask(app, path)) == wanted
    assert granted(preflight(app, path)) == wanted


@pytest.mark.parametrize(
    "path", ["/api/x/..%2f..%2fpublic", "/public/../api/x", "/public/..%2fapi/x"]
)
def test_a_path_that_two_read_differently(path):
    """The router takes it for one resource, what serves it for another: neither counts."""
    app = make_app()
    CORS(app, resources={"/api/*": {"origins": A}, "/*": {"origins": EVIL}})

    assert is_refused(ask(app, path))
    assert is_refused(ask(app, path, EVIL))


def test_cve_2024_1681(caplog):
    """What a client sends reaches no log unescaped."""
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
    """The private network is opened by nobody who has not said so."""
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
    """A plus is a plus; what was decoded once is not decoded again."""
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
    """Paths have capitals."""
    app = make_app()
    CORS(app, resources={"/admin/.*": {"origins": A}, "/Admin/*": {"origins": B}})

    assert granted(ask(app, "/admin/x")) == A
    assert is_refused(ask(app, "/Admin/x"))
    assert is_refused(ask(app, "/ADMIN/x"))


def test_redirects_of_the_application():
    """A redirect that a view makes is read by the browser, which follows it."""
    app = Flask(__name__)
    CORS(app, origins=A)
    app.add_url_rule("/r", view_func=lambda: redirect("/elsewhere"))

    assert granted(ask(app, "/r")) == A
