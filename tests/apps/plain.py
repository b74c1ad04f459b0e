"""An application as people write them, with what the tests want to look at."""

import dataclasses
import gc
import os

import marking  # noqa: F401 - marks the log

from flask import Flask, request, session
from heliograph.flask import sse

app = Flask(__name__, instance_path=os.environ["INSTANCE"])
app.config["SECRET_KEY"] = "for tests"
app.config.from_prefixed_env("APP")
app.register_blueprint(sse, url_prefix="/stream")


@app.get("/ping")
def ping():
    return "pong"


@app.get("/big")
def big():
    return "x" * 2_000_000


@app.post("/publish")
def publish():
    return sse.publish(request.get_json(), channel=request.args.getlist("channel") or "sse")


asked, left, closed = [], [], []


@app.route("/ask", methods=["GET", "POST"])
def ask():
    """Answer with a stream of one's own, with or without a look at the body."""
    channel = request.args["channel"]
    asked.append(channel)
    response = sse.response(channel, on_leave=left.append)
    response.call_on_close(lambda: closed.append(channel))
    response.set_cookie("asked", "yes")
    if "unread" not in request.args:
        response.headers["X-Body"] = str(len(request.get_data()))
    return response


@app.get("/left")
def who_has_left():
    return {"asked": asked, "left": left, "closed": closed}


@app.post("/end")
def end():
    return sse.end(request.args["channel"], None if "bare" in request.args else "over")


@app.get("/statistics")
def statistics():
    return {"pid": os.getpid()} | dataclasses.asdict(sse.statistics())


@app.post("/collect")
def collect():
    """Drop what the server has left to the garbage collector."""
    return str(gc.collect())


@app.post("/disconnect")
def disconnect():
    sse.disconnect(request.args["channel"])
    return ""


@app.before_request
def visit():
    if "cookie" in request.args:
        session["visited"] = True


@app.after_request
def cors(response):
    page = app.config.get("PAGE", "https://page.example")
    response.headers["Access-Control-Allow-Origin"] = page
    return response
