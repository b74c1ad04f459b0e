"""The application in the server of the standard library, which says nothing of connections."""

import logging
import sys
from wsgiref.simple_server import make_server

from plain import app

logging.basicConfig()
with make_server("127.0.0.1", int(sys.argv[1]), app) as server:
    server.serve_forever()
