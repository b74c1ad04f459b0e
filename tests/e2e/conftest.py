"""What several tests of browsers use."""

import pytest

# In the module's namespace, by which tests are told that need a server: markers.py.
try:
    from browser import chromium
    from cors_api import COMMANDS, serving_api
except ModuleNotFoundError:
    COMMANDS = ()  # the tests that run with the oldest releases have no browser


@pytest.fixture(scope="module")
def browser():
    """A browser whose pages share nothing: each has a profile of its own."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=COMMANDS)
def api(request, tmp_path_factory):
    """The same API, with CORS, in two frameworks."""
    with serving_api(request.param, tmp_path_factory.mktemp("api")) as api:
        api.name = request.param
        yield api
