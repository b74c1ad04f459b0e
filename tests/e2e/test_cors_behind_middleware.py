"""Chromium reads what middleware of an ASGI application answers, from the first request on."""

import sys

from browser import chromium
from servers import serving

UVICORN = [
    sys.executable, "-m", "uvicorn", "guarded_asgi:app", "--port", "{port}",
    "--no-access-log", "--lifespan", "off",
]  # fmt: skip
READ = """([url, headers]) => fetch(url, {headers}).then(
    async (answer) => [answer.status, await answer.text()], (error) => [0, String(error)])"""


def test_answers_of_middleware(tmp_path):
    """A 500, a 401 after a preflight without credentials, and what the application sends."""
    with serving(UVICORN, tmp_path, ready="/page") as server, chromium() as browser:
        page = browser.new_page()
        page.goto(f"http://localhost:{server.port}/page")
        api = f"http://127.0.0.1:{server.port}"

        # The first exception of this process.
        crash = page.evaluate(READ, [f"{api}/crash", {}])
        wrong = page.evaluate(READ, [f"{api}/data", {"Authorization": "wrong"}])
        right = page.evaluate(READ, [f"{api}/data", {"Authorization": "secret"}])

    assert crash == [500, "Internal Server Error"]
    assert wrong == [401, "log in first"]
    assert right == [200, "data"]
