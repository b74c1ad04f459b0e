"""What a page of another origin asks for, in Flask."""

import collections
import os
import time

from cors_policies import policies

from flask import Flask, g, request
from heliograph.flask import CORS, sse

app = Flask(__name__, instance_path=os.environ["INSTANCE"])
app.config.update(SSE_RETRY_MS=100)
CORS(
    app,
    resources={
        f"/{name}/*": options for name, options in policies(os.environ["PAGE"]).items()
    },
)
app.register_blueprint(sse, url_prefix="/stream/events")

preflights = collections.Counter()
inner = app.wsgi_app


def counting(environ, start_response):
    # Outside of everything: preflights do not reach the application.
    if environ["REQUEST_METHOD"] == "OPTIONS":
        preflights[environ["PATH_INFO"]] += 1
    return inner(environ, start_response)


app.wsgi_app = counting


@app.before_request
def guard():
    g.start = time.monotonic()
    if request.method == "OPTIONS":
        return "no hook lets a preflight through", 401
    return None


@app.teardown_request
def measure(error):
    # Raises if guard has not run, and then the server answers with 500.
    app.logger.debug("took %s s", time.monotonic() - g.start)


@app.route("/<name>/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "REPORT"])
def echo(name):
    answer = {"method": request.method, "cookie": request.cookies.get("visitor")}
    return (
        answer,
        int(request.args.get("status", 200)),
        {"X-Shown": "yes", "X-Hidden": "no"},
    )


@app.post("/<name>/login")
def login(name):
    return "", 204, {"Set-Cookie": "visitor=ann; Path=/"}


@app.get("/preflights/<path:path>")
def count(path):
    return str(preflights[f"/{path}"])


@app.post("/publish")
def publish():
    return sse.publish(request.get_data(as_text=True))


@app.post("/cut")
def cut():
    sse.disconnect("sse")
    return ""


@app.get("/ping")
def ping():
    return "pong"
