"""A page of Chromium whose stream is refused because there is no room."""

import json

import pytest

from servers import TAKEN_OVER, publish, serving, subscribers, until

LIMITS = {"APP_SSE_MAX_SUBSCRIBERS": "1", "APP_SSE_RETRY_AFTER_SECONDS": "0"}

LISTEN = """() => {
    window.got = []
    window.states = []
    window.source = new EventSource("/stream")
    source.onmessage = (event) => got.push(event.data)
    source.onerror = () => states.push(source.readyState)
}"""


def refused(server):
    return json.loads(server.get("/statistics").text)["refused"]


@pytest.mark.parametrize("name", ["gunicorn-gthread", "uvicorn-h11"])
def test_a_page_lives_through_refusals(tmp_path, browser, name):
    """It tries again until there is room, and then resumes after its last event."""
    with serving(TAKEN_OVER[name], tmp_path, env=LIMITS) as server:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/ping")
        page.evaluate(LISTEN)
        # Before that, it has a slot but perhaps no position yet.
        page.wait_for_function("source.readyState === 1")
        publish(server, "before")
        page.wait_for_function("got.length === 1")

        # Whoever takes the slot before the page is back keeps it away.
        server.get("/disconnect?channel=sse", "POST")
        until(lambda: subscribers(server) == 0)
        with server.stream() as held:
            held.placed()
            until(lambda: refused(server) >= 2)
            publish(server, "meanwhile")
        page.wait_for_function("got.length === 2")

        publish(server, "after")
        page.wait_for_function("got.length === 3")
        assert page.evaluate("got") == ["before", "meanwhile", "after"]
        states = page.evaluate("states")
        # It was never closed, and each refusal was a connection that had ended.
        assert len(states) >= 3
        assert set(states) == {0}
        page.close()


def test_a_status_is_the_end_of_an_event_source(tmp_path, browser):
    """The page of an application that has asked for it is told, and has to act itself."""
    env = LIMITS | {"APP_SSE_REFUSE_WITH_STATUS": "true"}
    with serving(TAKEN_OVER["gunicorn-gthread"], tmp_path, env=env) as server:
        with server.stream() as held:
            held.placed()
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.port}/ping")
            page.evaluate(LISTEN)
            page.wait_for_function("states.length === 1")
            assert page.evaluate("[states[0], source.readyState]") == [2, 2]
            page.close()
        assert refused(server) == 1
