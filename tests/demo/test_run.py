"""What keeps the demo from running is named; the page has one button that other pages lack."""

import contextlib
import http.client
import socket
import subprocess
import sys
import threading

import pytest

from heliograph.demo.run import DemoError, _Api, _page_server, run
from servers import free_port


def demo(folder, **ports):
    """Run the command, which ends by itself."""
    ports = {"--port": free_port(), "--api-port": free_port()} | ports
    words = [str(word) for pair in ports.items() for word in pair]
    return subprocess.run(
        [sys.executable, "-m", "heliograph", "demo", *words, "--folder", str(folder)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("option", ["--port", "--api-port"])
def test_a_port_in_use(tmp_path, option):
    """One line with the port and the option to use, and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = demo(tmp_path, **{option: port})

    assert done.returncode == 1
    assert (
        done.stderr == f"heliograph: port {port} is in use; choose another with {option}\n"
    )


def test_same_port_twice():
    """Two origins need two ports."""
    with pytest.raises(DemoError, match="--port and --api-port must differ"):
        run(page_port=8123, api_port=8123, folder=None)


def test_a_folder_that_is_a_file(tmp_path):
    """One line, and the option to change."""
    (tmp_path / "file").write_text("")
    done = demo(tmp_path / "file")

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"heliograph: cannot use --folder {tmp_path}/file: ")


def test_a_folder_of_everybody(tmp_path):
    """Anybody could forge the events there: the message says what to use instead."""
    tmp_path.chmod(0o1777)
    done = demo(tmp_path)

    assert done.returncode == 1
    assert done.stderr.startswith(f"heliograph: cannot use --folder {tmp_path}: everybody")
    assert done.stderr.count("\n") == 1


# Method, path, headers, status.
REQUESTS = [
    ("GET", "/", {}, 200),
    ("GET", "/restart", {}, 404),
    ("POST", "/", {"X-Demo": "restart"}, 404),
    ("POST", "/restart", {}, 404),
    ("POST", "/restart", {"X-Demo": "other"}, 404),
    ("OPTIONS", "/restart", {"Access-Control-Request-Headers": "x-demo"}, 501),
]


@pytest.mark.parametrize(("method", "path", "headers", "status"), REQUESTS)
def test_page_server(method, path, headers, status):
    """It serves the page, and restarts nothing for a page of another origin."""
    api = _Api(free_port(), "http://127.0.0.1", "/nowhere")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_page_server(0, api))
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        stack.callback(serving.join)
        stack.callback(server.shutdown)
        connection = http.client.HTTPConnection(*server.server_address, timeout=10)
        stack.callback(connection.close)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()

    assert answer.status == status
    assert (api.origin in body) is (status == 200)
    assert answer.headers["Access-Control-Allow-Origin"] is None
