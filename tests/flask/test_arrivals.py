"""Permissions that are withdrawn while an application looks at a request."""

import time

import pytest
from flask.sessions import SecureCookieSessionInterface

from flask import abort
from flask_apps import Reader, make_app
from heliograph.flask import SSE


def test_disconnect_while_a_client_is_authorised(app, stream):
    """What it was authorised by is no longer true, so it has to come again."""
    revoked = []

    @app.sse.authorizer
    def authorize(channels):
        if not revoked:
            revoked.append(channels)
            app.sse.disconnect("a")

    assert Reader(app.test_client().get("/stream?channel=a")).rest() == []
    assert app.sse.statistics().subscribers == 0
    stream("/stream?channel=a")


WITHDRAWN = [
    "before_request",
    "blueprint",
    "url_value_preprocessor",
    "session",
    "middleware",
]


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("where", WITHDRAWN)
def test_a_permission_is_withdrawn_when_a_hook_has_looked_at_it(tmp_path, where, is_first):
    """Whatever let the client in, and even if nothing has used the streams before."""
    permitted, extension = {"a"}, SSE()

    def look():
        if "a" not in permitted:
            abort(403)
        # Somebody else, in that moment.
        permitted.clear()
        extension.disconnect("a")

    class Sessions(SecureCookieSessionInterface):
        def open_session(self, app, request):
            look()
            return super().open_session(app, request)

    if where == "blueprint":
        extension.before_request(look)
    app = make_app(tmp_path, extension)
    if where == "before_request":
        app.before_request(look)
    elif where == "url_value_preprocessor":
        app.url_value_preprocessor(lambda endpoint, values: look())
    elif where == "session":
        app.session_interface = Sessions()
    elif where == "middleware":
        wsgi_app = app.wsgi_app

        def middleware(environ, start_response):
            environ["heliograph.arrived"] = time.monotonic_ns()
            with app.app_context():
                look()
            return wsgi_app(environ, start_response)

        app.wsgi_app = middleware
    if not is_first:
        extension.publish("earlier", channel="b")

    try:
        assert Reader(app.test_client().get("/stream?channel=a")).rest() == []
        assert extension.statistics().subscribers == 0
    finally:
        app.extensions["heliograph"].hub.close()
