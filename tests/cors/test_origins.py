"""Origins are parsed strictly, and expressions and functions only see valid ones."""

import pytest

from heliograph.cors import CorsRequest
from heliograph.cors.origin_rules import parse_origins
from heliograph.cors.origins import MAX_CHARACTERS, is_origin

GOOD = [
    "https://app.example",
    "http://localhost:3000",
    "http://127.0.0.1:5000",
    "http://[::1]:8080",
    "https://xn--bcher-kva.example",
    "https://under_score.example",
    "https://app.example.",
    "http://localhost.:1",
    "https://app.example:65535",
    "http://app.example:443",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "capacitor://localhost",
    "file://",
    "app://.",
    "app://-",
    "app://",
    "moz-extension://7ea0c2b2-6b1e-4a3c-9d55-0a1f6a1d3e7c",
    "safari-web-extension://4D9A7F3C-0001-4AD2-8CE5-1F2E3D4C5B6A",
    "https://" + "a" * (MAX_CHARACTERS - len("https://")),
]

BAD = [
    "",
    "null",
    "*",
    "app.example",
    "//app.example",
    "https://",
    "https:///",
    "https://app.example/",
    "https://app.example/path",
    "https://app.example?q",
    "https://app.example#f",
    "https://user@app.example",
    "https://user:password@app.example",
    "https://app.example,https://evil.example",
    "https://app.example, https://evil.example",
    "https://app.example https://evil.example",
    " https://app.example",
    "https://app.example\n",
    "https://app.example\r\nX: y",
    "https://app.example\0",
    "https://app.example\x1b[31m",
    "https://app.example\t",
    "HTTPS://app.example",
    "https://APP.example",
    "https://b\u00fccher.example",
    "https://app\u3002example",
    "https://app.example:443",
    "http://app.example:80",
    "https://app.example:",
    "https://app.example:0",
    "https://app.example:08",
    "https://app.example:65536",
    "https://app.example:999999",
    "https://app.example:port",
    "https://app.example:\u0661",
    "https://app.example!.evil.example",
    "https://app.example{.evil.example",
    "https://app.example`.evil.example",
    "https://app.example%2eevil.example",
    "https://app.example\\.evil.example",
    "https://[::1",
    "https://.app.example",
    "https://a..example",
    "https://.",
    "https://[::g]",
    "1http://app.example",
    "file:///",
    "file:///index.html",
    "app://./",
    "app://a b",
    "app://a@b",
    "App://.",
    "https://app://.",
    "https://" + "a" * MAX_CHARACTERS,
]


@pytest.mark.parametrize("text", GOOD)
def test_origins(text):
    """What browsers send is an origin."""
    assert is_origin(text)


@pytest.mark.parametrize("text", BAD, ids=ascii)
def test_no_origins(text):
    """Nothing else is an origin."""
    assert not is_origin(text)


def test_functions_are_asked_in_order():
    """Functions are called in order, up to the first that returns True."""
    asked = []

    def no(origin, request):
        asked.append(("no", origin, request.path))
        return False

    def yes(origin, request):
        asked.append(("yes", origin, request.path))
        return True

    origins = parse_origins([no, yes, no], [])

    assert origins.ask("https://app.example", CorsRequest("GET", "/x")) is True
    assert asked == [
        ("no", "https://app.example", "/x"),
        ("yes", "https://app.example", "/x"),
    ]


class AsyncObject:
    async def __call__(self, origin, request):
        return origin == "https://app.example"


async def test_async_functions():
    """Async functions are awaited, among others that are not async."""
    origins = parse_origins([lambda *_: False, AsyncObject()], [])

    assert await origins.ask_async("https://app.example", CorsRequest("GET")) is True
    assert await origins.ask_async("https://b.example", CorsRequest("GET")) is False


@pytest.mark.parametrize(
    "answer",
    [None, 1, "yes", [], object()],
    ids=["None", "1", "yes", "list", "object"],
)
async def test_answers_that_are_none(answer):
    """Only True and False are answers: nothing is granted by accident."""
    origins = parse_origins(lambda *_: answer, [])

    with pytest.raises(TypeError, match="must return True or False"):
        origins.ask("https://app.example", CorsRequest("GET"))
    with pytest.raises(TypeError, match="must return True or False"):
        await origins.ask_async("https://app.example", CorsRequest("GET"))


def test_async_function_where_nobody_can_wait():
    """Without async, an async function is an error, not a grant; its coroutine is closed."""
    origins = parse_origins(AsyncObject(), [])

    with pytest.raises(TypeError, match="is async"):
        origins.ask("https://app.example", CorsRequest("GET"))


def test_an_awaitable_that_is_no_coroutine():
    """An awaitable that is not a coroutine is an error, too."""

    class Waiting:
        def __await__(self):
            yield

    origins = parse_origins(lambda *_: Waiting(), [])

    with pytest.raises(TypeError, match="is async"):
        origins.ask("https://app.example", CorsRequest("GET"))
