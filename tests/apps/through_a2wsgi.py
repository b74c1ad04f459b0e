"""The application of ``plain.py`` under an ASGI server."""

import os

import plain
from a2wsgi import WSGIMiddleware

app = WSGIMiddleware(plain.app, workers=int(os.environ.get("WORKERS", "10")))
