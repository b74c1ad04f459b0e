"""An application with nothing to complain about, for a page of another origin."""

import os

import marking  # noqa: F401 - marks the log

from flask import Flask
from heliograph.flask import CORS, sse

app = Flask(__name__, instance_path=os.environ["INSTANCE"])
app.config.from_prefixed_env("APP")
CORS(app, origins=["https://page.example"], supports_credentials=True)
app.register_blueprint(sse, url_prefix="/stream")


@app.get("/ping")
def ping():
    return "pong"
