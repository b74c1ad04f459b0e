"""Requests that get no stream, as Flask answers them."""

import pytest
from werkzeug.exceptions import Aborter, HTTPException

from flask_apps import make_app
from heliograph.flask.request import with_parents


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_other_methods(app, method):
    """A stream is asked for with GET."""
    assert getattr(app.test_client(), method)("/stream").status_code == 405


def test_a_rule_with_other_methods(tmp_path):
    """A stream is asked for with GET there, too, and the answer says so."""
    app = make_app(tmp_path)
    app.add_url_rule("/own", view_func=app.sse.stream, methods=["GET", "POST"])

    response = app.test_client().post("/own")

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_a_view_without_get(tmp_path, method):
    """No client could ever open its stream, so the developer is told what to write."""
    app = make_app(tmp_path)
    app.testing = True
    app.add_url_rule("/own", "own", app.sse.stream, methods=[method])

    with pytest.raises(RuntimeError, match=rf"'own' .* to {method}: .*@app.get\('/own'\)"):
        app.test_client().open("/own", method=method)


BAD_QUERIES = [
    ("?channel=a%00", {}, "control characters"),
    ("?channel=%FF", {}, "lone surrogates"),
    ("?channel=" + "x" * 5_000_000, {}, "at most 255 bytes"),
    ("?lastEventId=" + "x" * 9000, {}, "at most 8190 characters"),
    ("", {"Last-Event-ID": "x" * 9000}, "at most 8190 characters"),
    ("?" + "&" * 1000, {}, "at most 1000 fields"),
]


@pytest.mark.parametrize(("query", "headers", "words"), BAD_QUERIES)
def test_bad_queries(app, query, headers, words):
    """A clear 400, and not the client's megabytes back."""
    response = app.test_client().get(f"/stream{query}", headers=headers)

    assert response.status_code == 400
    assert words in response.text
    assert len(response.text) < 1000
    assert app.sse.statistics().subscribers == 0


def test_markup_in_a_bad_channel_is_escaped(app):
    """What a client sends is not reflected as HTML."""
    response = app.test_client().get("/stream?channel=%00<script>")

    assert response.status_code == 400
    assert "<script>" not in response.text


def test_an_aborter_of_the_application(tmp_path):
    """Its exceptions answer refusals, as they do where it aborts itself."""

    class Gone(HTTPException):
        code = 410

    class ItsAborter(Aborter):
        def __init__(self):
            super().__init__(extra={400: Gone})

    app = make_app(tmp_path)
    app.aborter = ItsAborter()

    response = app.test_client().get("/stream?channel=%00")

    assert response.status_code == 410
    assert "control characters" in response.text


@pytest.mark.parametrize(
    ("name", "names"), [("sse", ["sse"]), ("a.b.sse", ["a", "a.b", "a.b.sse"])]
)
def test_parents(name, names):
    """Hooks of all of these run for a view of the blueprint."""
    assert with_parents(name) == names
