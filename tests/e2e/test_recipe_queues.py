"""The recipe of a progress bar: its jobs in Celery and RQ, its page in Chromium."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from pages import write_files
from redises import RedisServer
from servers import serving, werkzeug

# Instead of the work: a part is done when the test says so.
WORK = """
import pathlib
import time


def do_part(part):
    here = pathlib.Path(__file__).parent
    while not (here / f"do-{part}").exists():
        time.sleep(0.01)
    if (here / "fail").exists():
        raise ValueError
"""

# The module with the queue, and the command line of its worker.
QUEUES = {
    "celery": ["celery", "-A", "celery_queue", "worker", "--concurrency", "1"],
    "rq": ["rq.cli", "worker", "--url", "{url}"],
}


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    """A Redis for the jobs and for the events."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@contextlib.contextmanager
def working(command, folder, env):
    """Run a worker, with a log of its own."""
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=env, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()


@pytest.mark.parametrize("queue", QUEUES)
def test_progress(tmp_path, browser, redis_server, queue):
    """A page that is reloaded shows how far the job is, and at last that it has ended."""
    write_files("recipes/progress.md", tmp_path)
    (tmp_path / "work.py").write_text(WORK)
    app = tmp_path / "app.py"
    app.write_text(app.read_text().replace("celery_queue", f"{queue}_queue"))
    env = {"REDIS_URL": redis_server.url}
    command = [part.format(url=redis_server.url) for part in QUEUES[queue]]
    with (
        working(command, tmp_path, {**os.environ, **env}),
        serving(
            werkzeug("impatient:app"), tmp_path, folder=tmp_path, env=env, ready="/"
        ) as server,
        contextlib.closing(browser.new_page()) as page,
    ):
        statuses = []
        page.on(
            "response",
            lambda one: one.url.endswith("/events") and statuses.append(one.status),
        )
        state, bar = page.locator("#state"), page.locator("#bar")

        def do(*parts):
            for part in parts:
                (tmp_path / f"do-{part}").touch()

        def until_it_has_stopped():
            page.wait_for_function("source.readyState === EventSource.CLOSED")
            assert statuses == [200, 204]
            statuses.clear()

        page.goto(f"http://127.0.0.1:{server.port}")
        page.click("button")
        expect(state).to_have_text("0 %")
        do(0, 1, 2)
        expect(state).to_have_text("30 %")
        page.reload()
        expect(state).to_have_text("30 %")
        expect(bar).to_have_js_property("value", 30)
        statuses.clear()
        page.reload()
        expect(state).to_have_text("30 %")
        do(*range(3, 10))
        expect(state).to_have_text("100 %")
        until_it_has_stopped()
        page.reload()
        expect(state).to_have_text("100 %")
        expect(bar).to_have_js_property("value", 100)
        until_it_has_stopped()

        (tmp_path / "fail").touch()
        page.goto(f"http://127.0.0.1:{server.port}")
        page.click("button")
        expect(state).to_have_text("The export failed.")
        unknown = page.goto(f"http://127.0.0.1:{server.port}/jobs/unknown")
        assert unknown.status == 404
