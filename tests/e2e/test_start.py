"""The page that leads to production: its files on the servers that it names, in Chromium."""

import contextlib
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from pages import write_files
from proxies import recipe
from redises import RedisServer
from servers import gunicorn, serving, uvicorn, werkzeug

# The command line for development, and the file of the application.
DEVELOPMENT = {
    "flask": (werkzeug("app", "--debug"), "app.py"),
    "fastapi": (uvicorn("fast:app", "--reload", "--reload-dir", "{folder}"), "fast.py"),
}


@contextlib.contextmanager
def started(command, folder, **env):
    """Serve an application of the page, whose files are in a folder."""
    command = [part.replace("{folder}", str(folder)) for part in command]
    with serving(command, folder, folder=folder, env=env, ready="/") as server:
        server.url = f"http://127.0.0.1:{server.port}"
        yield server


@pytest.fixture
def folder(tmp_path):
    """The files of the page."""
    return write_files("start.md", tmp_path)


@pytest.mark.parametrize("name", DEVELOPMENT)
def test_development(folder, browser, name):
    """The first event; and a file that is saved restarts the server, not the page."""
    command, file = DEVELOPMENT[name]
    with (
        started(command, folder) as server,
        contextlib.closing(browser.new_page()) as page,
    ):
        items = page.locator("li")
        with page.expect_response("**/stream"):
            page.goto(server.url)
        page.click("button")
        expect(items).to_have_text(["Hello!"])

        text = (folder / file).read_text()
        with page.expect_response("**/stream", timeout=20_000):
            (folder / file).write_text(text.replace("Hello!", "Hello again!"))
        page.click("button")
        expect(items).to_have_text(["Hello!", "Hello again!"])


def test_several_workers(folder, browser):
    """Pages of any worker get what any worker and a script publish; more if they ask for it."""
    command = gunicorn("app:app", "--workers", "2")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(started(command, folder))
        pages = [
            stack.enter_context(contextlib.closing(browser.new_page())) for _ in range(3)
        ]
        for page in pages:
            with page.expect_response("**/stream"):
                page.goto(server.url)
        url = f"sqlite:///{folder}/instance/heliograph.sqlite3"
        subprocess.run([sys.executable, "say.py", url], cwd=folder, check=True)
        for page in pages:
            expect(page.locator("li")).to_have_text(["Hello from a script!"])
        pages[0].click("button")
        for page in pages:
            expect(page.locator("li")).to_have_text(["Hello from a script!", "Hello!"])
        for start, expected in (("start", 2), ("20", 2), ("1", 1)):
            with server.stream(f"/stream?start={start}") as stream:
                assert len(stream.wait(expected)) == expected


def test_production(folder, browser):
    """Behind nginx, with Redis: who is logged in gets what is theirs, and nobody else."""
    redis_server = RedisServer(folder / "redis")
    env = {"FLASK_SECRET_KEY": "a secret", "FLASK_SSE_URL": redis_server.url}
    command = gunicorn("production:app", "--workers", "2")
    with contextlib.ExitStack() as stack:
        stack.callback(redis_server.kill)
        server = stack.enter_context(started(command, folder, **env))
        upstream = f"127.0.0.1:{server.port}"
        proxy = stack.enter_context(recipe("nginx", folder, upstream))
        context = browser.new_context(ignore_https_errors=True)
        stack.enter_context(contextlib.closing(context))
        page = context.new_page()
        for path, status in (("/events", 401), ("/stream?channel=news", 403)):
            assert context.request.get(proxy.url + path).status == status
        context.request.post(f"{proxy.url}/login/ann")
        with page.expect_response("**/events") as response:
            page.goto(proxy.url)
        assert response.value.status == 200
        for user in ("bob", "ann"):
            assert server.get(f"/hello/{user}", "POST").status == 204
        expect(page.locator("li")).to_have_text(["Hello, ann!"])
