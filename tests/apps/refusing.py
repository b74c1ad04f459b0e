"""An application behind middleware that does not let the response of a stream begin."""

from plain import app

inner = app.wsgi_app


def middleware(environ, start_response):
    def start(status, headers, exc_info=None):
        if ("Content-Type", "text/event-stream; charset=utf-8") in headers:
            raise ValueError("no streams here")
        return start_response(status, headers, exc_info)

    return inner(environ, start)


app.wsgi_app = middleware
