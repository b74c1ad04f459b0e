"""A page gets a stream or an answer, before the first byte."""

import pytest

from cors_pages import CREDENTIALS, EVIL, A, B, ask, granted, is_refused
from flask import Flask, Response
from heliograph.flask import CORS, SSE


@pytest.fixture
def streaming(tmp_path):
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config.update(SSE_URL="memory:")
    SSE(app)
    closed = []

    @app.route("/own", methods=["GET", "POST"])
    def own():
        response = Response("data: x\n\n", mimetype="text/event-stream")
        response.call_on_close(lambda: closed.append(1))
        return response

    app.closed = closed
    yield app
    app.extensions["heliograph"].hub.close()


def test_a_stream(streaming):
    """A stream has the headers; a page that may not read it gets 403."""
    CORS(streaming, origins=[A, B], supports_credentials=True)

    with ask(streaming, "/stream") as answer:
        assert (answer.status_code, granted(answer)) == (200, A)
        assert answer.headers[CREDENTIALS] == "true"
        assert sorted(answer.headers.getlist("Vary")) == ["Accept-Encoding", "Origin"]
    answer = ask(streaming, "/stream", EVIL)
    assert (answer.status_code, is_refused(answer)) == (403, True)
    assert "event-stream" not in answer.content_type
    assert "Origin" in ", ".join(answer.headers.getlist("Vary"))
    with ask(streaming, "/stream", None) as answer:
        assert (answer.status_code, is_refused(answer)) == (200, True)
    assert streaming.extensions["heliograph"].hub.statistics().refused == 0


def test_a_stream_of_ones_own(streaming):
    """A view's own stream is closed before it begins, except for a POST, which pages of the same origin send with an Origin."""
    CORS(streaming, origins=A)

    assert ask(streaming, "/own", EVIL).status_code == 403
    assert streaming.closed == [1]
    assert ask(streaming, "/own", EVIL, "POST").status_code == 200
    assert ask(streaming, "/own").status_code == 200


def test_a_stream_without_a_policy(streaming):
    """A stream that no rule applies to is not changed."""
    CORS(streaming, origins=A, resources="/api/*")

    assert ask(streaming, "/own", EVIL).status_code == 200


def test_a_stream_with_its_own_rules(streaming):
    """CORS accepts an SSE extension, as it accepts a blueprint."""
    app = Flask("two", instance_path=streaming.instance_path)
    app.config.update(SSE_URL="memory:")
    extension = SSE()
    CORS(extension, origins=A)
    extension.init_app(app)
    app.add_url_rule("/x", view_func=lambda: "x")

    with ask(app, "/stream") as answer:
        assert granted(answer) == A
    assert is_refused(ask(app, "/x"))
    app.extensions["heliograph"].hub.close()
