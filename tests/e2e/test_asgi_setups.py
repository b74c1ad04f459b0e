"""Set-ups of ASGI servers that lose events, or that might not stop."""

import pytest

from servers import (
    granian,
    gunicorn,
    hypercorn,
    publish,
    serving,
    until,
    uvicorn,
)

TWO = ["--workers", "2"]

# The command lines of servers with two processes each. Add a row, not a test.
SEVERAL = {
    "uvicorn": uvicorn("streams:app", *TWO),
    "gunicorn-uvicorn": gunicorn(
        "streams:app", "--worker-class", "uvicorn_worker.UvicornWorker", *TWO
    ),
    "gunicorn-asgi": gunicorn("streams:app", "--worker-class", "asgi", *TWO),
    "hypercorn": hypercorn("streams:app", *TWO),
    "granian": granian(
        "streams:app", "--interface", "asgi", "--workers-kill-timeout", "1", *TWO
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_memory_in_several_processes(tmp_path, name):
    """Each process that knows it warns once, at its first stream."""
    with serving(SEVERAL[name], tmp_path, env={"APP_SSE_URL": "memory:"}) as server:
        warning = "memory:, and there are several processes here"

        def is_known():
            with server.stream() as stream:
                stream.placed()
            return warning in server.log_text()

        until(is_known)
        for path in ["/stream", "/ask?channel=a"] * 3:
            with server.stream(path) as stream:
                stream.placed()
        assert server.log_text().count(warning) <= 2
        if name == "gunicorn-asgi":
            # It does not stop a worker that is told so while it starts.
            until(lambda: server.log_text().count("ASGI server listening") == 2)


@pytest.mark.parametrize("options", [[], ["--timeout-graceful-shutdown", "60"]])
def test_a_response_that_forwards_events(tmp_path, options):
    """It ends when uvicorn is told to stop, and with its channel, so uvicorn stops."""
    with serving(uvicorn("streams:app", *options), tmp_path) as server:
        forwarding = [
            server.stream(f"/forwarded?channel={channel}")
            for channel in ["ends", "goes-on"]
        ]
        ended, other = forwarding
        # Before that, they have slots but perhaps no positions yet.
        for stream in forwarding:
            while b"begun" not in stream.body:
                assert stream.read()
        for channel in ["ends", "goes-on"]:
            publish(server, "first", channel)
        assert server.get("/end?channel=ends", "POST").status == 200
        assert ended.ended().body == b"begun\nfirst\nover\nended\n"
        server.stop()
        assert other.ended().body == b"begun\nfirst\nended\n"
        assert server.process.returncode is not None
        assert "Traceback" not in server.log_text()
