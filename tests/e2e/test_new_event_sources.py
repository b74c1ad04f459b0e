"""A page that creates a new EventSource, with the lines of the documentation, in Chromium."""

import re
from pathlib import Path

import pytest

from heliograph import Event, HubConfig
from heliograph.hub import HubThread
from servers import gunicorn, serving, subscribers, until

PAGE = Path(__file__).parent.parent.parent / "docs" / "channels.md"

# What the lines call. The page keeps what it shows where it keeps the id.
SHOWN = """
const stored = (name) => JSON.parse(sessionStorage.getItem(name) ?? "[]")
const add = (name, value) =>
    sessionStorage.setItem(name, JSON.stringify([...stored(name), value]))
const show = (data) => add("shown", data)
const refresh = (event) => add("refreshed", event ? event.type : "start")
"""


def documented():
    """The function and the call, as they stand in the documentation."""
    blocks = re.findall(r"```js\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (function,) = [block for block in blocks if "function listen(" in block]
    (call,) = [block for block in blocks if re.search("^listen\\(", block, re.MULTILINE)]
    return function + call


class Visit:
    """A page at a server, and a publisher in another process than the server's."""

    def __init__(self, server, page, history):
        self.server, self.page = server, page
        self.elsewhere = HubThread(server.storage, HubConfig(history_events=history))
        self.published = []

    def publish(self, count=1):
        for _ in range(count):
            data = str(len(self.published))
            # Events without a type, and typed ones.
            kind = "price" if len(self.published) % 2 else None
            self.elsewhere.publish(["news"], Event(data, type=kind))
            self.published.append(data)

    def open(self):
        self.page.goto(f"http://127.0.0.1:{self.server.port}/page")
        until(lambda: subscribers(self.server) == 1)
        self.page.wait_for_function("sessionStorage.getItem('news') !== null")

    def leave(self):
        self.page.goto("about:blank")
        until(lambda: subscribers(self.server) == 0)

    def urls(self):
        """How many signed URLs the page was given."""
        return len(re.findall(r"GET /stream-url \S+ 200", self.server.log_text()))

    def refreshed(self):
        return self.page.evaluate("stored('refreshed')")

    def shown(self, last):
        self.page.wait_for_function(
            "(last) => stored('shown').at(-1) === last", arg=last, timeout=20_000
        )
        return self.page.evaluate("stored('shown')")


@pytest.fixture
def history():
    """How many events are kept."""
    return 10_000


@pytest.fixture
def visit(tmp_path, browser, history):
    env = {
        "APP_SSE_PRIVATE": "true",
        "APP_SSE_RETRY_MS": "0",
        "APP_SSE_HISTORY_EVENTS": str(history),
        "APP_SSE_LOG_EVENTS": str(history),
        "SCRIPT": SHOWN + documented(),
    }
    command = gunicorn("renewing:app", "--worker-class", "gthread", "--threads", "4")
    with serving(command, tmp_path, env=env) as server:
        context = browser.new_context()
        visit = Visit(server, context.new_page(), history)
        yield visit
        context.close()
        visit.elsewhere.close()


def test_a_page_that_begins_again_misses_nothing(visit):
    """Away before its first event, with new URLs, without the server's answer, reloaded."""
    visit.open()
    visit.leave()
    visit.publish(3)
    visit.open()
    assert visit.shown("2") == ["0", "1", "2"]

    # The URL has expired, and so has its token: 403 closes the EventSource for good.
    visit.page.route("**/stream-url", lambda route: route.abort(), times=1)
    urls = visit.urls()
    while visit.urls() == urls:
        visit.publish()
        visit.page.title()  # routes are answered while Playwright is asked for something

    visit.page.reload(wait_until="commit")
    visit.publish(20)
    visit.page.reload(wait_until="commit")
    visit.publish(20)

    assert visit.shown(visit.published[-1]) == visit.published
    assert visit.refreshed() == ["start"]


@pytest.mark.parametrize("history", [3])
def test_a_page_that_was_away_too_long(visit):
    """It is told to fetch its state, and gets what is still there."""
    visit.open()
    visit.leave()
    visit.publish(10)
    visit.open()

    assert visit.shown("9") == ["7", "8", "9"]
    assert visit.refreshed() == ["start", "heliograph.gap"]
