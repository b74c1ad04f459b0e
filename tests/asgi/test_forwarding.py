"""Responses that iterate over what is published, in servers that wait for them to stop."""

import signal

import pytest

from servers import gunicorn, serving, uvicorn


@pytest.mark.parametrize(
    "command",
    [
        uvicorn("forwarding:app"),
        gunicorn("forwarding:app", "--worker-class", "uvicorn_worker.UvicornWorker"),
    ],
    ids=["uvicorn", "gunicorn"],
)
def test_a_server_stops_while_a_response_iterates(command, tmp_path):
    """Its iteration ends, and so do the response, a task of the application, and the server."""
    with serving(command, tmp_path) as server:
        with server.stream() as stream:
            while b":" not in stream.body:
                assert stream.read()
            assert server.get("/publish", "POST", body="x").status == 200
            assert stream.wait(1)[0].data == "x"

            server.signal(signal.SIGTERM)

            assert [event.data for event in stream.ended().events] == ["x", "the end"]
        server.process.wait(20)
        assert "counted 1" in server.log_text()
        assert "Traceback" not in server.log_text()
