"""What type checkers make of the public names. Read by mypy, never run."""

from __future__ import annotations

from typing import Any, assert_type

from starlette.applications import Starlette

from flask import Blueprint, Flask, Response
from heliograph import Event, EventStreamParser, HubConfig, encode, encode_comment
from heliograph.asgi import CORSMiddleware, EventStreams
from heliograph.brokers import (
    Broker,
    PlainChannels,
    RetentionPolicy,
    open_broker,
    register_broker,
)
from heliograph.cors import CorsPolicy, CorsRequest, Decision, decide
from heliograph.flask import CORS, SSE, Message, cross_origin, sse
from heliograph.hub import HubStatistics, Subscription
from heliograph.starlette import EventResponse

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
HubConfig(compression="blocks", channels={"a-*": {"compression": None}})
HubConfig(channels={"job:*": {"history_events": 5, "forget_seconds": 86_400.0}})
HubConfig(compression="gzip")  # type: ignore[arg-type]  # no such value
HubConfig(heartbeat=5)  # type: ignore[call-arg]  # no such field

assert_type(open_broker("memory:"), Broker)
open_broker("redis://h", plain_channels=PlainChannels(["sse"], format="text"))
open_broker("redis://h", plain_channels="sse")  # type: ignore[arg-type]  # not just a name
plain_names: tuple[str, ...] = PlainChannels(["sse"]).names


def example_broker(url: str, retention: RetentionPolicy) -> Broker:
    return open_broker(url, retention)


register_broker("example", example_broker)
register_broker("example", lambda: None)  # type: ignore[arg-type]  # no retention
PlainChannels("sse", format="json")  # type: ignore[arg-type]  # no such format

app = Flask(__name__)
app.register_blueprint(sse, url_prefix="/stream")
assert_type(sse.publish({"a": 1}, type="t", id=5, retry=3, channel=["a", "b"]), str)
assert_type(sse.url_for("a", expires_in=60), str)
assert_type(sse.response("a", "b", start=5, expires_in=60, on_leave=print), Response)
sse.response("a", on_leave=int.real)  # type: ignore[arg-type]  # no function
assert_type(sse.statistics(), HubStatistics)
assert_type(str(Message("x")), str)
extension = SSE(app, url_prefix="/events")


@extension.authorizer
def may_listen(channels: tuple[str, ...]) -> bool:
    return channels == ("a",)


assert_type(may_listen(("a",)), bool)


def tenant(origin: str, request: CorsRequest) -> bool:
    return origin.endswith(request.path)


async def tenant_async(origin: str, request: CorsRequest) -> bool:
    return tenant(origin, request)


policy = CorsPolicy(origins=["https://a.example", tenant, tenant_async], max_age=5)
assert_type(policy.max_age, int | None)
assert_type(decide(policy, CorsRequest("GET")), Decision)
assert_type(decide(policy, CorsRequest("GET")).reason, str | None)
CorsPolicy()  # type: ignore[call-arg]  # who may is yours to say
CorsPolicy("https://a.example")  # type: ignore[call-arg]  # keyword-only
CorsPolicy(origins="*", origin="*")  # type: ignore[arg-type]  # no such option
CorsPolicy(origins=len)  # type: ignore[arg-type]  # a function takes two and says yes or no
policy.max_age = 6  # type: ignore[misc]  # frozen

CORS(app, resources={r"/api/*": {"origins": ["https://a.example"]}}, max_age="600")
CORS(Blueprint("b", __name__), origins=tenant)
CORS(app, origin="https://a.example")  # type: ignore[call-arg]  # no such option
CORS("app")  # type: ignore[arg-type]  # an application or a blueprint


@app.get("/")
@cross_origin(origins="https://a.example", supports_credentials=True)
def view() -> str:
    return ""


assert_type(view(), str)
cross_origin(resources="/x")  # type: ignore[call-arg]  # of CORS() alone


async def asgi_app(scope: object, receive: object, send: object) -> None: ...


CORSMiddleware(asgi_app, policy)
CORSMiddleware(asgi_app, policy, max_age=5)  # type: ignore[call-arg]  # an option of the policy
CORSMiddleware(asgi_app, ["https://a.example"])  # type: ignore[arg-type]  # no policy
Starlette().add_middleware(CORSMiddleware, policy=policy)
Starlette().add_middleware(CORSMiddleware, allow_origins=["*"])  # type: ignore[call-arg]  # Starlette's


async def may_subscribe(channels: tuple[str, ...], scope: dict[str, Any]) -> bool:
    return "private" not in channels and scope["path"] == "/stream"


async def use_streams() -> None:
    async with EventStreams(
        "memory:", authorize=may_subscribe, secret_key=["k"]
    ) as streams:
        assert_type(await streams.publish({"n": 1}, type="t", channel=["a", "b"]), str)
        assert_type(streams.query("a", expires_in=60), str)
        assert_type(await streams.statistics(), HubStatistics)
        async with streams.subscribe("a", last_event_id=None) as events:
            assert_type(events, Subscription)
            assert_type(events.last_event_id, str)
            async for item in events:
                assert_type(item, Event)
    streams = EventStreams("memory:")
    assert_type(streams.publish_sync({"a": 1}, channel=["a", "b"], retain=True), str)
    streams.publish_soon("x", type="t", idempotency_key="k")
    streams.response("a", start=5, expires_in=60, on_leave=print, headers={"X": "y"})
    streams.response("a", on_leave=int.real)  # type: ignore[arg-type]  # no function
    EventResponse(streams, "a", start="now", headers=[("X", "y")])
    EventResponse("a")  # type: ignore[arg-type]  # the streams come first
    EventStreams()  # type: ignore[call-arg]  # where events are kept is yours to say
    EventStreams("memory:", authorise=may_subscribe)  # type: ignore[call-arg]  # no such option
    EventStreams("memory:", authorize=len)  # type: ignore[arg-type]  # takes channels and scope
