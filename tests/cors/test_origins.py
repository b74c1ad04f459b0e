"""Origins are parsed strictly, and expressions and functions only see valid ones."""

import re

import pytest

from heliograph.cors import CorsRequest
from heliograph.cors.origins import (
    MAX_CHARACTERS,
    is_origin,
    lets_strangers_in,
    parse_origins,
)

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


# (what was written, what is said of it). Add a row, not a test.
MISTAKES = [
    ("https://app.example/", "write 'https://app.example'"),
    ("https://app.example/path", "write 'https://app.example'"),
    ("https://app.example/*", "write 'https://app.example'"),
    ("https://app.example:443", "write 'https://app.example'"),
    ("https://user:pw@app.example", "write 'https://app.example'"),
    ("https://App.Example", "write 'https://app.example'"),
    ("https://app.example ", "write 'https://app.example'"),
    ("https://app.example\r\n", "write 'https://app.example'"),
    ("https:/app.example", "write 'https://app.example'"),
    ("https://*.app.example:443", "write 'https://*.app.example'"),
    ("http://*.app.example:80", "write 'http://*.app.example'"),
    ("app.example", "has no scheme; write 'https://app.example'"),
    ("localhost:3000", "has no scheme; write 'https://localhost:3000'"),
    ("*.app.example", "has no scheme; write 'https://*.app.example'"),
    ("https://a.example, https://b.example", "write several as a list"),
    ("https://a.example https://b.example", "write several as a list"),
    ("https://b\u00fccher.example", "xn--"),
    ("https://app.example:99999", "is no origin"),
    ("file:///index.html", "'null'"),
    ("", "is no origin"),
    ("https://*.com", "anybody may have"),
    ("https://*", "anybody may have"),
    ("http://192.168.1.*", "anybody may have"),
    ("http://localhost.*", "':*' for any port"),
    ("https://**.app.example", "two stars"),
    ("https://a*b*.app.example", "two stars"),
    ("*localhost*", "is no origin"),
    (".example.com", "is no origin"),
    ("https://.example.com", "is no origin"),
    ("https://a..example", "is no origin"),
    ("file://*", "'null'"),
    ('["https://app.example"]', "json.loads"),
    ("['https://app.example']", "json.loads"),
    ("http://[::1]:08", "is no origin"),
    ("(", "taken for a regular expression"),
    ("https://(a+)+", "exponential time"),
    (re.compile("(a+)+"), "exponential time"),
    (re.compile(b"a"), "bytes"),
    (5, "no string"),
    (None, "no string"),
    (b"https://app.example", "no string"),
    (["https://app.example"], "no string"),
]


@pytest.mark.parametrize(("rule", "words"), MISTAKES, ids=ascii)
def test_mistakes(rule, words):
    """Each mistake says what to write instead; the other rules are read."""
    problems = []
    origins = parse_origins([rule, "https://other.example"], problems)

    (problem,) = problems
    assert problem.startswith("origins: ")
    assert words in problem
    assert origins.exact == {"https://other.example"}


@pytest.mark.parametrize(
    "option", [None, 5, b"https://app.example", [], (), set()], ids=repr
)
def test_no_rules(option):
    """There is no default: an empty list is a mistake."""
    problems = []
    parse_origins(option, problems)

    assert len(problems) == 1


# (rule, origins that match, origins that do not)
RULES = [
    pytest.param(
        "https://*.app.example",
        ["https://a.app.example", "https://a-b_c.app.example"],
        [
            "https://app.example",
            "https://.app.example",
            "https://a.b.app.example",
            "http://a.app.example",
            "https://a.app.example:8443",
            "https://a.app.example.evil.example",
            "https://aapp.example",
            "https://a.appxexample",
        ],
        id="one-label-per-star",
    ),
    pytest.param(
        "https://*.*.app.example",
        ["https://a.b.app.example"],
        ["https://a.app.example", "https://a.b.c.app.example"],
        id="two-stars",
    ),
    pytest.param(
        "https://pr-*.app.example",
        ["https://pr-7.app.example"],
        [
            "https://pr-.app.example",
            "https://xpr-7.app.example",
            "https://pr-a.b.app.example",
        ],
        id="part-of-a-label",
    ),
    pytest.param(
        "https://localhost:*",
        ["https://localhost", "https://localhost:1", "https://localhost:65535"],
        ["http://localhost:1", "https://localhost.evil.example:1", "https://localhosts"],
        id="any-port",
    ),
    pytest.param(
        "http://[::1]:*",
        ["http://[::1]", "http://[::1]:3000"],
        ["http://[::2]", "https://[::1]"],
        id="any-port-of-an-address",
    ),
    pytest.param(
        "http://*.localhost:3000",
        ["http://a.localhost:3000"],
        ["http://a.localhost", "http://a.localhost:30000"],
        id="below-a-private-name",
    ),
    pytest.param(
        r"https://(\w+\.)?app\.example",
        ["https://app.example", "https://a.app.example"],
        [
            "https://app.example.evil.example",
            "https://evil.example.https://app.example",
            "https://app.example:1",
        ],
        id="whole-origin",
    ),
    pytest.param(
        re.compile(r"https://app\.example|https://b\.example"),
        ["https://app.example", "https://b.example"],
        ["https://app.example.evil.example", "https://xhttps://b.example"],
        id="alternatives-are-whole",
    ),
    pytest.param(
        re.compile(r"^https://app\.example$", re.MULTILINE),
        ["https://app.example"],
        ["https://evil.example\nhttps://app.example"],
        id="multi-line",
    ),
    pytest.param(
        r"https://APP\.example", ["https://app.example"], [], id="text-ignores-case"
    ),
    pytest.param(
        re.compile(r"https://APP\.example"),
        [],
        ["https://app.example"],
        id="flags-are-kept",
    ),
    pytest.param(
        ["https://app.example", r".*\.b\.example"],
        ["https://app.example", "https://a.b.example"],
        ["https://b.example"],
        id="several",
    ),
]


@pytest.mark.parametrize(("rule", "allowed", "refused"), RULES)
def test_rules(rule, allowed, refused):
    """A rule matches a whole origin."""
    problems = []
    origins = parse_origins(rule, problems)

    assert problems == []
    assert [origin for origin in allowed if not origins.matches(origin)] == []
    assert [origin for origin in refused if origins.matches(origin)] == []


@pytest.mark.parametrize(
    ("pattern", "lets"),
    [
        ("https?://.*", True),
        (r"https://app\.example.*", True),
        (r"moz-extension://[0-9a-f-]+", False),
        (r"https://[^.]+\.app\.example", False),
        (r"https?:/{2}.*", True),
        (r"https?:(?://).*", True),
        (r"https?://.*:\d+", True),
        (r"https?://[^/]+:8080", True),
        (r"https://.*\.com", True),
        (r"https://.*example\.com", True),
        (r"https://.*.example.com", True),
        (r"https://(a\.example|.*)", True),
        (r"https://app\.example.*-?\d", True),
        (r"https://app\.example(\.\w\w)*", True),
        (r"(?i)HTTPS://app\.example.*", True),
        (r"(ab|cd|ef)(ab|cd|ef)(ab|cd|ef)(ab|cd|ef)", True),
        (r"http://localhost:.*", False),
        (r"https://app\.example(:.*)?", False),
        (r"https://[a-z]+\.localhost:3000", False),
        (r"https?://(.+\.)?app\.example(:\d+)?", False),
    ],
)
def test_strangers(pattern, lets):
    """An expression that matches names which anybody may register is found."""
    assert lets_strangers_in(re.compile(pattern)) is lets


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

    with pytest.raises(TypeError, match="returns True or False"):
        origins.ask("https://app.example", CorsRequest("GET"))
    with pytest.raises(TypeError, match="returns True or False"):
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
