"""An application whose hooks, response class and middleware do to responses what they can."""

import gzip
import os
from pathlib import Path

from flask_compress import Compress
from plain import app
from webob import Request as WebObRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from flask import Response, request
from heliograph.flask import sse


class OwnResponse(Response):
    """As recipes have it: with a constructor that expects text."""

    default_mimetype = "application/json"

    def __init__(self, response=None, **options):
        if response is not None and response.startswith("<"):
            options["mimetype"] = "text/html"
        super().__init__(response, **options)


app.response_class = OwnResponse
app.config["COMPRESS_MIMETYPES"] = ["text/event-stream"]
app.config["COMPRESS_MIN_SIZE"] = 0


@app.after_request
def validate(response):
    if request.args.get("hook") == "validate":
        response.headers["Content-MD5"] = response.headers["Digest"] = "of nothing"
        response.add_etag()
        response.last_modified = 0
        response.make_conditional(request, accept_ranges=True)
    return response


@app.after_request
def compress(response):
    if request.args.get("hook") == "compress":
        response.set_data(gzip.compress(response.get_data()))
        response.headers["Content-Encoding"] = "gzip"
    return response


@app.after_request
def copy(response):
    if request.args.get("hook") == "copy":
        return Response(response.get_data(), response.status, response.headers)
    return response


Compress(app)


def note(what):
    """Write to a file what tests look at when the server has ended."""
    with Path(os.environ["INSTANCE"] + "-present").open("a") as file:
        file.write(what)


@app.get("/present")
def present():
    response = sse.stream()
    response.call_on_close(lambda: note("-"))
    note("+")
    return response


inner = app.wsgi_app


def webob(environ, start_response):
    """Return the application's response with a header that was added afterwards."""
    response = WebObRequest(environ).get_response(inner)
    response.headers["X-Middleware"] = "added"
    return response(environ, start_response)


def werkzeug(environ, start_response):
    response = WerkzeugResponse.from_app(inner, environ)
    response.headers["X-Middleware"] = "added"
    return response(environ, start_response)


def iterated(environ, start_response):
    """Start when the server asks for the first bytes, as a generator does."""
    headers = [("X-Middleware", "added")]
    yield from inner(
        environ,
        lambda status, lines, *more: start_response(status, lines + headers, *more),
    )


class Changed:
    """A body of which each block is changed."""

    def __init__(self, body):
        self.body = body

    def __iter__(self):
        return (b": changed\n" + block for block in self.body)

    def close(self):
        if hasattr(self.body, "close"):
            self.body.close()


def changing(environ, start_response):
    return Changed(inner(environ, start_response))


WRAPPERS = {each.__name__: each for each in (webob, werkzeug, iterated, changing)}


def middleware(environ, start_response):
    wrapper = WRAPPERS.get(
        environ.get("QUERY_STRING", "").partition("middleware=")[2], inner
    )
    return wrapper(environ, start_response)


app.wsgi_app = middleware
