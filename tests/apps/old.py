"""What is moved from: the real Flask-SSE 1.0.0, and the generator that everybody pastes."""

import os

import redis
from flask_sse import sse

from flask import Flask, Response, request

app = Flask(__name__)
app.config["REDIS_URL"] = os.environ["REDIS_URL"]
app.register_blueprint(sse, url_prefix="/stream")


@app.get("/ping")
def ping():
    return "pong"


@app.post("/publish")
def publish():
    fields = request.get_json()
    sse.publish(**fields)
    return ""


@app.get("/pasted")
def pasted():
    pubsub = redis.Redis.from_url(os.environ["REDIS_URL"]).pubsub()
    pubsub.subscribe("pasted")

    def events():
        for message in pubsub.listen():
            if message["type"] == "message":
                yield f"data: {message['data'].decode()}\n\n"

    return Response(events(), mimetype="text/event-stream")
