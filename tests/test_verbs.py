"""Each verb does the same on every face and with every broker."""

import asyncio
import contextlib
import itertools
import threading

import pytest

from flask import Flask
from heliograph import (
    AsyncPublisher,
    ChannelEndedError,
    Event,
    EventTooLargeError,
    HubConfig,
    InvalidFieldError,
    Publisher,
    TooManyRetainedError,
)
from heliograph.asgi import EventStreams
from heliograph.flask import SSE
from redises import RedisServer

SETTINGS = {"retained_keys": 3, "max_event_bytes": 1000}


class OnLoop:
    """An asynchronous face, called from this thread: its loop runs in another one."""

    def __init__(self, face, loop):
        self.face, self.loop = face, loop

    def __getattr__(self, name):
        verb = getattr(self.face, name)

        def call(*args, **kwargs):
            async def run():
                return await verb(*args, **kwargs)

            return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

        return call

    def subscribe(self, *channels, timeout=None, **options):
        return Block(self, self.face.subscribe(*channels, **options), timeout)


class Block:
    """The events of an asynchronous subscription, for this thread."""

    def __init__(self, face, block, timeout):
        self.loop, self.block, self.timeout = face.loop, block, timeout
        self.events = self.run(block.__aenter__())

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    @property
    def last_event_id(self):
        return self.events.last_event_id

    def __iter__(self):
        async def following():
            with contextlib.suppress(StopAsyncIteration, TimeoutError):
                async with asyncio.timeout(self.timeout):
                    return await anext(self.events)
            return None

        while (event := self.run(following())) is not None:
            yield event

    def close(self):
        self.run(self.block.__aexit__(None, None, None))


@contextlib.contextmanager
def on_loop(make):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    face = make()
    try:
        yield OnLoop(face, loop)
    finally:
        asyncio.run_coroutine_threadsafe(face.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def flask(url):
    app = Flask("verbs")
    app.config.update(SSE_URL=url, **{f"SSE_{k.upper()}": v for k, v in SETTINGS.items()})
    sse = SSE(app)
    yield sse
    app.extensions["heliograph"].hub.close()


FACES = {
    "flask": flask,
    "publisher": lambda url: Publisher(url, config=HubConfig(**SETTINGS)),
    "asgi": lambda url: on_loop(lambda: EventStreams(url, config=HubConfig(**SETTINGS))),
    "async-publisher": lambda url: on_loop(
        lambda: AsyncPublisher(url, config=HubConfig(**SETTINGS))
    ),
}


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def url(request, tmp_path):
    if request.param == "redis":
        server = request.getfixturevalue("redis")
        server.client().flushall()
        return server.url
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/log"


@pytest.fixture(params=FACES)
def face(request, url):
    with FACES[request.param](url) as face:
        yield face


def taken(events, count):
    return [event.data for event in itertools.islice(events, count)]


def test_the_whole_of_a_job(face):
    """A channel is followed, shows its state, ends, and begins again."""
    start = face.position("job:7")
    events = face.subscribe("job:7", timeout=30)
    ids = [
        face.publish({"percent": n}, channel="job:7", retain=True, key="bar")
        for n in (10, 50)
    ]
    face.publish("note", channel="job:7", type="log")
    assert taken(events, 3) == ['{"percent": 10}', '{"percent": 50}', "note"]
    assert face.last("job:7").data == "note"
    assert face.last("job:7", key="bar").data == '{"percent": 50}'
    assert face.last("job:7", key="bar").id == ids[1]
    late = face.subscribe("job:7")
    assert taken(late, 1) == ['{"percent": 50}']
    late.close()

    end = face.end("job:7", {"percent": 100}, retain=True, key="bar")

    assert [event.data for event in events] == ['{"percent": 100}']
    assert face.end("job:7") == end
    for verb in (face.publish, lambda data, channel: face.end(channel, data)):
        with pytest.raises(ChannelEndedError):
            verb("late", channel="job:7")
    assert list(face.subscribe("job:7", start="now")) == []
    assert taken(face.subscribe("job:7"), 9) == ['{"percent": 100}']
    assert taken(face.subscribe("job:7", last_event_id=ids[1]), 9) == [
        "note",
        '{"percent": 100}',
    ]
    page = face.history("job:7", after=start)
    assert [event.data for event in page[:3]] == [
        '{"percent": 10}',
        '{"percent": 50}',
        "note",
    ]
    assert (page[-1].type, page[-1].id) == ("heliograph.end", end)
    assert [event.type for event in face.history("job:7", after=page[2].id)] == [
        None,
        "heliograph.end",
    ]

    assert face.begin("job:7") == end
    assert face.last("job:7") is None
    assert face.history("job:7") == []
    events = face.subscribe("job:7", start="start", timeout=30)
    face.publish("again", channel="job:7")
    assert taken(events, 1) == ["again"]
    events.close()


def test_retained_keys(face):
    """They are bounded, and forgotten in two ways."""
    for key in (None, "a", "b"):
        face.publish(str(key), retain=True, key=key)
    with pytest.raises(TooManyRetainedError, match="has 3 retained events already"):
        face.publish("c", retain=True, key="c")

    face.forget("sse", key="a")
    id_ = face.publish(None, key="b", retain=False)
    face.publish("c", retain=True, key="c")

    assert id_ == face.history("sse")[-2].id
    assert taken(face.subscribe(timeout=0.3), 9) == ["None", "c"]
    assert face.last("sse", "").data == "None"
    face.forget("sse")
    assert face.last("sse", "") is None
    assert face.last("sse", key="a") is face.last("sse", key="b") is None
    assert taken(face.subscribe(timeout=0.3), 9) == ["c"]


def test_stored_once(face):
    """A repeated publish returns the first id, in each of several channels."""
    first = face.publish("1", channel=["a", "b"], idempotency_key="k")
    assert face.publish("1", channel=["a", "b"], idempotency_key="k") == first
    assert face.publish(Event("2"), channel="a", idempotency_key="l") == face.publish(
        Event("2"), channel="a", idempotency_key="l"
    )
    assert [event.data for event in face.history("a")] == ["1", "2"]
    assert len(face.history("b")) == 1


def test_pages(face):
    """A limit bounds a page; what is gone is a gap; several channels have one position."""
    for n in range(5):
        face.publish(str(n), channel=["a", "b"], id=f"own-{n}")
    assert [event.data for event in face.history("a", limit=2)] == ["0", "1"]
    assert [event.data for event in face.history("a", after="own-3")] == ["4"]
    both = face.position("a", "b")
    face.publish("new", channel="b")
    events = face.subscribe("b", "a", last_event_id=both)
    assert taken(events, 1) == ["new"]
    assert face.position("b", "a") == events.last_event_id
    events.close()
    face.disconnect("a")


# (verb, arguments, what the error says)
MISTAKES = [
    ("publish", {"data": "x", "key": "k"}, "key 'k': needs retain=True"),
    ("publish", {"data": "x", "retain": 1}, "retain 1: must be True or False"),
    ("publish", {"data": "x", "retain": True, "key": ""}, "must have 1 to 255 bytes"),
    (
        "publish",
        {"data": "x", "retain": True, "key": "é" * 128},
        "must have 1 to 255 bytes",
    ),
    ("publish", {"data": "x", "retain": True, "key": 7}, "key 7: must be str"),
    ("publish", {"data": "x", "idempotency_key": "\ud800"}, "must not contain a lone"),
    ("publish", {"data": Event("x"), "type": "t"}, "must be a field of the Event given"),
    ("publish", {"data": "x", "type": "heliograph.end"}, "must not begin with"),
    ("end", {"channel": "a", "retain": True}, "needs data: the channel ends without"),
    ("end", {"channel": ["a"]}, "channel ['a']: must be str"),
    ("end", {"channel": "a", "data": "x", "type": "heliograph.x"}, "must not begin with"),
    ("begin", {"channel": ""}, "channel '': must not be empty"),
    ("forget", {"channel": "a", "key": ""}, "key '': must have 1 to 255 bytes"),
    (
        "history",
        {"channel": "a", "after": "junk"},
        "after 'junk': must be the id of an event",
    ),
    ("history", {"channel": "a", "after": 7}, "after 7: must be str"),
    ("history", {"channel": "a", "limit": 0}, "limit 0: must be a whole number from 1"),
    ("publish", {"data": None, "key": "k", "type": "t"}, "type 't': needs data"),
    ("last", {"channel": "a", "key": 7}, "key 7: must be str"),
    ("subscribe", {"start": "retain"}, "did you mean 'retained'?"),
    ("subscribe", {"start": 0}, "start 0: must be"),
    ("subscribe", {"last_event_id": 5}, "last_event_id 5: must be str"),
]


@pytest.mark.parametrize("url", ["memory"], indirect=True)
def test_mistakes(face):
    """They name the value and the rule, and store nothing."""
    for verb, arguments, message in MISTAKES:
        with pytest.raises(InvalidFieldError) as caught:
            getattr(face, verb)(**arguments)
        assert message in str(caught.value), (verb, arguments)
    with pytest.raises(EventTooLargeError):
        face.end("a", "x" * 2000)
    assert face.history("sse") == face.history("a") == []
