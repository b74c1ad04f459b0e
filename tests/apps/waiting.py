"""An application in waitress, which has no access log of its own."""

import os
import sys
from importlib import import_module

import waitress

module, _, name = sys.argv[1].partition(":")
app = getattr(import_module(module), name)


def logged(environ, start_response):
    query = environ["QUERY_STRING"]
    # In one piece, since other threads write as well.
    line = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {query}\n"
    os.write(1, line.encode())
    return app(environ, start_response)


place = sys.argv[2]
place = (
    {"host": "127.0.0.1", "port": int(place)}
    if place.isdecimal()
    else {"unix_socket": place}
)
ahead = int(sys.argv[3]) if len(sys.argv) > 3 else 0
waitress.serve(logged, threads=4, channel_request_lookahead=ahead, **place)
