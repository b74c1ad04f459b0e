"""An application whose page is a test's own, and whose signed URLs expire soon."""

import os

from plain import app

from heliograph.flask import sse


@app.get("/page")
def page():
    return f"<!doctype html><title>page</title><script>{os.environ['SCRIPT']}</script>"


@app.get("/stream-url")
def stream_url():
    return sse.url_for("news", expires_in=1)
