"""The keys of the configuration: known ones are read once, others are refused or listed."""

import pytest

from cors_pages import EVIL, A, B, ask, granted, is_refused, make_app, preflight
from flask import Blueprint, Flask, current_app
from heliograph import CorsConfigError
from heliograph.flask import CORS, cross_origin


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("CORS_ORIGIN", r"did you mean CORS_ORIGINS\?"),
        ("CORS_ALLOW_CREDENTIALS", r"write CORS_SUPPORTS_CREDENTIALS = ….* If it is"),
        ("CORS_REDIS", r"see .*cors\.md .*\. If it is"),
    ],
)
def test_unknown_keys(key, hint):
    """An unknown key is refused: without effect, it would leave every origin allowed."""
    with pytest.raises(
        CorsConfigError, match=f"{key} is not a CORS option; {hint}"
    ) as error:
        CORS(make_app(**{key: A}))

    assert (
        f"of another package or of your own, list it: CORS_IGNORED_KEYS = ['{key}']"
        in str(error.value)
    )


# (configuration, options of the call, the beginning of the problem)
WRONG_VALUES = [
    ({"CORS_MAX_AGE": "10m"}, {}, "CORS_MAX_AGE: '10m' is not a whole number"),
    ({"CORS_MAX_AGE": "10m"}, {"max_age": "9m"}, "max_age: '9m' is not a whole number"),
    ({"CORS_RESOURCES": "api/*"}, {}, "CORS_RESOURCES: 'api/*' does not begin"),
    ({"CORS_VARY_HEADER": "false"}, {}, "CORS_VARY_HEADER: 'false' is a string"),
    (
        {"CORS_ORIGINS": "*", "CORS_SUPPORTS_CREDENTIALS": True},
        {},
        "CORS_ORIGINS: '*' with",
    ),
]


@pytest.mark.parametrize(("config", "options", "beginning"), WRONG_VALUES)
def test_wrong_values(config, options, beginning):
    """A message names the key, if the value is that of a key."""
    with pytest.raises(CorsConfigError) as caught:
        CORS(make_app(**config), **options)

    (problem,) = caught.value.problems
    assert problem.startswith(beginning)


def test_wrong_values_of_a_route():
    """Likewise at the first request to a route."""
    app = make_app(CORS_MAX_AGE="10m")
    app.testing = True
    app.add_url_rule("/r", "r", cross_origin()(lambda: "r"))

    with pytest.raises(
        CorsConfigError, match=r"^the route 'r' \(/r\): CORS_MAX_AGE: '10m'"
    ):
        ask(app, "/r")


# Those of Superset, and of others.
OTHERS = {"CORS_OPTIONS": {"origins": [B]}, "CORS_ENABLED": True}


@pytest.mark.parametrize("kind", [list, tuple, set])
def test_keys_of_other_packages(kind):
    """Keys that are listed are passed over, whether they are there or not."""
    app = make_app(**OTHERS, CORS_ORIGINS=A)
    app.config["CORS_IGNORED_KEYS"] = kind([*OTHERS, "CORS_ABSENT"])
    CORS(app)
    app.add_url_rule("/r", view_func=cross_origin(max_age=5)(lambda: "r"), methods=["POST"])

    for path, method in (("/", "GET"), ("/r", "POST")):
        assert granted(ask(app, path, A, method)) == A
        assert is_refused(ask(app, path, B, method))
    app.config["CORS_ENABLED"] = False
    app.config["OTHER"] = 1
    assert granted(ask(app)) == A


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("CORS_OPTIONS", "'CORS_OPTIONS' is not a list of keys; write ['CORS_OPTIONS']"),
        (5, "5 is not a list of keys; write ['CORS_OPTIONS']"),
        ([5], "5 does not begin with CORS_, so CORS does not read it"),
        (["OPTIONS"], "'OPTIONS' does not begin with CORS_"),
        (["CORS_ORIGINS"], "'CORS_ORIGINS' is a key that CORS reads; remove it"),
    ],
)
def test_mistakes_in_the_list(value, problem):
    """The list must be a list of keys that mean nothing to CORS."""
    with pytest.raises(CorsConfigError) as caught:
        CORS(make_app(CORS_IGNORED_KEYS=value, CORS_MINE=1))

    assert f"CORS_IGNORED_KEYS: {problem}" in str(caught.value)
    assert "CORS_MINE is not a CORS option" in str(caught.value)


def _on_app(app):
    CORS(app)
    return ""


def _with_origins(app):
    CORS(app, origins=B)
    return ""


def _in_a_factory(app):
    cors = CORS(max_age=5)
    with app.app_context():
        cors.init_app(current_app)
    return ""


def _on_route(app):
    view = cross_origin(methods=["GET"])(lambda: "")
    app.add_url_rule("/own", view_func=view, endpoint="own")
    ask(app, "/own", A)
    return "own"


class Settings:
    CORS_ORIGINS = A


def _replace(config):
    def change(app):
        app.config = Flask(__name__).config
        app.config.update(config)

    return change


def _from_environment(app):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASK_CORS_ORIGINS", f'["{A}"]')
        app.config.from_prefixed_env()


AFTER_CORS = (
    "^CORS_ORIGINS was changed after CORS(app) had read it, which has no effect: move what"
    " sets it (app.config['CORS_ORIGINS'] = …, app.config.from_object(…),"
    " from_prefixed_env() and the like) before CORS(app)$"
)
TWO_AFTER_CORS = (
    "^CORS_ORIGINS and CORS_MAX_AGE were changed after CORS(app) had read them, which has no"
    " effect: move what sets them .* before CORS(app)$"
)
NAMED = (
    "CORS_ORIGINS was changed after CORS(app) had read it, and CORS(app, origins=…) takes"
    " precedence over it: remove CORS_ORIGINS or origins=…"
)
AFTER_A_REQUEST = "^CORS_ORIGINS was changed after the first request had read it, .* before"

# (what reads the configuration, what changes it then, words of the error; None if none)
CHANGES = [
    (_on_app, lambda app: app.config.update(CORS_ORIGINS=A), AFTER_CORS),
    (_on_app, lambda app: app.config.from_object(Settings), AFTER_CORS),
    (_on_app, lambda app: app.config.from_mapping(CORS_ORIGINS=A), AFTER_CORS),
    (_on_app, _from_environment, AFTER_CORS),
    (_on_app, _replace({"CORS_ORIGINS": A}), AFTER_CORS),
    (_on_app, _replace({}), None),
    (_in_a_factory, lambda app: app.config.from_object(Settings), AFTER_CORS),
    (
        _on_app,
        lambda app: app.config.update(CORS_ORIGIN=A),
        "CORS_ORIGIN is not a CORS opt",
    ),
    (_on_app, lambda app: app.config.update(OTHER=1, CORS_MAX_AGE=None), None),
    (_on_app, lambda app: app.config.update(CORS_X=1, CORS_IGNORED_KEYS=["CORS_X"]), None),
    (_on_route, lambda app: app.config.update(CORS_ORIGINS=B), AFTER_A_REQUEST),
    (
        _on_app,
        lambda app: app.config.update(CORS_ORIGINS=A, CORS_MAX_AGE=5),
        TWO_AFTER_CORS,
    ),
    (
        _with_origins,
        lambda app: app.config.update(CORS_ORIGINS=A),
        f"^{NAMED}$",
    ),
    (
        _with_origins,
        lambda app: app.config.update(CORS_ORIGINS=A, CORS_MAX_AGE=5),
        f"^CORS_MAX_AGE was changed .* before CORS(app)\n{NAMED}$",
    ),
]


@pytest.mark.parametrize(("read", "change", "words"), CHANGES)
def test_a_configuration_that_is_changed_too_late(read, change, words):
    """An error, and nothing is granted: the application means to allow other origins."""
    app = Flask(__name__)
    app.testing = True
    app.add_url_rule("/", view_func=lambda: "")
    path = f"/{read(app)}"

    change(app)

    if words is None:
        assert granted(ask(app, path, A)) is not None
        return
    app.testing = True
    words = words.replace("(", r"\(").replace(")", r"\)").replace("[", r"\[")
    for asked in (ask, preflight):
        with pytest.raises(CorsConfigError, match=words):
            asked(app, path, A)
    app.testing = False
    response = ask(app, path, A)
    assert (response.status_code, granted(response)) == (500, None)


def test_a_configuration_in_time():
    """What is set after CORS() and cross_origin(), but before they read it, applies."""
    app = make_app()
    cors = CORS()
    app.add_url_rule("/r", view_func=cross_origin()(lambda: "r"), methods=["POST"])
    app.config.from_object(Settings)
    cors.init_app(app)
    blueprint = Blueprint("b", __name__, url_prefix="/b")
    CORS(blueprint, origins=B)
    blueprint.add_url_rule("/x", view_func=lambda: "x")
    app.register_blueprint(blueprint)

    for path, method, origin in (("/", "GET", A), ("/r", "POST", A), ("/b/x", "GET", B)):
        assert granted(ask(app, path, origin, method)) == origin
        assert is_refused(ask(app, path, EVIL, method))
