"""The code of Flask-SSE's documentation, as it stands there, with one line changed."""

import re
import subprocess

import pytest
import redis

import fetched
from browser import chromium
from servers import free_port, gunicorn, serving, until


@pytest.fixture(scope="module")
def documentation(tmp_path_factory):
    """The pages of the source distribution, by name."""
    folder = fetched.sources("flask-sse", tmp_path_factory.mktemp("sdist"))
    return {path.name: path.read_text() for path in folder.rglob("*.rst")}


def blocks(page, language):
    """The code blocks of a page."""
    for match in re.finditer(rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)", page):
        yield re.sub("^    ", "", match[1], flags=re.MULTILINE)


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory):
    port = free_port()
    with subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd=tmp_path_factory.mktemp("redis"), stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        with redis.Redis(port=port) as client:

            def is_up():
                try:
                    return client.ping()
                except redis.RedisError:
                    return False

            until(is_up)
        yield port
        process.terminate()


def moved(program, redis_port):
    """Change the import line; and say where our Redis is."""
    assert program.count("from flask_sse import sse") == 1
    program = program.replace(
        "from flask_sse import sse", "from heliograph.flask import sse"
    )
    return program.replace("redis://localhost", f"redis://localhost:{redis_port}")


@pytest.mark.parametrize("worker", ["gevent", "sync", "gthread"])
def test_quickstart(documentation, redis_port, tmp_path, worker):
    """The page, the alert, the message: under the worker class that it names, and others."""
    page = documentation["quickstart.rst"]
    (program,) = blocks(page, "python")
    (template,) = blocks(page, "html")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "index.html").write_text(template)
    (tmp_path / "sse.py").write_text(moved(program, redis_port))
    command = gunicorn("sse:app", "--worker-class", worker, "--chdir", str(tmp_path))
    with serving(command, tmp_path, ready="/hello") as server, chromium() as browser:
        tab, said = browser.new_page(), []
        tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.accept()))
        tab.goto(f"http://127.0.0.1:{server.port}/")

        def greeted():
            assert server.get("/hello").text == "Message sent!"
            tab.wait_for_timeout(50)
            return said

        until(greeted)
        assert set(said) == {"The server says Hello!"}
        if worker == "gevent":
            # The fallback: a greenlet for each stream, and freed when its client has left.
            streams = [server.stream().placed() for _ in range(20)]
            server.get("/hello")
            assert all(stream.wait(1) for stream in streams)


def test_readme(documentation, redis_port, tmp_path):
    """The example in its README."""
    (program,) = blocks(documentation["README.rst"], "python")
    (tmp_path / "readme.py").write_text(moved(program, redis_port))
    command = gunicorn("readme:app", "--chdir", str(tmp_path))
    with serving(command, tmp_path, ready="/send") as server, server.stream() as stream:
        stream.placed()
        server.get("/send")

        assert stream.wait(1)[0].data == '{"message": "Hello!"}'
        assert stream.events[0].type == "greeting"


@pytest.fixture
def advanced(documentation, tmp_path):
    """An application with the recipes of the page on advanced usage."""
    from flask import Flask, abort, g, request
    from heliograph.flask import SSE

    publish_social, publish_analytics, url, access = blocks(
        documentation["advanced.rst"], "python"
    )
    app = Flask(__name__)
    app.config.update(SSE_URL="memory:")
    sse = SSE()
    names = {"sse": sse, "request": request, "g": g, "abort": abort}
    exec(access, names)
    sse.init_app(app)

    @app.before_request
    def user():
        g.user = type("User", (), {"is_admin": lambda self: "admin" in request.args})()

    def run():
        exec(publish_social, names)
        exec(publish_analytics, names)

    app.publish, app.url = run, url
    yield app
    app.extensions["heliograph"].hub.close()


def test_channels(advanced):
    """Each channel gets its own; the URL is made as before."""
    from flask import url_for

    with advanced.test_request_context():
        assert (
            eval(advanced.url.strip(), {"url_for": url_for})
            == "/stream?channel=users.social"
        )
    with advanced.test_client().get("/stream?channel=users.social") as response:
        chunks = response.iter_encoded()
        body = next(chunks)
        while b"id:" not in body:
            body += next(chunks)
        advanced.publish()
        while b"alice" not in body:
            body += next(chunks)
        assert b"active_users" not in body


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("channel=analytics", 403),
        ("channel=analytics&admin", 200),
        ("channel=users.social", 200),
        ("", 200),
        # What Flask-SSE never looked at must not come in by the back door.
        ("channel=users.social&channel=analytics", 403),
        ("channel=&channel=analytics", 400),
    ],
)
def test_access_control(advanced, query, status):
    """The hook decides as it did."""
    assert advanced.test_client().head(f"/stream?{query}").status_code == status
