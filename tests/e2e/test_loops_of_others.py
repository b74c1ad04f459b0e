"""Asynchronous views and other event loops of an application, beside its streams."""

import threading

import pytest

from servers import TAKEN_OVER, environment_of, publish, serving, uwsgi, werkzeug

# In the first one threads are threads; in the others they are greenlets.
SERVERS = {
    name: [part.replace("plain:app", "async_views:app") for part in TAKEN_OVER[name]]
    for name in [
        "gunicorn-gthread", "gunicorn-gevent", "gevent-pywsgi", "gunicorn-eventlet", "eventlet",
    ]
} | {
    "uwsgi-gevent": [
        part
        for part in uwsgi(
            "async_views:app", "--http-socket", "127.0.0.1:{port}", "--gevent", "20",
            "--gevent-early-monkey-patch",
        )
        if part not in {"--threads", "4"}
    ],
    "werkzeug-patched": werkzeug("patched_async_views"),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVERS)
def test_loops_of_others(name, tmp_path):
    """They run before the hub's first call, within it and after it, as often as they like."""
    with serving(SERVERS[name], tmp_path, env=environment_of(name)) as server:
        loops = ["/view", "/run", "/anyio"]

        def run_all(paths):
            return [server.get(path).text for path in paths]

        assert run_all(loops) == ["done"] * 3
        # The hub is opened from within a loop of the application's.
        json = {"Content-Type": "application/json"}
        first = server.get("/publishing-view", "POST", json, '"0"')
        assert first.status == 200, server.log_text()
        assert run_all(loops) == ["done"] * 3
        with server.stream(last_event_id=first.text) as stream:
            published = threading.Thread(
                target=lambda: [publish(server, str(n)) for n in range(1, 20)]
            )
            published.start()
            assert run_all(loops * 5) == ["done"] * 15
            published.join()
            assert run_all(["/nested", *loops]) == ["done"] * 4
            last = server.get("/publishing-view", "POST", json, '"20"')
            assert last.status == 200, server.log_text()
            events = stream.wait(20)
        assert [event.data for event in events] == [str(n) for n in range(1, 21)]
    assert "Traceback" not in server.log_text()
