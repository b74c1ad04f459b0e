"""The README's programs, in a browser."""

import contextlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from servers import serving, uvicorn, werkzeug

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
FLASK, FASTAPI = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(PAGE,) = re.findall(r"```html\n(.*?)```", README, re.DOTALL)

PROGRAMS = {
    "flask": (FLASK, werkzeug("app")),
    "fastapi": (FASTAPI, uvicorn("app:app")),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_readme_in_a_browser(tmp_path, browser, name):
    """Each example of the README, as it stands there, does what it says."""
    program, command = PROGRAMS[name]
    (tmp_path / "app.py").write_text(program)
    (tmp_path / "static").mkdir()
    (tmp_path / "static/page.html").write_text(PAGE)
    with (
        serving(command, tmp_path, folder=tmp_path, ready="/") as server,
        contextlib.closing(browser.new_page()) as page,
    ):
        with page.expect_response("**/stream"):
            page.goto(f"http://127.0.0.1:{server.port}/")
        server.get("/hello", "POST")
        expect(page.locator("#out")).to_have_text("Hello!")
