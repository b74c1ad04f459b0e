"""The demo's API: what it accepts, and whose pages may read it."""

import pytest

from heliograph.demo.api import create_app

ORIGINS = ("http://127.0.0.1:8000", "http://localhost:8000")


@pytest.fixture
def client(tmp_path):
    app = create_app(ORIGINS[0], str(tmp_path))
    yield app.test_client()
    app.extensions["heliograph"].hub.close()


# Path, body, status.
REQUESTS = [
    ("/cut", "page=%0a", 400),
    ("/cut", "page=" + "x" * 300, 400),
    ("/cut", "", 400),
    ("/cut", "page=1", 200),
    ("/say", "text=", 400),
    ("/say", "text=" + "x" * 201, 400),
    ("/say", "text=x", 200),
    ("/nothing", "", 404),
]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("path", "body", "status"), REQUESTS)
def test_requests(client, path, body, status, origin):
    """Bad input gets a clear 4xx, which the page may read under either name."""
    answer = client.post(
        path,
        data=body,
        content_type="application/x-www-form-urlencoded",
        headers={"Origin": origin},
    )

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == origin


def test_other_origins(client):
    """Pages of other origins may read nothing."""
    answer = client.get("/ready", headers={"Origin": "http://127.0.0.1:8001"})

    assert answer.text == "yes"
    assert "Access-Control-Allow-Origin" not in answer.headers
