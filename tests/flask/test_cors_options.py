"""The options of Flask-CORS, in all their forms, are turned into rules."""

import re
from datetime import timedelta

import pytest

from cors_pages import (
    CREDENTIALS,
    EVIL,
    HEADERS,
    METHODS,
    ORIGIN,
    A,
    B,
    ask,
    granted,
    is_refused,
    make_app,
    preflight,
)
from flask import Blueprint, Flask
from heliograph import ConfigError, CorsConfigError
from heliograph.cors import CorsPolicy
from heliograph.flask import CORS, cross_origin


def test_the_defaults_are_those_of_flask_cors():
    """Every origin is echoed, without credentials; Authorization may be sent."""
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
    """The order is resource, init_app, constructor, configuration, default."""
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
    refused = preflight(app, "/3", "https://3.example", headers="x-2")
    assert refused.text == "the policy's allow_headers do not allow 'x-2'\n"


def test_configuration_of_a_route():
    """Options that a route does not set come from the configuration."""
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
    """A blueprint does not read the configuration, as in Flask-CORS: it may have several."""
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
    """Every form of an option that Flask-CORS accepts is accepted."""
    app = make_app()
    CORS(app, **options)
    answer = preflight(app, headers="X-A")

    assert answer.status_code == 204
    assert {name: answer.headers[name] for name in headers} == headers


def test_exposed_as_one_text():
    """Names are sorted, so that every process sends the same."""
    app = make_app()
    CORS(app, expose_headers="X-B, X-A")

    assert ask(app).headers["Access-Control-Expose-Headers"] == "X-A, X-B"


def test_no_headers_allowed():
    """None allows no header."""
    app = make_app()
    CORS(app, allow_headers=None)

    assert (
        preflight(app, headers="x-a").text
        == "the policy's allow_headers do not allow 'x-a'\n"
    )
    assert granted(preflight(app)) == A


POLICY = CorsPolicy(origins=A)


async def allows(origin, request):
    return True


class Allows:
    async def __call__(self, origin, request):
        return True


MISTAKES = [
    ({"origin": A}, "origin is not a CORS option; did you mean origins?"),
    ({"origins": "a.example"}, "write 'https://a.example'"),
    ({"supports_credentials": True}, ") names none, which means '*'"),
    (
        {"resources": {"/a": {"supports_credentials": True}}},
        "resources['/a']: origins: CORS(",
    ),
    (
        {"origins": "*", "supports_credentials": True},
        "origins: '*' with supports_credentials",
    ),
    ({"supports_credentials": "false"}, "supports_credentials: 'false' is a string; pass"),
    ({"automatic_options": 1}, "automatic_options: 1 is a number; pass the boolean True"),
    ({"intercept_exceptions": None}, "intercept_exceptions: None is neither"),
    ({"max_age": -1}, "max_age: -1"),
    ({"max_age": timedelta(seconds=-1)}, "max_age: -1"),
    ({"max_age": "\u0661"}, "max_age: '\u0661'"),
    ({"methods": 5}, "methods: 5"),
    ({"allow_headers": 5}, "allow_headers: 5"),
    ({"expose_headers": 5}, "expose_headers: 5"),
    ({"resources": 5}, "resources: 5 is neither"),
    ({"resources": [5]}, "resources: 5 is neither a path"),
    ({"resources": [b"/a/*"]}, "resources: b'/a/*' is bytes; write '/a/*'"),
    ({"resources": b"/a"}, "resources: b'/a' is bytes; write '/a'"),
    ({"resources": {}}, "resources: {} covers no path; write '/*' for all paths"),
    ({"resources": []}, "resources: [] covers no path; write '/*' for all paths"),
    (
        {"resources": {"/a": A}},
        "'https://a.example' is not a dict of options; write {'origins': 'https://a.exa",
    ),
    ({"resources": {"/a": [A]}}, "write {'origins': ['https://a.example']}"),
    (
        {"resources": {"/a": None}},
        "resources['/a']: None is not a dict of options; write {}",
    ),
    ({"origins": Allows()}, "Allows object"),
    (
        {"origins": Allows()},
        "is async, and Flask calls it without an event loop; write def",
    ),
    ({"origins": [A, allows]}, "origins: the function <function allows"),
    ({"policy": POLICY}, "policy: in Flask, CORS takes the options themselves, not a Cors"),
    ({"origins": POLICY}, "origins: in Flask, CORS takes the options themselves, not a"),
    ({"resources": {"/a": {"origins": POLICY}}}, "origins: in Flask, CORS takes the opt"),
    ({"resources": {"/a": {"origin": A}}}, "resources['/a']: origin is not a CORS option"),
    (
        {"resources": {"/a": {"resources": {}}}},
        "resources['/a']: resources is not a CORS option",
    ),
    ({"resources": r"/(a+)+$"}, "resources: '/(a+)+$' is read as a regular expression"),
    ({"resources": "/("}, "resources: '/('"),
    (
        {"resources": "api/*"},
        "resources: 'api/*' does not begin with a slash; write '/api/*'",
    ),
    (
        {"resources": {"/<id>": {}}},
        "resources: '/<id>' has a variable of a route, which has",
    ),
    ({"resources": re.compile("api")}, "resources: re.compile('api') is read as a regular"),
]


@pytest.mark.parametrize(
    ("options", "words"), MISTAKES, ids=lambda value: ascii(value)[:50]
)
@pytest.mark.parametrize("target", [Flask(__name__), Blueprint("b", __name__)])
def test_mistakes(options, words, target):
    """Mistakes are raised at once, for applications and blueprints."""
    with pytest.raises(CorsConfigError) as caught:
        CORS(target, **options)

    assert words in str(caught.value)
    assert isinstance(caught.value, ConfigError)


def test_all_mistakes_at_once():
    """A mistake for all resources is listed once, others with their resource."""
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
    ("options", "words"),
    [
        ({"origin": A}, "did you mean origins"),
        ({"resources": "/x"}, "resources is not a CORS option"),
        ({"intercept_exceptions": True}, "intercept_exceptions is not a CORS option"),
        ({"origins": "*", "supports_credentials": True}, "with supports_credentials"),
        ({"max_age": -1, "methods": 5}, "methods: 5"),
        ({"origins": allows}, "is async, and Flask"),
        ({"policy": POLICY}, "not a CorsPolicy"),
    ],
)
def test_mistakes_of_a_route(options, words):
    """What no configuration can put right is raised by the decorator."""
    with pytest.raises(CorsConfigError, match=words):
        cross_origin(**options)


def test_mistakes_of_a_route_with_its_configuration(caplog):
    """What depends on the configuration is raised by the first request, and nothing is granted."""
    app = make_app()
    CORS(app, origins=[A], supports_credentials=True)

    @app.post("/route/<n>")
    @cross_origin(supports_credentials=True)
    def route(n):
        return "secret"

    answer = ask(app, "/route/1", method="POST")
    assert (answer.status_code, is_refused(answer)) == (500, True)
    assert (
        "the route 'route' (/route/<n>): origins: @cross_origin names none, which means '*',"
        " and '*' with supports_credentials lets any web site act in the name of your"
        " visitors; write @cross_origin(origins=['https://app.example'],"
        " supports_credentials=True), or set CORS_ORIGINS in app.config before CORS(app); a"
        " route inherits nothing from CORS(app)\n" in caplog.text
    )
    assert preflight(app, "/route/1", method="POST").status_code == 500


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Flask(__name__), "write CORS(app, origins=['https://app.example'], supports_cred"),
        (
            Blueprint("b", __name__),
            "a blueprint inherits nothing from CORS(app) or app.con",
        ),
    ],
)
def test_credentials_without_origins(target, words):
    """The message does not speak of a star that nobody has written."""
    with pytest.raises(CorsConfigError) as caught:
        CORS(target, supports_credentials=True)

    assert words in str(caught.value)
    CORS(target, supports_credentials=True, origins=A)
    hatch = {"dangerously_allow_any_origin_with_credentials": True}
    CORS(target, supports_credentials=True, **hatch)


@pytest.mark.parametrize("way", [CORS, cross_origin])
def test_what_everybody_has_copied(way):
    """CORS_HEADERS, which Flask-CORS has not read for years, is ignored."""
    app = make_app(CORS_HEADERS="Content-Type")
    CORS(app)
    app.add_url_rule("/r", view_func=cross_origin()(lambda: "r"), methods=["POST"])

    assert granted(ask(app, "/r", method="POST")) == A


def test_iterators_are_read_once():
    """An iterator counts for every resource and every request."""
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


def test_options_of_the_root_apply_to_all_resources():
    """Options for all resources apply to no other path."""
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
