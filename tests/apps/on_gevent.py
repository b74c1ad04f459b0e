"""An application in gevent's own server, with or without ``monkey``, with or without TLS."""

import sys

from gevent import monkey

if "--not-patched" not in sys.argv:
    monkey.patch_all()

import argparse
import signal
import socket
from importlib import import_module

import gevent
from gevent.pywsgi import WSGIServer

parser = argparse.ArgumentParser()
parser.add_argument("app")
parser.add_argument("place")
parser.add_argument("--not-patched", action="store_true")
parser.add_argument("--certfile")
parser.add_argument("--keyfile")
options = parser.parse_args()

module, _, name = options.app.partition(":")
app = getattr(import_module(module), name)
if options.place.isdecimal():
    listener = ("127.0.0.1", int(options.place))
else:
    listener = gevent.socket.socket(socket.AF_UNIX)
    listener.bind(options.place)
    listener.listen(256)
tls = {"certfile": options.certfile, "keyfile": options.keyfile} if options.certfile else {}
server = WSGIServer(listener, app, **tls)
gevent.signal_handler(signal.SIGTERM, server.stop)
server.serve_forever()
