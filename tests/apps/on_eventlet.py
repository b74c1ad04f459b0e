"""An application in eventlet's own server."""

# ruff: noqa: E402 - nothing is imported before it is patched

import eventlet

eventlet.monkey_patch()

import argparse
import contextlib
import signal
import socket
import sys
from importlib import import_module

from eventlet import wsgi
from greenlet import GreenletExit

parser = argparse.ArgumentParser()
parser.add_argument("app")
parser.add_argument("place")
options = parser.parse_args()

module, _, name = options.app.partition(":")
app = getattr(import_module(module), name)
is_port = options.place.isdecimal()
listener = eventlet.listen(
    ("127.0.0.1", int(options.place)) if is_port else options.place,
    family=socket.AF_INET if is_port else socket.AF_UNIX,
    backlog=256,
)
server = eventlet.spawn(wsgi.server, listener, app, log=sys.stderr)
signal.signal(signal.SIGTERM, lambda *_: eventlet.spawn(server.kill))
with contextlib.suppress(GreenletExit):
    server.wait()
