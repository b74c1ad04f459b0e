"""Flask with Heliograph."""

import json
import os
import time

from pace import event, pauses

from flask import Flask, request
from heliograph.flask import sse

app = Flask(__name__)
app.config["SSE_URL"] = os.environ["URL"]
for name, value in json.loads(os.environ["SETTINGS"]).items():
    app.config[f"SSE_{name.upper()}"] = value
app.register_blueprint(sse, url_prefix="/stream")


@app.post("/publish")
def publish():
    sse.publish(request.get_json(), channel=request.args["channel"])
    return "", 204


@app.post("/within")
def publish_within():
    """Publish from here, and not for a request each."""
    first, rate, seconds = (request.args[name] for name in ("first", "rate", "seconds"))
    for number, pause in enumerate(pauses(float(rate), float(seconds)), int(first)):
        time.sleep(pause)
        sse.publish(event(number), channel="a")
    return "", 204


@app.post("/plain")
def plain_post():
    """Do what publish does, without publishing."""
    request.get_json()
    request.args["channel"]
    return "", 204


@app.get("/plain")
def plain():
    return "plain"
