"""Flask with Flask-SSE."""

import os

from flask_sse import sse

from flask import Flask, request

app = Flask(__name__)
app.config["REDIS_URL"] = os.environ["REDIS_URL"]
app.register_blueprint(sse, url_prefix="/stream")


@app.after_request
def begin(response):
    # gunicorn sends the head with the first bytes of the body, which Flask-SSE has with the
    # first event: until then nobody could tell that a stream is open.
    if response.mimetype == "text/event-stream":
        response.response = begun(response.response)
    return response


def begun(blocks):
    yield ":\n\n"
    yield from blocks


@app.post("/publish")
def publish():
    sse.publish(request.get_json(), channel=request.args["channel"])
    return "", 204


@app.get("/plain")
def plain():
    return "plain"
