"""An application that loads something for each request, and counts what is still held."""

import gc

from plain import app

from flask import g, request


class Loaded:
    """What a request needs, and nothing else should keep."""


@app.before_request
def load():
    if request.path != "/loaded":
        g.loaded = Loaded()


@app.get("/loaded")
def loaded():
    gc.collect()
    return str(sum(isinstance(thing, Loaded) for thing in gc.get_objects()))
