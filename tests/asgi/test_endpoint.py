"""Requests for streams over ASGI: who gets one, and what others are told."""

import asyncio
import re
import sys
import time

import pytest
from starlette.middleware.gzip import GZipMiddleware

from heliograph import ConfigError, HubClosedError, HubConfig
from heliograph.asgi import EventStreams
from streams import until
from uvicorns import request, serving

EVENT_SOURCE = "Accept: text/event-stream"


@pytest.fixture(params=[True, False], ids=["taken", "sent"])
def take_over(request):
    return request.param


@pytest.mark.parametrize(
    ("query", "headers", "status", "text"),
    [
        ("?channel=%00", [], 400, "control characters"),
        ("?channel=%FF", [], 400, "lone surrogates"),
        ("?lastEventId=" + "x" * 9000, [], 400, "at most 8190 characters"),
        ("", ["Last-Event-ID: " + "x" * 9000], 400, "at most 8190 characters"),
        ("?" + "&" * 1000, [], 400, "at most 1000 fields"),
        ("?chanel=a", [], 400, "'chanel': must be spelled channel"),
        ("?token=forged", [], 403, "not signed"),
    ],
)
async def test_bad_requests(query, headers, status, text):
    """A clear answer, and no slot is taken."""
    streams = EventStreams("memory:", secret_key="key")
    async with serving(streams) as port:
        client = await request(port, query, *headers)
        await client.ended()

        assert client.status == status
        assert text in client.body.decode()
        assert (await streams.statistics()).subscribers == 0


async def test_other_methods():
    """HEAD is answered with the head alone; nothing else is a stream."""
    async with serving(EventStreams("memory:")) as port:
        head = await (await request(port, method="HEAD")).ended()
        assert (head.status, head.body) == (200, b"")
        assert b"text/event-stream" in head.raw
        post = await (await request(port, method="POST")).ended()
        assert post.status == 405
        assert b"allow: GET, HEAD" in post.raw


@pytest.mark.parametrize(
    ("verdict", "private", "status"),
    [
        (True, True, 200), (None, True, 403), (None, False, 200), (False, False, 403), (0, False, 500),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_async", [True, False])
async def test_authorize(verdict, private, status, is_async):
    """It is asked with the channels and the scope; what is no answer lets nobody in."""
    asked = []

    def authorize(channels, scope):
        asked.append((channels, scope["path"]))
        return verdict

    async def authorize_async(channels, scope):
        await asyncio.sleep(0)
        return authorize(channels, scope)

    streams = EventStreams(
        "memory:", authorize=authorize_async if is_async else authorize, private=private
    )
    async with serving(streams, log_config=None) as port:
        client = await request(port, "?channel=b&channel=a")

        assert client.status == status
        assert asked == [(("a", "b"), "/")]


async def test_disconnect_while_a_client_is_authorised(take_over, tmp_path):
    """What it was authorised by is no longer true, so it has to come again."""
    url = f"sqlite:///{tmp_path}/log"
    revoked = []

    async def authorize(channels, scope):
        if not revoked:
            # Elsewhere, while nothing has been served here yet.
            revoked.append(channels)
            before = time.monotonic_ns()
            async with EventStreams(url) as others:
                await others.disconnect("a")
            await until(lambda: streams._hub.hub._control._disconnects.latest > before)

    streams = EventStreams(url, authorize=authorize, take_over=take_over)
    async with serving(streams, lifespan="off") as port:
        await streams.statistics()
        ended = await (await request(port, "?channel=a")).ended()
        assert (ended.status, ended.events) == (200, [])
        await (await request(port, "?channel=a")).placed()
        assert (await streams.statistics()).subscribers == 1
        await streams.close()


async def test_close_while_a_client_is_authorised(take_over):
    """What was disconnected meanwhile is not known, so it has to come again."""
    closed = []

    async def authorize(channels, scope):
        if not closed:
            closed.append(channels)
            await streams.close()

    streams = EventStreams("memory:", authorize=authorize, take_over=take_over)
    async with serving(streams) as port:
        assert (await (await request(port)).ended()).events == []
        await (await request(port)).placed()


async def test_private():
    """Without an authorizer only tokens let in."""
    streams = EventStreams("memory:", private=True, secret_key=["old", "new"])
    async with serving(streams) as port:
        assert (await request(port)).status == 403
        client = await request(port, "?" + streams.query("a", "b", expires_in=60))
        assert client.status == 200
        old = EventStreams("memory:", secret_key=b"old").query("a", expires_in=60)
        assert (await request(port, "?" + old)).status == 200


async def test_without_the_package_that_signs(monkeypatch):
    """Who signs is told at start; who does not needs none, whatever a client sends."""
    monkeypatch.setitem(sys.modules, "itsdangerous", None)
    with pytest.raises(
        ConfigError, match=r"needs itsdangerous: pip install 'heliograph\[asgi\]'"
    ):
        EventStreams("memory:", secret_key="key")
    async with serving(EventStreams("memory:")) as port:
        refused = await (await request(port, "?token=x")).ended()
        assert (refused.status, refused.body) == (
            403,
            b"this application signs no tokens\n",
        )


async def test_a_token_expires(take_over):
    """Its stream ends, and the connection with it."""
    streams = EventStreams("memory:", secret_key="key", take_over=take_over)
    async with serving(streams) as port:
        client = await request(port, "?" + streams.query("a", expires_in=2))
        await client.ended()
        assert client.status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ([], None),
        (["gzip;q=0"], None),
        (["gzip"], b"gzip"),
        (["identity;q=0.5", "gzip"], b"gzip"),
        (["gzip", "gzip;q=0"], None),
    ],
)
async def test_codings(take_over, method, accepted, encoding):
    """The one that the client accepts, if the channel may be compressed."""
    config = HubConfig(channels={"a": {"compression": "blocks"}})
    streams = EventStreams("memory:", config=config, take_over=take_over)
    lines = [f"Accept-Encoding: {value}" for value in accepted]
    async with serving(streams) as port:
        coded = await request(port, "?channel=a", *lines, method=method)
        plain = await request(port, "?channel=b", *lines, method=method)

        for client, expected in [(coded, encoding), (plain, None)]:
            head = client.raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
            assert [
                line[18:] for line in head if line.startswith(b"content-encoding: ")
            ] == [*([expected] if expected else [])]
            assert b"vary: Accept-Encoding" in head
            assert b"cache-control: no-store, no-transform" in head


@pytest.mark.parametrize(("query", "count"), [("?channel=a", 1), ("?channel=b", 0)])
async def test_middleware_that_compresses(query, count):
    """It leaves a stream alone, whether the stream is compressed or not."""
    config = HubConfig(channels={"a": {"compression": "blocks"}})
    app = GZipMiddleware(EventStreams("memory:", config=config), minimum_size=0)
    async with serving(app) as port:
        client = await request(port, query, "Accept-Encoding: gzip")

        assert client.raw.count(b"content-encoding: gzip") == count
        assert client.raw.count(b"content-encoding") == count


async def test_caps():
    """Over the cap: 503, and when to try again."""
    config = HubConfig(max_subscribers=1, retry_after_seconds=7)
    async with serving(EventStreams("memory:", config=config)) as port:
        await (await request(port)).placed()
        refused = await (await request(port)).ended()
        assert refused.status == 503
        assert b"retry-after: 7" in refused.raw
        assert b"vary: Accept\r\n" in refused.raw


async def test_an_event_source_over_a_cap():
    """It is told when to come back, in a stream that ends, and counts as refused."""
    config = HubConfig(max_subscribers=1, retry_after_seconds=7)
    streams = EventStreams("memory:", config=config)
    async with serving(streams) as port:
        await (await request(port)).placed()
        told = await (await request(port, "", EVENT_SOURCE)).ended()
        assert told.status == 200
        head, _, body = told.raw.partition(b"\r\n\r\n")
        assert re.fullmatch(rb":\nretry: \d{4,5}\n", body)
        assert set(head.split(b"\r\n")) >= {
            b"content-type: text/event-stream; charset=utf-8",
            b"content-length: %d" % len(body),
            b"cache-control: no-store, no-transform",
            b"vary: Accept",
        }
        statistics = await streams.statistics()
        assert (statistics.refused, statistics.subscribers) == (1, 1)
        for query, method, status in OTHER_REFUSALS:
            refused = await request(port, query, EVENT_SOURCE, method=method)
            assert refused.status == status


OTHER_REFUSALS = [("?channel=%00", "GET", 400), ("?token=x", "GET", 403), ("", "POST", 405)]


async def test_refuse_with_status():
    """An application may prefer the status for all clients."""
    config = HubConfig(max_subscribers=1, refuse_with_status=True)
    async with serving(EventStreams("memory:", config=config)) as port:
        await (await request(port)).placed()
        refused = await (await request(port, "", EVENT_SOURCE)).ended()
        assert refused.status == 503
        assert b"retry-after: 5" in refused.raw
        assert b"vary:" not in refused.raw


async def test_a_websocket_is_refused():
    """With 403 and without an error in the log."""
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await EventStreams("memory:")({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close"}]


async def test_other_kinds_of_connections():
    """A stream is HTTP, and a server that asks for something else is told so."""
    with pytest.raises(ValueError, match="'webtransport'"):
        await EventStreams("memory:")({"type": "webtransport"}, None, None)


async def test_a_stream_while_it_closes():
    """It ends at once: a browser comes back by itself then, and would not after an error."""
    streams = EventStreams("memory:")
    async with serving(streams) as port:
        streams._hub.hub.finish_all()
        late = await (await request(port)).ended()
        assert (late.status, late.events) == (200, [])
        assert (await streams.statistics()).subscribers == 0
        with pytest.raises(HubClosedError):
            async with streams.subscribe():
                pass
