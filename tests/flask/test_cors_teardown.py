"""The hooks of a request run all or not at all: a preflight that is answered has none."""

import contextlib

import pytest
from flask.sessions import SecureCookieSessionInterface

from cors_pages import EVIL, A, ask, make_app, preflight
from flask import request_finished, request_started, request_tearing_down
from heliograph.flask import CORS

SIGNALS = (request_started, request_finished, request_tearing_down)


@pytest.fixture
def counted():
    """An application, and the hooks and signals of each request in their order."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    seen = []
    with contextlib.ExitStack() as connected:
        for signal in SIGNALS:

            def note(sender, name=signal.name, **_):
                seen.append(name)

            connected.enter_context(signal.connected_to(note, sender=app))
        # Returning None, they let the request pass.
        app.before_request(lambda: seen.append("before"))
        app.after_request(lambda response: seen.append("after") or response)
        app.teardown_request(lambda error: seen.append("teardown"))
        app.teardown_appcontext(lambda error: seen.append("appcontext"))
        yield app, seen


ALL_HOOKS = [
    "request-started", "before", "after", "request-finished", "teardown",
    "request-tearing-down", "appcontext",
]  # fmt: skip


def test_hooks_run_all_or_not_at_all(counted):
    """Those of a request run for no preflight that is answered, and for all others."""
    app, seen = counted
    CORS(app, origins=A, resources="/api/*")

    for origin, status in ((A, 204), (EVIL, 403)):
        assert preflight(app, "/api/x", origin).status_code == status
        assert seen == ["appcontext"]
        seen.clear()
    for asked, path, origin in (
        (preflight, "/x", A), (ask, "/api/x", A), (ask, "/api/x", EVIL)
    ):  # fmt: skip
        assert asked(app, path, origin).status_code == 200
        assert seen == ALL_HOOKS
        seen.clear()
    # Such a client pushes the context of the request once more, and pops it.
    with app.test_client() as client:
        client.options(
            "/api/x", headers={"Origin": A, "Access-Control-Request-Method": "PUT"}
        )
    assert set(seen) == {"appcontext"}


@pytest.mark.parametrize("asked", [ask, preflight])
def test_hooks_of_a_request_that_cannot_be_decided(counted, asked):
    """Nothing is closed that ``before_request`` has not opened."""
    app, seen = counted

    def fail(origin, request):
        raise LookupError("no tenants today")

    CORS(app, origins=fail)

    assert asked(app).status_code == 500
    assert {"before", "teardown", "request-tearing-down"}.isdisjoint(seen)


def test_hooks_of_a_session_that_fails(counted):
    """What fails before CORS is torn down as Flask does it."""
    app, seen = counted
    CORS(app, origins=A)

    class Failing(SecureCookieSessionInterface):
        def open_session(self, app, request):
            raise LookupError("no sessions today")

    app.session_interface = Failing()

    assert ask(app).status_code == 500
    assert "teardown" in seen
