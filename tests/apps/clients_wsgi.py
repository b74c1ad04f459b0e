"""The application of ``plain.py`` with the pages of clients, and events that have a type."""

import os

from plain import app, sse

from flask import request, send_from_directory


@app.get("/<any(pages, modules):folder>/<path:path>")
def file(folder, path):
    return send_from_directory(f"{os.environ['PAGES']}/{folder}", path)


@app.post("/send")
def send():
    return sse.publish(
        request.get_data(as_text=True),
        request.args.get("type"),
        channel=request.args["channel"],
    )
