"""Flask applications, and the pages of other origins that use them."""

from flask import Blueprint, Flask, abort
from heliograph.flask import CORS, cross_origin

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


async def asynchronous():
    return "async"
