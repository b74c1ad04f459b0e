"""Which rule applies: of the route, of its blueprint, or of the application."""

from flask.views import MethodView

from cors_pages import EVIL, A, B, ask, gone, granted, is_refused, make_app, preflight
from flask import Blueprint, Flask, abort
from heliograph.flask import CORS, cross_origin


def test_route_then_blueprint_then_application():
    """The first with a rule for the path decides."""
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
    """The innermost blueprint with a rule for the path decides."""
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
    """A blueprint may be registered in two applications, and under two names."""
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


def test_not_found_below_a_prefix_with_variables():
    """Each variable of a prefix stands for one segment."""
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
    """A class-based view may be decorated as a whole, or by method."""
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
    """The options of a view that another view calls do not apply."""
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
    """Options belong to the decorated route, not to the function."""
    app = Flask(__name__)
    app.add_url_rule("/open", endpoint="o", view_func=cross_origin(origins=A)(gone))
    app.add_url_rule("/closed", endpoint="c", view_func=gone)

    assert granted(ask(app, "/open")) == A
    assert is_refused(ask(app, "/closed"))


def test_requests_that_routing_rejects():
    """Requests that routing rejects get the same status as without CORS."""
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


def test_several_views_of_one_path():
    """Each view of a path has its own rule, found by the method."""
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


def test_behind_a_prefix_of_the_server():
    """Paths do not include the prefix under which the server mounts the application."""
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


class Anything:
    """A view that has every attribute of ours, as mocks do."""

    def __call__(self):
        return "anything"

    def __getattr__(self, name):
        if not name.startswith("_heliograph"):
            raise AttributeError(name)
        return self


def test_a_view_that_has_every_attribute():
    """It has no options of its own."""
    app = Flask(__name__)
    CORS(app, origins=A)
    cross_origin(origins="*")(lambda: "other")
    app.add_url_rule("/r", endpoint="r", view_func=Anything())

    assert (granted(ask(app, "/r", A)), granted(ask(app, "/r", EVIL))) == (A, None)
