"""Pages of Chromium on a stream that a view answers with, to the end of its channel."""

import json

import pytest

import fetched
from servers import NO_TAKE_OVER, TAKEN_OVER, publish, serving, subscribers, until

OPTIONS = {"APP_SSE_RETRY_MS": "100"}

EVENT_SOURCE = """() => {
    window.got = []
    window.source = new EventSource("/ask?channel=job")
    source.onmessage = (event) => got.push(event.data)
    source.addEventListener("heliograph.end", () => got.push("the end"))
    source.onopen = () => { window.isOpen = true }
    window.hasStopped = () => source.readyState === EventSource.CLOSED
}"""

# What fetch-event-source imports, without the endings of its files.
MODULES = "/modules/@microsoft/fetch-event-source/lib/esm"
PAGE = f"""<!doctype html>
<script type="importmap">
  {{"imports": {{"{MODULES}/fetch": "{MODULES}/fetch.js", "{MODULES}/parse": "{MODULES}/parse.js"}}}}
</script>
<script type="module">
  import {{ fetchEventSource }} from "{MODULES}/index.js"
  window.fetchEventSource = fetchEventSource
</script>"""

POST = """() => {
    class HasEnded extends Error {}
    window.got = []
    window.stopped = false
    window.hasStopped = () => stopped
    fetchEventSource("/ask?channel=job", {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({question: "what is new?"}),
        openWhenHidden: true,
        async onopen(response) {
            if (response.status === 204) throw new HasEnded()
            window.isOpen = true
            got.push(`read ${response.headers.get("X-Body")}`)
        },
        onmessage(message) {
            if (message.event === "heliograph.end") got.push("the end")
            else if (message.event === "") got.push(message.data)
        },
        onclose() { throw new Error("the stream has ended: reconnect") },
        onerror(error) { if (error instanceof HasEnded) throw error },
    }).catch(() => { stopped = true })
}"""

CLIENTS = {
    "event-source": (EVENT_SOURCE, []),
    "fetch-event-source": (POST, ["read 27"]),
}


def requests(server):
    return len(json.loads(server.get("/left").text)["asked"])


@pytest.mark.parametrize("takes_over", [True, False])
@pytest.mark.parametrize("client", CLIENTS)
def test_it_stops_for_good(tmp_path, browser, client, takes_over):
    """After the end it asks once more, is told that there is nothing, and asks no more."""
    listen, first = CLIENTS[client]
    fetched.modules(tmp_path / "modules")
    env = OPTIONS if takes_over else OPTIONS | NO_TAKE_OVER
    with serving(TAKEN_OVER["gunicorn-gthread"], tmp_path, env=env) as server:
        page = browser.new_page()
        page.route(
            "**/page", lambda route: route.fulfill(body=PAGE, content_type="text/html")
        )
        page.route(
            "**/modules/**",
            lambda route: route.fulfill(
                path=tmp_path / route.request.url.split("/", 3)[3],
                content_type="text/javascript",
            ),
        )
        page.goto(f"http://127.0.0.1:{server.port}/page")
        page.wait_for_function("!!window.fetchEventSource")
        page.evaluate(listen)
        # What is published from then on is in the stream.
        page.wait_for_function("window.isOpen")
        publish(server, "50 %", "job")
        page.wait_for_function(f"got.length === {1 + len(first)}")

        # It resumes whatever ends but the channel.
        assert server.get("/disconnect?channel=job", "POST").status == 200
        until(lambda: requests(server) == 2 and subscribers(server) == 1)
        assert server.get("/end?channel=job", "POST").status == 200

        page.wait_for_function("hasStopped()")
        assert requests(server) == 3
        expected = [*first, "50 %", *first, "over", "the end"]
        assert page.evaluate("got") == expected
        # A page that is opened now has missed nothing.
        page.evaluate(listen)
        page.wait_for_function("hasStopped()")
        assert page.evaluate("got") == []
        assert requests(server) == 4
        assert subscribers(server) == 0
        page.close()
