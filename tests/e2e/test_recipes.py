"""The recipes of the documentation: the files as they stand there, and pages in Chromium."""

import concurrent.futures
import contextlib
import json
import re
import shutil
import subprocess
import sys

import pytest
from client_ways import browser_files
from playwright.sync_api import expect

from heliograph import Publisher
from pages import write_files
from servers import gunicorn, serving, uvicorn, werkzeug

# Until it is told, a function of a recipe waits, instead of the time that it takes there.
WAITING = """
import pathlib
import time


def wait_for(name):
    while not (pathlib.Path(__file__).parent / name).exists():
        time.sleep(0.01)
"""


@contextlib.contextmanager
def recipe(page, folder, command=None, *, ready="/", **files):
    """Serve the application of a page, with other texts for some of its modules."""
    write_files(page, folder)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    command = command or werkzeug("impatient:app")
    with serving(command, folder, folder=folder, ready=ready) as server:
        server.url = f"http://127.0.0.1:{server.port}"
        yield server


@pytest.fixture
def context(browser):
    """A profile whose pages have nothing wrong with their scripts."""
    errors = []
    with contextlib.closing(browser.new_context()) as context:
        context.on("weberror", lambda error: errors.append(error.error))
        yield context
    assert errors == []


def test_notifications(tmp_path, browser, context):
    """The unread ones, those between the query and the stream, the next ones; to the logout."""
    page = context.new_page()
    items = page.locator("li")
    with recipe("recipes/notifications.md", tmp_path, ready="/goodbye") as server:

        def notify(text):
            assert server.get("/notify/ann", "POST", body=text).status == 204

        def log_in(page):
            page.goto(f"{server.url}/goodbye")
            page.fill("input", "ann")
            page.click("button")
            expect(page.locator("#state")).to_have_text("live")

        def before_the_stream(route):
            notify("before the stream")
            route.continue_()

        def between_position_and_query(route):
            position = re.compile(r"encodeURIComponent\((.*)\)")
            earlier = position.search(route.fetch().text())[0]
            notify("before the query")
            route.fulfill(body=position.sub(earlier, route.fetch().text()))

        log_in(page)
        notify("unread")
        expect(items).to_have_text(["unread"])
        page.route("**/events?*", before_the_stream, times=1)
        page.reload()
        expect(items).to_have_text(["unread", "before the stream"])
        page.route(f"{server.url}/", between_position_and_query, times=1)
        page.reload()
        notify("live")
        expected = ["unread", "before the stream", "before the query", "live"]
        expect(items).to_have_text(expected)

        # Another tab of the login, and another login of the user.
        tab = context.new_page()
        tab.goto(server.url)
        expect(tab.locator("#state")).to_have_text("live")
        expect(tab.locator("li")).to_have_text(expected)
        other = browser.new_page()
        log_in(other)
        page.click("button")
        expect(tab.locator("#state")).to_have_text("logged out")
        notify("after the logout")
        expect(other.locator("li")).to_have_text([*expected, "after the logout"])
        expect(tab.locator("li")).to_have_text(expected)
        assert context.request.get(f"{server.url}/events").status == 401
        other.close()


VERSIONS = {
    "htmx-2": {"htmx-2.js": "htmx-2/dist/htmx.js", "sse.js": "htmx-ext-sse/sse.js"},
    "htmx-4": {
        "htmx-4.js": "htmx-4/dist/htmx.js",
        "hx-sse.js": "htmx-4/dist/ext/hx-sse.js",
    },
    "datastar": {"datastar.js": "datastar/datastar-core.js"},
}


def test_dashboard(tmp_path, context):
    """Each tile is there when the page is opened, and changes."""
    browser_files(tmp_path / "files")
    (tmp_path / "app/static").mkdir(parents=True)
    for scripts in VERSIONS.values():
        for name, path in scripts.items():
            shutil.copy(tmp_path / "files/modules" / path, tmp_path / "app/static" / name)
    with recipe("recipes/dashboard.md", tmp_path / "app", ready="/htmx-2.html") as server:

        def update(name, value):
            assert server.get(f"/tiles/{name}", "PUT", body=value).status == 204

        update("orders", "11")
        update("visitors", "500")
        update("orders", "12")
        pages = [context.new_page() for _ in VERSIONS]
        for page, version in zip(pages, VERSIONS, strict=True):
            page.goto(f"{server.url}/{version}.html")
            expect(page.locator("#orders")).to_have_text("orders: 12")
            expect(page.locator("#visitors")).to_have_text("visitors: 500")
        update("visitors", "501")
        for page in pages:
            expect(page.locator("#visitors")).to_have_text("visitors: 501")
            expect(page.locator("#orders")).to_have_text("orders: 12")


def test_counter(tmp_path, context):
    """All pages show what all workers have counted."""
    command = gunicorn("app:app", "--workers", "3", "--access-logformat", "%(m)s by %(p)s")
    with recipe("recipes/counter.md", tmp_path, command) as server:
        pages = [context.new_page() for _ in range(4)]
        for page in pages:
            page.goto(server.url)
            page.click("button")
        counts = [page.locator("#count") for page in pages]
        for count in counts:
            expect(count).to_have_text("4")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: server.get("/", "POST").status, range(60)))
        assert answers == [204] * 60
        for count in counts:
            expect(count).to_have_text("64")
        pages[0].reload()
        expect(counts[0]).to_have_text("64")
        pages[1].click("button")
        for count in counts:
            expect(count).to_have_text("65")

        # A worker that has counted before the others, and publishes after them.
        pages[0].evaluate(
            """() => {
                window.shown = []
                const changed = () => shown.push(count.textContent)
                new MutationObserver(changed).observe(count, {childList: true})
            }"""
        )
        with Publisher(server.storage) as publisher:
            publisher.publish({"count": 64}, channel="counter")
        pages[1].click("button")
        expect(counts[0]).to_have_text("66")
        assert pages[0].evaluate("shown") == ["66"]
        assert len(set(re.findall("POST by .*", server.log_text()))) > 1


SAVEPOINTS = """
from app import Session, engine, sse
from publishing import publish_on_commit


def published():
    return [event.data for event in sse.history("articles")]


with Session(engine) as session:
    publish_on_commit(session, "rolled back", channel="articles")
    session.rollback()
    publish_on_commit(session, "outside", channel="articles")
    with session.begin_nested():
        publish_on_commit(session, "in a savepoint", channel="articles")
        inner = session.begin_nested()
        publish_on_commit(session, "rolled back to a savepoint", channel="articles")
        inner.rollback()
    assert not published()
    publish_on_commit(session, "at last", channel="articles")
    session.commit()
assert published() == ["outside", "in a savepoint", "at last"], published()
"""


def test_commit_in_sqlalchemy(tmp_path, context):
    """What is committed is published, once; what is rolled back is not."""
    page = context.new_page()
    with recipe("recipes/commit.md", tmp_path) as server:
        page.goto(server.url)

        def add(title):
            return server.get("/articles", "POST", body=title).status

        assert [add("one"), add("one"), add("two")] == [201, 409, 201]
        expect(page.locator("li")).to_have_text(["one", "two"])
        page.reload()
        expect(page.locator("li")).to_have_text(["one", "two"])
        assert add("three") == 201
        expect(page.locator("li")).to_have_text(["one", "two", "three"])
    shutil.rmtree(tmp_path / "instance")
    command = [sys.executable, "-c", SAVEPOINTS]
    subprocess.run(command, cwd=tmp_path, check=True)


def test_commit_in_django(tmp_path, context):
    """What is committed is published; what is rolled back is not."""
    page = context.new_page()
    with recipe("recipes/commit.md", tmp_path, uvicorn("project:app")) as server:
        page.goto(server.url)

        def add(titles):
            return server.get("/", "POST", body=titles).status

        assert [add("one"), add("two\none"), add("three\nfour")] == [201, 409, 201]
        expect(page.locator("li")).to_have_text(["one", "three", "four"])
        page.reload()
        expect(page.locator("li")).to_have_text(["one", "three", "four"])


def test_fastapi(tmp_path, browser, context):
    """Who is logged in gets what is theirs; OpenAPI describes it."""
    command = uvicorn("app:app")
    with recipe("recipes/fastapi.md", tmp_path, command, ready="/openapi.json") as server:
        assert server.get("/events").status == 401

        def log_in(context, user):
            url = f"{server.url}/login/{user}"
            assert context.request.post(url).status == 204
            page = context.new_page()
            page.goto(server.url)
            return page

        def send(page, to, text):
            page.fill("[name=to]", to)
            page.fill("[name=text]", text)
            page.click("button")

        ann = log_in(context, "ann")
        items = ann.locator("li")
        expect(items).to_have_text(["ann: has logged in"])
        with contextlib.closing(browser.new_context()) as of_bob:
            bob = log_in(of_bob, "bob")
            both = ["ann: has logged in", "bob: has logged in"]
            expect(items).to_have_text(both)
            send(bob, "ann", "to you")
            expect(items).to_have_text([*both, "bob: to you"])
            send(bob, "everyone", "to all")
            expect(items).to_have_text([*both, "bob: to you", "bob: to all"])
            expect(bob.locator("li")).to_have_text([*both, "bob: to all"])

        operation = json.loads(server.get("/openapi.json").text)["paths"]["/events"]["get"]
        ((media_type, content),) = operation["responses"]["200"]["content"].items()
        assert media_type == "text/event-stream"
        data = content["itemSchema"]["properties"]["data"]
        assert "text" in data["contentSchema"]["properties"]


MODEL = f"""{WAITING}

def tokens(question):
    yield from ["It ", "is "]
    wait_for("go")
    yield from ["no\\n", "question"]
    if "fail" in question:
        raise ValueError
"""


def test_tokens(tmp_path, context):
    """An answer is read from its start after a reload, to its end, and to the end of both clients."""
    browser_files(tmp_path / "files")
    modules = tmp_path / "files/modules/@microsoft/fetch-event-source/lib/esm"
    shutil.copytree(modules, tmp_path / "app/static/fetch-event-source")
    page = context.new_page()
    asked = []
    page.on("response", lambda one: "/answers/" in one.url and asked.append(one.status))
    answer, state = page.locator("#answer"), page.locator("#state")

    def ask(question):
        page.fill("input", question)
        page.click("button")

    with recipe("recipes/tokens.md", tmp_path / "app", model=MODEL) as server:
        page.goto(server.url)
        ask("why?")
        expect(answer).to_have_text("It is ")
        page.reload()
        expect(answer).to_have_text("It is ")
        (tmp_path / "app/go").touch()
        expect(answer).to_have_text("It is no question")
        expect(state).to_have_text("complete")
        until_asked(page, asked, [200, 200, 204])
        page.reload()
        expect(answer).to_have_text("It is no question")
        until_asked(page, asked, [200, 200, 204, 200, 204])
        asked.clear()
        ask("why fail?")
        expect(answer).to_have_text("It is no question")
        expect(state).to_have_text("The model has failed.")
        until_asked(page, asked, [200, 204])
        assert "ValueError" in server.log_text()


def until_asked(page, asked, statuses):
    """Wait for the status of each request for a stream, of which the last is the last."""
    while len(asked) < len(statuses):
        page.wait_for_event("response")
    assert asked == statuses
