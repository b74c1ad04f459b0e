"""What several tests of browsers use."""

import pytest


@pytest.fixture(scope="module")
def browser():
    """A browser whose pages share nothing: each has a profile of its own."""
    # Imported here: the tests with the oldest releases run without Playwright.
    from browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=["flask", "asgi"])
def api(request, tmp_path_factory):
    """The same API, with CORS, in two frameworks."""
    from cors_api import serving_api

    with serving_api(request.param, tmp_path_factory.mktemp("api")) as api:
        api.name = request.param
        yield api
