"""The resources of a blueprint are checked when it is registered."""

import pytest

from cors_pages import A, B, ask, granted
from flask import Blueprint, Flask
from heliograph import CorsConfigError
from heliograph.flask import CORS

# (the blueprint's prefix, its resource, what the message says to write; None for no error)
PREFIXES = [
    ("/api", "/users/*", "write '/outer/api/users/*'"),
    ("/api", "/users", "write '/outer/api/users'"),
    ("/api/", r"/users/\d+", r"write '/outer/api/users/\\d+'"),
    ("/<lang>/api", "/api/*", "write '/outer/*/api/api/*'"),
    ("/<lang>/api", "/*/api/x*", None),
    (
        "/api",
        "/api/*",
        "is registered below '/outer/api'; write '/outer/api/*'",
    ),
    ("/api", "/api", "write '/outer/api'"),
    ("/api/", "/api/users", "write '/outer/api/users'"),
    ("/api", r"/api/v\d+/", r"write '/outer/api/v\\d+/'"),
    ("/v1.0", r"^/v1\.0/\d", r"write '/outer/v1\\.0/\\d'"),
    ("/api", "/a(pi|x)/+", "write '/outer/api/a(pi|x)/+'"),
    ("/v1.0/<int:n>", "^/users/.*", r"write '/outer/v1\\.0/[^/]+/users/.*'"),
    (
        "/api",
        "/apiary",
        "covers no path of the blueprint 'inner', which is registered below",
    ),
    ("/api", "/outer/api/users/*", None),
    ("/api", "/outer/api", None),
    ("/api", "/*", None),
    ("/api", "*/users", None),
    ("/api", r"/outer/(api|x)/\d+", None),
    ("/<lang>/api", "/outer/en/api/x", None),
    ("/<lang>/api", "/outer/api/*", None),  # the language may be "api"
    ("/<path:any>", "/outer/a/b/c", None),
    (None, "/outer/x", None),
]


@pytest.mark.parametrize(("prefix", "resource", "words"), PREFIXES)
def test_resources_of_a_blueprint(prefix, resource, words):
    """A resource is a whole path: one that the blueprint cannot have is refused."""
    app = Flask(__name__)
    outer = Blueprint("outer", __name__, url_prefix="/outer")
    inner = Blueprint("inner", __name__, url_prefix=prefix)
    CORS(inner, origins=A, resources=resource)
    outer.register_blueprint(inner)

    if words is None:
        app.register_blueprint(outer)
        return
    with pytest.raises(CorsConfigError) as caught:
        app.register_blueprint(outer)
    assert words in str(caught.value)


def test_a_prefix_that_is_replaced():
    """The registration may have another prefix than the blueprint."""
    blueprint = Blueprint("b", __name__, url_prefix="/api")
    CORS(blueprint, origins=A, resources=["/api/*", "/x"])

    with pytest.raises(CorsConfigError) as caught:
        Flask(__name__).register_blueprint(blueprint, url_prefix="/v1")
    words = "which is registered below '/v1'; write "
    first, second = caught.value.problems
    assert first.endswith(f"{words}'/v1/*'")
    assert second.endswith(f"{words}'/v1/x'")


def twice(resources):
    """Register a blueprint two times."""
    app = Flask(__name__)
    blueprint = Blueprint("b", __name__)
    CORS(blueprint, resources=resources)
    blueprint.add_url_rule("/r", view_func=lambda: "r")
    app.register_blueprint(blueprint, url_prefix="/v1", name="v1")
    app.register_blueprint(blueprint, url_prefix="/v2", name="v2")
    return app


def test_a_blueprint_that_is_registered_twice():
    """Each resource has to cover paths of one registration; the first request tells."""
    app = twice({"/v1/*": {"origins": A}, "/v2/*": {"origins": B}})
    assert [granted(ask(app, f"/{v}/r", A)) for v in ("v1", "v2")] == [A, None]
    assert [granted(ask(app, f"/{v}/r", B)) for v in ("v1", "v2")] == [None, B]
    app = twice({"/v1/*": {"origins": A}})
    assert [granted(ask(app, f"/{v}/r", A)) for v in ("v1", "v2")] == [A, None]

    app = twice({"/v1/*": {"origins": A}, "/v3/*": {"origins": B}})
    app.testing = True
    with pytest.raises(CorsConfigError, match="'/v3/\\*' covers no path"):
        ask(app, "/v1/r")


def test_the_resource_of_another_blueprint():
    """That another blueprint has paths for it does not help."""
    app = Flask(__name__)
    app.testing = True
    for name, resources in {"a": ["/a/*"], "b": ["/a/*", "/b/*"]}.items():
        blueprint = Blueprint(name, __name__, url_prefix=f"/{name}")
        CORS(blueprint, resources=resources)
        app.register_blueprint(blueprint)

    with pytest.raises(
        CorsConfigError, match="'/a/\\*' covers no path of the blueprint 'b'"
    ):
        ask(app, "/a/r")
