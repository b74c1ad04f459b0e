"""Streams as an ASGI application: what is its own; the rest is in the tests of servers."""

import asyncio
import socket

import pytest
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from quart import Quart
from starlette.routing import Route

from heliograph import (
    BrokerUnavailableError,
    ConfigError,
    EventTooLargeError,
    HubConfig,
    InvalidFieldError,
)
from heliograph.asgi import EventStreams
from heliograph.brokers import PlainChannels
from heliograph.cors import CorsPolicy
from uvicorns import request, serving, until_left


@pytest.fixture(params=["h11", "httptools"])
def parser(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["taken", "sent"])
def take_over(request):
    return request.param


async def test_alone(parser, take_over):
    """It is an application of its own; its lifespan opens and closes it."""
    streams = EventStreams("memory:", take_over=take_over)
    async with serving(streams, http="h11") as port:
        client = await (await request(port, "?channel=a&channel=b")).placed()
        id_a = await streams.publish({"n": 1}, type="t", channel="a")
        await streams.publish("two", channel=["a", "b"])

        first, *_ = await client.wait(3)

        assert (first.type, first.data) == ("t", '{"n": 1}')
        assert sorted(event.data for event in client.events[1:]) == ["two", "two"]
        back = await request(port, "?channel=a", f"Last-Event-ID: {id_a}")
        assert [event.data for event in await back.wait(1)] == ["two"]
        assert (await streams.statistics()).subscribers == 2
    assert streams._hub.hub is None


def in_fastapi(streams):
    return FastAPI(routes=[Route("/stream", streams)])


def in_quart(streams):
    quart = Quart(__name__)
    inner = quart.asgi_app

    async def app(scope, receive, send):
        served_by = streams if scope.get("path") == "/stream" else inner
        await served_by(scope, receive, send)

    quart.asgi_app = app
    return quart


@pytest.mark.parametrize("mounted", [in_fastapi, in_quart])
async def test_mounted(mounted, take_over):
    """Within a framework, beside its own routes."""
    streams = EventStreams("memory:", take_over=take_over)
    async with streams, serving(mounted(streams)) as port:
        client = await (await request(port, "stream?channel=a")).placed()
        await streams.publish("x", channel="a")
        assert (await client.wait(1))[0].data == "x"
        assert (await request(port, "other")).status == 404


async def test_cors(take_over):
    """Pages of other origins may listen if the policy says so."""
    policy = CorsPolicy(origins="https://a.example")
    streams = EventStreams("memory:", cors=policy, take_over=take_over)
    async with serving(streams) as port:
        client = await request(port, "", "Origin: https://a.example")
        assert b"access-control-allow-origin: https://a.example" in client.raw
        await client.placed()
        other = await (await request(port, "", "Origin: https://b.example")).ended()
        assert other.status == 403
        await until_left(streams, 1)


async def when_told(port, event):
    """Set an event when uvicorn has closed what it listens on: it tells its connections then."""
    with pytest.raises(ConnectionRefusedError):
        while True:
            await asyncio.sleep(0.01)
            socket.create_connection(("127.0.0.1", port)).close()
    event.set()


WINDOW = HubConfig(channels={"a": {"compression": "shared-window"}})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"url": "nonsense:"}, "no broker"),
        ({"url": "memory:", "secret_key": ""}, "secret_key must not be empty"),
        (
            {"url": "memory:", "plain_channels": PlainChannels("sse")},
            "plain channels are Redis's",
        ),
        ({"url": "memory:", "config": {}}, "config must be a HubConfig, not {}"),
        ({"url": "memory:", "authorize": "x"}, "authorize must be a function, not 'x'"),
        (
            {"url": "memory:", "authorize": lambda channels: True},
            r"^authorize: .* cannot be called .*; write def may_listen\(channels, scope\)",
        ),
        ({"url": "memory:", "dumps": 3}, "dumps must be a function, not 3"),
        ({"url": "memory:", "private": "no"}, "private must be True or False, not 'no'"),
        ({"url": "memory:", "private": None}, "private must be True or False, not None"),
        ({"url": "memory:", "take_over": 1}, "take_over must be True or False, not 1"),
        (
            {"url": "memory:", "config": WINDOW, "private": True},
            r"^channels\['a'\]\['compression'\] must not be 'shared-window' if private is set",
        ),
        (
            {"url": "memory:", "config": WINDOW, "authorize": print},
            "must not be 'shared-window' where an authorizer guards streams",
        ),
        ({"url": "memory:", "cors": "https://a.example"}, "cors must be a CorsPolicy, not"),
        (
            {"url": "redis://a", "plain_channels": "sse"},
            "plain_channels must be PlainChannels.*, not 'sse'",
        ),
    ],
)
def test_bad_arguments(arguments, text):
    """A mistake shows at once."""
    with pytest.raises(ConfigError, match=text):
        EventStreams(**arguments)


def test_the_object_shows_nothing():
    """FastAPI sends what vars() has of an object that a view returns: keys, for example."""
    streams = EventStreams("memory:", secret_key="a secret")

    with pytest.raises(ValueError, match="EventStreams"):
        jsonable_encoder(streams)
    with pytest.raises(AttributeError):
        streams.private = True


async def test_bad_calls(tmp_path):
    """Errors name what was wrong."""
    async with EventStreams("memory:") as streams:
        with pytest.raises(InvalidFieldError, match="channel"):
            await streams.publish("x", channel="")
        with pytest.raises(InvalidFieldError, match="JSON"):
            await streams.publish({"x": float("nan")})
        with pytest.raises(EventTooLargeError):
            await streams.publish("x" * 300_000)
        with pytest.raises(InvalidFieldError, match="channel"):
            await streams.disconnect("\n")
        with pytest.raises(InvalidFieldError, match="channel"):
            async with streams.subscribe("\n"):
                pass
        with pytest.raises(InvalidFieldError, match="channel"):
            async with streams.subscribe(""):
                pass
        with pytest.raises(InvalidFieldError, match="last_event_id"):
            async with streams.subscribe("a", last_event_id=b"1-1"):
                pass
        with pytest.raises(ConfigError, match="secret_key"):
            streams.query("a", expires_in=5)
    streams = EventStreams(f"sqlite:///{tmp_path}/missing/log")
    with pytest.raises(BrokerUnavailableError):
        await streams.publish("x")
    await streams.close()
