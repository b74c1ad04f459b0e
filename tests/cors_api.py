"""An API in two frameworks, and the pages of several origins that use it."""

import contextlib
import http.server
import sys
import threading

import fetched
from apps.cors_policies import policies
from heliograph.cors import CorsPolicy
from heliograph.flask.cors_options import make_rule
from servers import gunicorn, serving

FETCH = """async ([url, options]) => {
    try {
        const answer = await fetch(url, options)
        return {
            status: answer.status,
            body: await answer.json(),
            shown: answer.headers.get("X-Shown"),
            hidden: answer.headers.get("X-Hidden"),
        }
    } catch (error) {
        return {error: error.name}
    }
}"""


EMPTY = b"<!doctype html><title>page</title><link rel=icon href='data:,'>"


class Page(http.server.BaseHTTPRequestHandler):
    """An empty page, and below ``/modules`` the files of a client."""

    def do_GET(self):
        kind, body = "text/html", EMPTY
        if self.path.startswith("/modules/"):
            # The files import each other without the end of their names.
            name = self.path.rpartition("/")[2].removesuffix(".js")
            kind, body = "text/javascript", (self.server.client / f"{name}.js").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def running(handler, **attributes):
    """A server in a thread; its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    vars(server).update(attributes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Api:
    """A server, the pages' port, and what its face makes of options."""

    def __init__(self, server, page_port, policy):
        self.server = server
        self.url = f"http://127.0.0.1:{server.port}"
        self.page = f"http://127.0.0.1:{page_port}"
        # Another name, and so another origin, and another site.
        self.foreign = f"http://localhost:{page_port}"
        self.policies = {
            name: policy(options) for name, options in policies(self.page).items()
        }


def _flask(options):
    return make_rule(options, [], for_what="application").policy


def _asgi(options):
    return CorsPolicy(**options)


UVICORN = [
    sys.executable,
    "-m",
    "uvicorn",
    "cors_asgi:app",
    "--port",
    "{port}",
    "--timeout-graceful-shutdown",
    "1",
]


# Name -> the command, and what the face makes of options.
COMMANDS = {
    "flask": (gunicorn("cors_flask:app", "--threads", "4"), _flask),
    "asgi": (UVICORN, _asgi),
}


@contextlib.contextmanager
def serving_api(name, folder):
    """The same API in one of the frameworks."""
    command, policy = COMMANDS[name]
    # Not through Playwright's routes: with those, it answers preflights itself.
    fetched.modules(folder / "modules")
    client = folder / "modules/@microsoft/fetch-event-source/lib/esm"
    with running(Page, client=client) as port:
        env = {"PAGE": f"http://127.0.0.1:{port}"}
        with serving(command, folder, env=env) as server:
            yield Api(server, port, policy)
