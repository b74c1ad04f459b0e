"""``cross_origin`` on views that are classes, also where it is applied at dispatch."""

import functools
import logging
import sys
import types

import flask_restful
import flask_restx
import pytest
from flask.views import MethodView

from cors_pages import EVIL, METHODS, A, B, ask, crash, granted, is_refused, preflight
from flask import Flask
from heliograph.flask import cross_origin

PACKAGES = {"restful": flask_restful, "restx": flask_restx}


@pytest.fixture(params=PACKAGES)
def package(request):
    return PACKAGES[request.param]


@pytest.fixture
def app():
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


def resource(package, **attributes):
    methods = {
        "get": lambda self: {"said": "get"},
        "put": lambda self: crash(),
        "delete": lambda self: package.abort(409),
        **attributes,
    }
    return type("Thing", (package.Resource,), methods)


def served(app, package, view_class, **options):
    """Add a resource to an application, as its package does."""
    api = package.Api(app, **options)
    api.add_resource(view_class, "/thing")
    return app


def open_to(app, method):
    """Return the origins that may send a request, and read its response."""
    origins = []
    for origin in (A, B, EVIL):
        if granted(preflight(app, "/thing", origin, method)):
            assert granted(ask(app, "/thing", origin, method)) == origin
            origins.append(origin)
        else:
            assert is_refused(ask(app, "/thing", origin, method))
    return origins


def test_method_decorators(app, package, caplog):
    """A list applies to all methods: to preflights, to errors, and to 405."""
    served(app, package, resource(package, method_decorators=[cross_origin(origins=A)]))

    for method, status in (("GET", 200), ("HEAD", 200), ("PUT", 500), ("DELETE", 409),
                           ("POST", 405)):  # fmt: skip
        assert open_to(app, method) == [A], method
        assert ask(app, "/thing", A, method).status_code == status
    assert "PATCH" in preflight(app, "/thing").headers[METHODS]
    assert "has no effect" not in caplog.text


def test_method_decorators_by_method(app, caplog):
    """Flask-RESTful also has a dict, of which each method has its own."""
    decorators = {"get": [cross_origin(origins=A)], "put": [cross_origin(origins=B)]}
    package = flask_restful
    served(app, package, resource(package, method_decorators=decorators))

    assert [open_to(app, each) for each in ("GET", "PUT", "DELETE")] == [[A], [B], []]
    assert "has no effect" not in caplog.text


def test_the_outermost_decorates(app, package):
    """Of several, the one that is applied last counts."""
    decorators = [cross_origin(origins=B), lambda view: view, cross_origin(origins=A)]
    attributes = {
        "method_decorators": decorators,
        "get": cross_origin(origins=EVIL)(lambda self: {}),
    }
    served(app, package, resource(package, **attributes))

    assert open_to(app, "GET") == [A]


def test_one_decorator_for_several(app, package):
    """What cross_origin returns may decorate any number of classes and functions."""
    shared = cross_origin(origins=A)
    served(app, package, resource(package, method_decorators=(shared,)))
    app.add_url_rule("/other", endpoint="other", view_func=shared(lambda: "other"))

    assert open_to(app, "GET") == [A]
    assert granted(ask(app, "/other")) == A


@pytest.mark.parametrize("where", ["class", "api", "method"])
def test_other_ways(app, package, where):
    """``decorators`` of a class or an Api, and a decorated method, are found as well."""
    decorator = cross_origin(origins=A)
    attributes, options = {}, {}
    if where == "class":
        attributes = {"decorators": [decorator]}
    elif where == "api":
        options = {"decorators": [decorator]}
    else:
        attributes = {"get": decorator(lambda self: {})}
    served(app, package, resource(package, **attributes), **options)

    assert open_to(app, "GET") == [A]


def test_namespaces_of_restx(app):
    """``decorators`` of a namespace are found, too."""
    namespace = flask_restx.Namespace("n", path="/", decorators=[cross_origin(origins=A)])
    namespace.add_resource(resource(flask_restx), "/thing")
    flask_restx.Api(app).add_namespace(namespace)

    assert open_to(app, "GET") == [A]


class AtDispatch(MethodView):
    """What an application may write itself."""

    def get(self):
        return "get"

    def dispatch_request(self, **values):
        return cross_origin(origins=A)(super().dispatch_request)(**values)


def hidden():
    """Return a class whose decorator is inside another."""
    decorators = [lambda view: functools.partial(cross_origin(origins=A)(view))]
    return resource(flask_restful, method_decorators=decorators)


def lazy():
    """Return a view that imports its module with its first request, as Flask documents."""

    def view():
        if "lazy_views" not in sys.modules:
            module = types.ModuleType("lazy_views")
            module.index = cross_origin(origins=A)(lambda: "lazy")
            sys.modules["lazy_views"] = module
        return sys.modules["lazy_views"].index()

    return view


@pytest.mark.parametrize("kind", ["dispatch", "hidden", "lazy"])
def test_a_decorator_that_comes_too_late(app, kind, caplog, monkeypatch):
    """It grants nothing, which one warning says, with the endpoint and what to write."""
    monkeypatch.delitem(sys.modules, "lazy_views", raising=False)
    if kind == "hidden":
        served(app, flask_restful, hidden())
    else:
        view = AtDispatch.as_view("thing") if kind == "dispatch" else lazy()
        app.add_url_rule("/thing", endpoint="thing", view_func=view)

    with caplog.at_level(logging.WARNING, "heliograph.cors"):
        for _ in range(2):
            assert ask(app, "/thing").status_code == 200
            assert is_refused(ask(app, "/thing"))

    (warning,) = (r.getMessage() for r in caplog.records if r.name == "heliograph.cors")
    assert "no effect for the endpoint 'thing'" in warning
    assert "method_decorators = [cross_origin(…)]" in warning
    monkeypatch.delitem(sys.modules, "lazy_views", raising=False)


def test_a_decorator_that_serves_no_route(app, caplog):
    """No warning is logged for what is decorated within a request, and not called in it."""
    made = []

    @app.get("/")
    def index():
        made.append(cross_origin(origins=A)(lambda: "later"))
        return "index"

    assert ask(app).status_code == 200
    assert made[0]() == "later"
    assert caplog.text == ""
