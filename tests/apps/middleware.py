"""An application behind middleware that adds a header."""

from plain import app

inner = app.wsgi_app


def middleware(environ, start_response):
    def start(status, headers, exc_info=None):
        return start_response(status, [*headers, ("X-Middleware", "added")], exc_info)

    return inner(environ, start)


app.wsgi_app = middleware
