"""A Flask application under ASGI, and its streams beside it."""

import contextlib
import os
from pathlib import Path

from a2wsgi import WSGIMiddleware
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from flask import Flask
from heliograph.asgi import EventStreams
from heliograph.flask import sse

Path(os.environ["INSTANCE"]).mkdir(exist_ok=True)
url = f"sqlite:///{os.environ['INSTANCE']}/log"
flask_app = Flask(__name__)
flask_app.config.update(SECRET_KEY="for tests", SSE_URL=url)
flask_app.register_blueprint(sse, url_prefix="/stream")


@flask_app.get("/ping")
def ping():
    return "pong"


@flask_app.post("/publish")
def publish():
    return sse.publish("x")


@flask_app.get("/address")
def address():
    return sse.url_for("sse", expires_in=60)


streams = EventStreams(url, secret_key="for tests", private=True)


@contextlib.asynccontextmanager
async def lifespan(app):
    async with streams:
        yield


app = Starlette(
    routes=[Route("/stream", streams), Mount("/", WSGIMiddleware(flask_app))],
    lifespan=lifespan,
)
