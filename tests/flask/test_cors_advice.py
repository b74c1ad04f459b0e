"""A route or a blueprint that is open to everyone beside strict rules is named in the log."""

import pytest

from cors_pages import EVIL, A, ask, granted, preflight
from flask import Blueprint, Flask
from heliograph.flask import CORS, cross_origin

STRICT = {"origins": A}

OF_ROUTE = (
    "the route 'open' (/r/<n>) allows every origin, unlike CORS(…) for this path: its"
    " @cross_origin names no origins, and inherits none from CORS(…). Write"
    " @cross_origin(origins=[…]), or set CORS_ORIGINS in app.config before"
    " CORS(app), or remove @cross_origin; if everyone may use it, write origins='*'"
)

# (options of the application, those of the route, whether a warning is logged)
ROUTES = [
    pytest.param(STRICT, {}, True, id="strict-application"),
    pytest.param(
        {"resources": {"/r/*": STRICT}}, {"max_age": 5}, True, id="strict-resource"
    ),
    pytest.param({"resources": {"/x/*": STRICT}}, {}, False, id="another-resource"),
    pytest.param(STRICT, {"origins": "*"}, False, id="on-purpose"),
    pytest.param({"max_age": 5}, {}, False, id="open-application"),
    pytest.param(None, {}, False, id="alone"),
    pytest.param({"origins": lambda origin, request: True}, {}, True, id="function"),
]


@pytest.mark.parametrize(("options", "own", "is_warned"), ROUTES)
@pytest.mark.parametrize("asked", [ask, preflight])
def test_open_routes(options, own, is_warned, asked, caplog):
    """The first request or preflight logs one warning, with the route and what to write."""
    app = Flask(__name__)
    if options is not None:
        CORS(app, **options)
    app.add_url_rule(
        "/r/<n>",
        endpoint="open",
        view_func=cross_origin(**own)(lambda n: n),
        methods=["PUT"],
    )

    for _ in range(2):
        assert granted(asked(app, "/r/1", EVIL, "PUT")) == EVIL

    warnings = [record.getMessage() for record in caplog.records]
    if not is_warned:
        assert warnings == []
        return
    assert warnings == [OF_ROUTE]


def test_a_route_with_origins_of_the_configuration(caplog):
    """CORS_ORIGINS is for routes, too."""
    app = Flask(__name__)
    app.config["CORS_ORIGINS"] = A
    CORS(app)
    app.add_url_rule("/r", endpoint="open", view_func=cross_origin()(lambda: "r"))

    assert granted(ask(app, "/r")) == A
    assert caplog.text == ""


def test_each_route_is_named(caplog):
    """One decorator for two routes is two warnings."""
    app = Flask(__name__)
    CORS(app, **STRICT)
    shared = cross_origin()
    for name in ("one", "two"):
        app.add_url_rule(f"/{name}", endpoint=name, view_func=shared(lambda: "r"))
    for name in ("one", "two"):
        ask(app, f"/{name}")

    assert ["'one'" in caplog.text, "'two'" in caplog.text] == [True, True]


OF_BLUEPRINT = (
    "the blueprint 'outer.inner' allows every origin: its CORS(blueprint) names no origins,"
    " and inherits none from CORS(app), an outer blueprint or CORS_ORIGINS in app.config,"
    " which allow fewer. Write CORS(blueprint, origins=[…]); if everyone may use it, write"
    " origins='*'"
)

# (CORS of others, that of the inner blueprint, CORS_ORIGINS, whether a warning is logged)
BLUEPRINTS = [
    pytest.param({"app": STRICT}, {}, None, True, id="strict-application"),
    pytest.param({"outer": STRICT}, {}, None, True, id="strict-outer"),
    pytest.param({}, {}, A, True, id="configuration"),
    pytest.param({"app": STRICT}, {"origins": "*"}, A, False, id="on-purpose"),
    pytest.param({"app": {}}, {}, None, False, id="open-application"),
    pytest.param({}, {}, "*", False, id="alone"),
    pytest.param({}, {}, ["*"], False, id="alone-in-a-list"),
    pytest.param({"app": {"resources": {"/x": STRICT}}}, {}, None, False, id="elsewhere"),
]


@pytest.mark.parametrize(("others", "own", "key", "is_warned"), BLUEPRINTS)
def test_open_blueprints(others, own, key, is_warned, caplog):
    """Likewise for a blueprint, which does not read CORS_ORIGINS either."""
    app = Flask(__name__)
    app.config["CORS_ORIGINS"] = key
    if "app" in others:
        CORS(app, **others["app"])
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    inner = Blueprint("inner", __name__, url_prefix="/inner")
    inner.add_url_rule("/r", view_func=lambda: "r")
    CORS(inner, **own)
    if "outer" in others:
        CORS(outer, **others["outer"])
    outer.register_blueprint(inner)
    app.register_blueprint(outer)

    for path in ("/outer/inner/r", "/outer/inner/nothing", "/outer/inner/r"):
        assert granted(ask(app, path, EVIL)) == EVIL

    warnings = [record.getMessage() for record in caplog.records]
    if not is_warned:
        assert warnings == []
        return
    assert warnings == [OF_BLUEPRINT]
