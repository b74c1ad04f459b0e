"""Clients that the hub has admitted, over a connection of their own or from a task."""

import contextlib
import contextvars
import gc
import weakref

import pytest

from heliograph import HubConfig
from heliograph.asgi import EventStreams
from streams import until
from uvicorns import request, serving, until_left


@pytest.fixture(params=["h11", "httptools"])
def parser(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["taken", "sent"])
def take_over(request):
    return request.param


asking = contextvars.ContextVar("asking")


class Asking:
    """What an application keeps of a request."""


@pytest.mark.parametrize("last_event_id", ["", "unknown"])
async def test_a_request_is_over_when_its_stream_is_taken_over(last_event_id):
    """Nothing keeps its context."""
    config = HubConfig(max_stream_seconds=600)
    streams = EventStreams("memory:", config=config)
    requests = []

    async def app(scope, receive, send):
        token = Asking()
        requests.append(weakref.ref(token))
        asking.set(token)
        del token
        await streams(scope, receive, send)

    async with serving(app, lifespan="off") as port:
        for _ in range(2):
            await (await request(port, "", f"Last-Event-ID: {last_event_id}")).placed()
        await until(lambda: gc.collect() >= 0 and not any(kept() for kept in requests))
        assert (await streams.statistics()).subscribers == len(requests) == 2
        await streams.close()


async def test_clients_that_leave(parser, take_over):
    """They are noticed at once, whatever they wait for."""
    streams = EventStreams("memory:", take_over=take_over)
    async with serving(streams, http=parser) as port:
        clients = [await (await request(port)).placed() for _ in range(20)]
        for client in clients:
            client.leave()
        await until_left(streams, 0)


async def test_a_client_that_does_not_read(parser, take_over):
    """It is cut off when it is too far behind, and gets the rest when it reconnects."""
    config = HubConfig(
        max_event_bytes=100_000, max_lag_bytes=200_000, send_buffer_bytes=65_536
    )
    streams = EventStreams("memory:", config=config, take_over=take_over)
    async with serving(streams, http=parser) as port:
        # Otherwise it takes some hundred events to fill what the kernels of both ends hold.
        slow = await (await request(port, read_buffer=65_536)).placed()
        quick = await (await request(port)).placed()
        start = slow.parser.last_event_id
        for n in range(30):
            await streams.publish(f"{n} {'x' * 90_000}")
            await quick.wait(n + 1)
        await until_left(streams, 1)
        assert (await streams.statistics()).lagging_disconnected == 1
        with contextlib.suppress(ConnectionError):
            while await slow.read():
                pass
        back = await request(port, "", f"Last-Event-ID: {slow.parser.last_event_id}")
        missing = 30 - len(slow.events)
        assert start
        assert missing > 0
        got = [*slow.events, *(await back.wait(missing))]
        assert [int(event.data.split()[0]) for event in got] == list(range(30))
