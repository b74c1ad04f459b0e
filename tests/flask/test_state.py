"""The objects that the extension keeps for each application: settings, hub, JSON."""

import datetime
import json
import uuid

import pytest
from flask.json.provider import JSONProvider

from flask import Flask
from heliograph import ConfigError, InvalidFieldError
from heliograph.flask import SSE
from heliograph.flask import sse as module_sse

DATA = [
    ("text", "text"),
    ("", ""),
    (None, "null"),
    (5, "5"),
    ([1, "é"], '[1, "\\u00e9"]'),
    ({"b": 1, "a": 2}, '{"a": 2, "b": 1}'),
    (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    (datetime.date(2020, 1, 2), '"Thu, 02 Jan 2020 00:00:00 GMT"'),
]


@pytest.mark.parametrize(("data", "sent"), DATA)
def test_data(app, stream, data, sent):
    """A str as it is, anything else as Flask's JSON."""
    reader = stream()

    app.sse.publish(data)

    assert reader.wait(1)[0].data == sent


def test_json_provider_of_the_application(app, stream):
    """The JSON provider of the application encodes data."""

    class Shouting(JSONProvider):
        def dumps(self, obj, **kwargs):
            return json.dumps(obj).upper()

        def loads(self, s, **kwargs):
            return json.loads(s)

    app.json = Shouting(app)
    reader = stream()

    app.sse.publish({"a": "b"})

    assert reader.wait(1)[0].data == '{"A": "B"}'


loop = []
loop.append(loop)


@pytest.mark.parametrize(
    "data", [object(), b"x", {1, 2}, float("nan"), {"a": float("inf")}, loop, {(1, 2): 3}]
)
def test_data_that_is_no_json(app, data):
    """The error names the field; nothing is sent."""
    with pytest.raises(InvalidFieldError) as caught:
        app.sse.publish(data)

    assert caught.value.field == "data"
    assert app.sse.statistics().published == 0


def test_configured_after_registering(tmp_path):
    """What is configured before the first use applies."""
    app = Flask(__name__)
    app.register_blueprint(module_sse, url_prefix="/stream")
    app.config["SSE_URL"] = f"sqlite:///{tmp_path}/late"

    with app.app_context():
        module_sse.publish("x")

    assert (tmp_path / "late").exists()


def test_default_needs_no_preparation(tmp_path):
    """The instance folder is made when it is needed, and not before."""
    app = Flask(__name__, instance_path=str(tmp_path / "deep" / "instance"))
    extension = SSE(app)
    assert not (tmp_path / "deep").exists()

    extension.publish("x")

    assert (tmp_path / "deep" / "instance" / "heliograph.sqlite3").exists()
    app.extensions["heliograph"].hub.close()


def test_a_setting_that_is_changed_too_late(app, stream):
    """Whoever uses the application next is told, instead of that it has no effect."""
    app.sse.publish("x")
    app.config["SSE_PRIVATE"] = True

    with pytest.raises(ConfigError, match="SSE_PRIVATE was changed after its first use"):
        app.sse.publish("x")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert app.test_client().get("/stream").status_code == 500

    app.config["SSE_PRIVATE"] = False
    app.sse.publish("x")
