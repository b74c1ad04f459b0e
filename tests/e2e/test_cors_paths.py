"""Paths as real servers pass them on, which is not as browsers write them."""

import pytest

from servers import gunicorn, serving, werkzeug

PAGE = "https://page.example:8443"
SERVERS = {"gunicorn": gunicorn("cors_flask:app"), "werkzeug": werkzeug("cors_flask")}

PATHS = {
    "/exact/echo": True,
    "/exact%2Fecho": True,
    "/exact/./echo": True,
    "/%65xact/nothing": True,
    "/exact/../nobody/echo": False,
    "/exact/%2e%2e/nobody/echo": False,
    "/exact/..%2fnobody/echo": False,
    "/nobody/../exact/echo": False,
    "/exact%252Fecho": False,
    "/Exact/echo": False,
    "/exactly/echo": False,
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    """Each decodes, and none resolves dots."""
    folder = tmp_path_factory.mktemp(request.param)
    with serving(SERVERS[request.param], folder, env={"PAGE": PAGE}) as server:
        yield server


@pytest.mark.parametrize(("path", "is_granted"), PATHS.items())
def test_paths(server, path, is_granted):
    """What two would read differently is granted nothing, whatever is there."""
    answer = server.get(path, headers={"Origin": PAGE})
    preflight = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    asked = server.get(path, "OPTIONS", preflight)

    # A hook that closes what another has opened is not called alone.
    assert asked.status == (204 if is_granted else 401)
    for one in (answer, asked):
        granted = one.getheader("Access-Control-Allow-Origin")
        assert granted == (PAGE if is_granted else None)
