"""Werkzeug's server with a process for each request."""

import sys

from plain import app
from werkzeug.serving import run_simple

run_simple("127.0.0.1", int(sys.argv[1]), app, processes=8)
