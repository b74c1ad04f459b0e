"""
The demo's API: a Flask application as a user would write it, on an origin of its own.

``python -m heliograph.demo.api PORT PAGE_ORIGIN FOLDER`` serves it until it is killed.
"""

from __future__ import annotations

import logging
import sys

from werkzeug.serving import run_simple

from flask import Flask, abort, request

from ..errors import InvalidFieldError
from ..flask import CORS, sse

__all__ = ["create_app"]

_LONGEST_MESSAGE = 200


def create_app(page_origin: str, folder: str) -> Flask:
    """
    Create the application.

    Args:
        page_origin: The origin of the page that may read its responses.
        folder: The folder for the events. Must exist.

    Returns:
        The application, with streams at ``/stream``.
    """
    app = Flask(__name__, instance_path=folder)
    # Short times: people watch the page while they press its buttons.
    app.config.update(SSE_RETRY_MS=500, SSE_HEARTBEAT_SECONDS=5)
    # The page may be opened by either name of the loopback interface.
    CORS(app, origins=[page_origin, page_origin.replace("127.0.0.1", "localhost")])
    app.register_blueprint(sse, url_prefix="/stream")

    @app.post("/say")
    def say() -> str:
        text = request.form.get("text", "").strip()
        if not 0 < len(text) <= _LONGEST_MESSAGE:
            abort(400, description=f"text: 1 to {_LONGEST_MESSAGE} characters")
        return sse.publish({"text": text}, type="said", channel="chat")

    @app.post("/cut")
    def cut() -> str:
        try:
            sse.disconnect(f"page:{request.form['page']}")
        except InvalidFieldError as error:
            abort(400, description=str(error))
        return ""

    @app.get("/ready")
    def ready() -> str:
        return "yes"

    return app


if __name__ == "__main__":
    # The page shows what happens; a log line per request would hide the page's URL.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _port, _page_origin, _folder = sys.argv[1:]
    run_simple("127.0.0.1", int(_port), create_app(_page_origin, _folder), threaded=True)
