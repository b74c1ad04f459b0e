"""The extension in one process: publishing, and which application is meant."""

import gc
import json
import logging
import subprocess
import sys
import threading

import pytest

from flask import Flask
from flask_apps import Reader, make_app
from heliograph import (
    EventTooLargeError,
    InvalidFieldError,
)
from heliograph.flask import SSE, ServerSentEventsBlueprint


def test_publish_and_stream(app, stream):
    """What is published without a request and without a context arrives."""
    reader = stream()

    returned = app.sse.publish({"message": "Hello!"}, type="greeting", retry=7)

    (event,) = reader.wait(1)
    assert (event.data, event.type) == ('{"message": "Hello!"}', "greeting")
    assert event.id == returned
    assert reader.parser.reconnection_time_ms == 7


@pytest.mark.parametrize(
    "fields", [{"type": "a\nb"}, {"id": True}, {"retry": -1}, {"channel": "a\n"}]
)
def test_bad_fields(app, fields):
    """Each is refused by name."""
    with pytest.raises(InvalidFieldError) as caught:
        app.sse.publish("x", **fields)

    assert [caught.value.field] == [*fields]
    assert app.sse.statistics().published == 0


def test_too_large(tmp_path):
    """An event over the limit is refused."""
    app = make_app(tmp_path, SSE_MAX_EVENT_BYTES=100)

    with pytest.raises(EventTooLargeError):
        app.sse.publish("x" * 100)


def test_returned_ids(app, stream):
    """The id returned is where a stream of exactly these channels resumes."""
    own = app.sse.publish("1", id=5)
    one = app.sse.publish("2", channel="a")
    several = app.sse.publish("3", channel=["b", "a"])
    app.sse.publish("4", channel="a")

    assert own == "5"
    assert [e.data for e in stream(f"/stream?channel=a&lastEventId={one}").wait(2)] == [
        "3",
        "4",
    ]
    assert [
        e.data for e in stream(f"/stream?channel=a&channel=b&lastEventId={several}").wait(1)
    ] == ["4"]


# Which application.


def test_without_a_context_and_with_several_applications(tmp_path):
    """It must be clear which one is meant."""
    extension = SSE()
    with pytest.raises(RuntimeError, match=r"with none: write app\.register_blueprint"):
        extension.publish("x")
    one, two = make_app(tmp_path, extension), make_app(tmp_path, extension)

    with pytest.raises(
        RuntimeError, match=r"exactly one, not '.*; write with app\.app_context"
    ):
        extension.publish("x")

    for app in (one, two):
        with app.app_context():
            extension.publish("x")
            assert extension.statistics().published == 1


def test_applications_that_are_gone_do_not_count(tmp_path):
    """The extension does not keep an application alive."""
    extension = SSE()
    make_app(tmp_path, extension)
    gc.collect()

    app = make_app(tmp_path, extension)

    extension.publish("x")
    assert app.extensions["heliograph"].hub.statistics().published == 1


def test_publish_from_an_application_without_the_blueprint(tmp_path):
    """A worker needs the configuration only, as with Flask-SSE."""
    app = Flask(__name__)
    app.config["SSE_URL"] = "memory:"

    with app.app_context():
        assert SSE().publish("x")


def test_history_by_pattern(tmp_path):
    """Of each channel as much is kept as its pattern asks for."""
    app = make_app(tmp_path, SSE_CHANNELS={"job:*": {"history_events": 2}})

    for channel, kept in [("job:1", ["3", "4"]), ("news", ["1", "2", "3", "4"])]:
        first, *_ = [app.sse.publish(n, channel=channel) for n in range(5)]
        url, resuming = f"/stream?channel={channel}", {"Last-Event-ID": first}
        with app.test_client().get(url, headers=resuming) as response:
            events = Reader(response).wait(len(kept) + (channel != "news"))
        assert [e.data for e in events if e.type != "heliograph.gap"] == kept
        assert (events[0].type == "heliograph.gap") == (channel != "news")


def test_several_blueprints_in_one_application(app, stream):
    """They share the channels; each has its own route and its own authoriser."""
    other = SSE(app, url_prefix="/closed", name="closed")

    @other.authorizer
    def nobody(channels):
        return False

    reader = stream()
    other.publish("x")

    assert reader.wait(1)[0].data == "x"
    assert app.test_client().get("/closed").status_code == 403


def test_own_instance_has_no_route(tmp_path):
    """As in Flask-SSE: who makes a blueprint adds its route."""
    app = Flask(__name__)
    app.config["SSE_URL"] = "memory:"
    blueprint = ServerSentEventsBlueprint("events", __name__)
    blueprint.add_url_rule(rule="", endpoint="stream", view_func=blueprint.stream)
    app.register_blueprint(blueprint, url_prefix="/events")

    assert app.test_client().head("/events").status_code == 200
    with app.test_request_context():
        assert app.url_for("events.stream", channel="x y") == "/events?channel=x+y"


def test_publish_from_many_threads(app, stream):
    """Nothing is lost, and each channel keeps its order."""
    reader = stream()

    def publish(me):
        for n in range(50):
            app.sse.publish([me, n])

    threads = [threading.Thread(target=publish, args=[me]) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    got = [json.loads(event.data) for event in reader.wait(400)]
    for me in range(8):
        assert [n for who, n in got if who == me] == list(range(50))


@pytest.mark.parametrize("name", ["flask", "itsdangerous"])
def test_missing_extra(name):
    """Without Flask the error says which extra to install."""
    program = f"import sys; sys.modules[{name!r}] = None\nimport heliograph.flask"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert "pip install 'heliograph[flask]'" in done.stderr


def test_what_the_log_says(tmp_path, caplog):
    """At DEBUG what arrives and why something does not; no token, no data, no key."""
    app = make_app(tmp_path, SSE_PRIVATE=True)
    client = app.test_client()
    with caplog.at_level(logging.DEBUG), app.test_request_context():
        url = app.sse.url_for("news", expires_in=60)
        token = url.partition("token=")[2]
        response = client.get(url)
        next(response.iter_encoded())
        client.get("/stream?channel=news")
        client.get(f"/stream?channel=other&token={token}")
        client.get(f"/stream?channel=news&tokn={token}")
        app.sse.publish("a secret", channel="news")
        response.close()
        app.sse.statistics()
        app.extensions["heliograph"].hub.close()

    lines = [
        (each.name, each.getMessage()) for each in caplog.records if "helio" in each.name
    ]
    names = dict.fromkeys(name for name, _ in lines)
    assert list(names) == ["heliograph.streams", "heliograph.events"]
    refused = [text for _, text in lines if text.startswith("refused a stream with")]
    assert [text.partition(": ")[0][-3:] for text in refused] == ["403", "403", "400"]
    assert sum("of ['news'] begins now" in text for _, text in lines) == 1
    assert sum("of ['news'] ends: " in text for _, text in lines) == 1
    assert sum("published to 'news': id " in text for _, text in lines) == 1
    everything = caplog.text
    assert token not in everything
    assert "a secret" not in everything
