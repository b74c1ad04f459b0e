"""What type checkers make of the public names. Read by mypy, never run."""

from __future__ import annotations

from typing import assert_type

from flask import Flask
from heliograph import Event, EventStreamParser, HubConfig, encode, encode_comment
from heliograph.brokers import Broker, open_broker
from heliograph.flask import SSE, Message, sse
from heliograph.hub import HubStatistics

event = Event("data", type="t", id="1", retry_ms=5)
assert_type(event.data, str)
assert_type(event.id, str | None)
assert_type(encode(event), bytes)
assert_type(encode_comment("x"), bytes)
assert_type(EventStreamParser().feed(b""), list[Event])
assert_type(EventStreamParser().reconnection_time_ms, int | None)

Event("data", "t")  # type: ignore[call-arg]  # the rest is keyword-only
Event(5)  # type: ignore[arg-type]  # JSON is the faces' business
event.data = "x"  # type: ignore[misc]  # frozen
HubConfig(heartbeat=5)  # type: ignore[call-arg]  # no such field

assert_type(open_broker("memory:"), Broker)

app = Flask(__name__)
app.register_blueprint(sse, url_prefix="/stream")
assert_type(sse.publish({"a": 1}, type="t", id=5, retry=3, channel=["a", "b"]), str)
assert_type(sse.url_for("a", expires_in=60), str)
assert_type(sse.statistics(), HubStatistics)
assert_type(str(Message("x")), str)
extension = SSE(app, url_prefix="/events")


@extension.authorizer
def may_listen(channels: tuple[str, ...]) -> bool:
    return channels == ("a",)


assert_type(may_listen(("a",)), bool)
