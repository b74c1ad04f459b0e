"""What goes wrong when a blueprint is registered, and what the errors say to write."""

import pytest

from flask import Blueprint, Flask
from flask_apps import make_app
from heliograph import ConfigError
from heliograph.flask import SSE, ServerSentEventsBlueprint


@pytest.mark.parametrize("prefix", [None, ""])
def test_a_stream_without_a_path(tmp_path, prefix):
    """The error names the prefix, and the line to write."""
    with pytest.raises(ConfigError) as caught:
        make_app(tmp_path, SSE(url_prefix=prefix))

    assert str(caught.value) == (
        f"url_prefix must be the path of the stream, not {prefix!r}:"
        ' write app.register_blueprint(sse, url_prefix="/stream")'
    )


def test_a_path_of_ones_own_needs_no_prefix(tmp_path):
    """A route that has a path is enough, and so is the prefix of a parent."""
    own = ServerSentEventsBlueprint("own", __name__)
    own.add_url_rule("/events", endpoint="stream", view_func=own.stream)
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config["SSE_URL"] = "memory:"
    parent = Blueprint("parent", __name__, url_prefix="/parent")
    SSE(parent, url_prefix=None)

    app.register_blueprint(own)
    app.register_blueprint(parent)

    rules = {rule.endpoint: rule.rule for rule in app.url_map.iter_rules()}
    assert rules["own.stream"] == "/events"
    assert rules["parent.sse.stream"] == "/parent"


def test_a_hook_that_comes_too_late(app):
    """The error says where to move it, and what works there."""
    with pytest.raises(
        AssertionError, match=r"sse\.before_request\(\) comes too late"
    ) as caught:

        @app.sse.before_request
        def guard():
            """Not reached."""

    for words in ("sse = SSE()", "sse.init_app(app)", "@sse.authorizer"):
        assert words in str(caught.value)


@pytest.mark.parametrize("app", ["app", None.__class__])
def test_no_application(app):
    """A name, or anything else that is no application."""
    with pytest.raises(
        TypeError, match=r"an application of Flask, not .*: write SSE\(app\)"
    ):
        SSE(app)


def first(channels):
    """An authorizer."""


def second(channels):
    """Another one."""


@pytest.mark.parametrize(("then", "warns"), [(second, True), (first, False)])
def test_a_second_authorizer(caplog, then, warns):
    """The first one no longer guards anything, which nobody may miss."""
    extension = SSE()
    extension.authorizer(first)
    extension.authorizer(then)

    assert ("first of the blueprint 'sse' is replaced by" in caplog.text) is warns
    assert {record.name for record in caplog.records} <= {"heliograph.flask"}
