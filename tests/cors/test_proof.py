"""What an expression allows is proven, and shown with an example."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.cors.origins import is_origin
from heliograph.cors.proof import Example, examine
from heliograph.cors.regex import compile_bounded
from heliograph.cors.shapes import PRIVATE_NAMES

# All that these match is below one of the names behind them, or nobody else's.
CLOSED = [
    (r"https://([a-z]+\.)*example\.com", {"example.com"}),
    (r"https://([a-z]+\.)+example\.com", {"example.com"}),
    (r"https://([a-z]+\.){0,2}example\.com", {"example.com"}),
    (r"https://(?:[\w-]+\.)*example\.com", {"example.com"}),
    (r"https://.*\.app\.example", {"app.example"}),
    (r"https?://(.+\.)?app\.example(:\d+)?", {"app.example"}),
    (r"https://[^.]+\.app\.example\.?", {"app.example"}),
    (r"https://.*-preview\.vercel\.app", {"vercel.app"}),
    (r"https://app[12]\.example", {"app1.example", "app2.example"}),
    (r"https://(app|api)\.(com|org)", {"app.com", "app.org", "api.com", "api.org"}),
    (r"(?i:HTTPS)://(?i:A(?-i:pp))\.example", {"app.example"}),
    (r"(?i)HTTPS://APP\.EXAMPLE(:.*)?", {"app.example"}),
    (r"https://(?!www)[a-z]+\.app\.example", {"app.example"}),
    (r"(chrome|moz)-extension://.*", set()),
    (r"app://.*", set()),
    (r"http://192\.168\.\d+\.\d+(:\d+)?", set()),
    (r"http://10\.0\.\d+\.\d+:3000", set()),
    (r"http://172\.(1[6-9]|2\d|3[01])\.\d+\.\d+(:\d+)?", set()),
    # The dots stand for any character, but no other address and no name fits.
    (r"http://192.168.1.\d+", set()),
    (r"http://203\.0\.113\.7", set()),
    (r"https?://localhost(:\d+)?", set()),
    (r"http://localhost:.*", set()),
    (r"https?://server\d+(:\d+)?", set()),
    (r"https://[a-z]+\.(local|test):3000", set()),
    (r".*\.example\.com", {"example.com"}),
    (r"(https?|wss?)://(.*\.)?example\.com", {"example.com"}),
    (r"https://example\.com:?\d*", {"example.com"}),
    (r"http://192\.168[.\d]+:3000", set()),
    (r".*://192\.168\.\d+\.\d+:\d+", set()),
    (r"http://\[(::1|fd00::[0-9a-f]+)\]:\d+", set()),
]


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in CLOSED])
def test_closed(pattern):
    """Nothing of somebody else is found."""
    found = examine(compile_bounded(pattern, ignore_case=False))

    assert found == (False, None, None)


PARTS = [
    "app", "app1", "app2", "api", "example", "com", "org", "vercel", "-preview", "evil", "x",
    ".", ".", ".", "-", "1", "10", "172.16", "192.168", "203.0.113", "localhost", "server",
    "local", "test", ":3000", ":1", "[::1]", "/", "@", "app.example", "example.com",
]  # fmt: skip


@settings(max_examples=1_000, deadline=None)
@given(st.sampled_from(["http", "https"]), st.lists(st.sampled_from(PARTS), max_size=8))
def test_closed_is_true(scheme, parts):
    """No origin that is made of the same words is allowed, and somebody else's."""
    origin = f"{scheme}://{''.join(parts)}"
    if not is_origin(origin):
        return
    host = re.sub(r":\d+$", "", origin.partition("://")[2]).removesuffix(".")
    labels = host.split(".")
    is_own = (
        len(labels) == 1
        or labels[-1] in PRIVATE_NAMES
        or re.fullmatch(r"(10|127|172\.16|192\.168|203\.0\.113)\.[\d.]+|\[::1\]", host)
    )

    for pattern, names in CLOSED:
        if re.fullmatch(pattern, origin):
            # No last label of the DNS has a digit.
            exists = labels[-1].isalpha()
            assert is_own or not exists or ".".join(labels[-2:]) in names


# (expression, an origin of somebody else, whether it is an accident without credentials)
OPEN = [
    ("https://api.good.example", "https://apixgood.example", True),
    (r"https://api\.good.example", "https://api.goodxexample", True),
    (r"https://.*example\.com", "https://evilexample.com", True),
    (r"https://.+example\.com", "https://evilexample.com", True),
    ("https://.*.app.example", "https://evilapp.example", True),
    (r"https://app\.example.*", "https://app.example.evil.example", True),
    (r"https://app\.example(\.\w\w)*", "https://app.example.xx", True),
    (r"https://app\..*", "https://app.xx.evil.example", True),
    (r"https://(a\.example|.*b\.example)", "https://evilb.example", True),
    (r"http://example\d+\.com", "http://example0.com", True),
    (r"https?://server.*", "https://server.xx.evil.example", True),
    (r"http://192.168.1.*", None, True),
    (r"https://([a-z]+\.)*com", None, False),
    (r"https://.*\.com", "https://evil.com", False),
    ("https?:/{2}.*", "https://evil.example", False),
    (r"https?://[^/]+:8080", "https://evil.example:8080", False),
    (r"http://\d+\.\d+\.\d+\.\d+", "http://1.0.0.0", False),
    (r"http://203\.0\.113\.\d+", "http://203.0.113.0", False),
    (r"https://\[2001:db8::[0-9a-f]\]", "https://[2001:db8::0]", False),
    (r"https://example|file://", "file://", False),
    (r"https://app[1-9]\.example", "https://app1.example", True),
    ("https://(?i:.*EXAMPLE\\.COM)", "https://evilexample.com", True),
    (r"https://www\.?example\.com", "https://wwwexample.com", True),
    (r"https?://(www)?\.?example\.com", "https://wwwexample.com", True),
    (r"http://192\.168\.\d+\.\d+.*", None, True),
    (r"https://api\Wexample\.com", "https://api-example.com", True),
    (r"https://(www[^a-z0-9])?example\.com", "https://www-example.com", True),
    (r"https://.*app\.co\.uk", "https://evilapp.co.uk", True),
    (r"https://.*\.co\.uk", "https://evil.co.uk", False),
    (r"https://[a-z]{5,10}\.com", "https://xxxxevil.com", False),
    (r"https://example\.[a-z]{2,3}", "https://example.xxx", True),
    ("ipfs://.*", "ipfs://evil.example", False),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "origin", "is_accident"), OPEN)
def test_open(pattern, origin, is_accident):
    """An example shows what may be somebody else's, and whether it was meant."""
    expression = compile_bounded(pattern, ignore_case=False)
    found = examine(expression)

    assert found.stranger is not None
    assert found.stranger.is_certain
    assert is_origin(found.stranger.origin)
    assert expression.fullmatch(found.stranger.origin)
    assert origin in {found.stranger.origin, None}
    assert (found.accident is not None) is is_accident


def test_unproven():
    """What a look-around excludes is not proven, and not stated as a fact."""
    found = examine(re.compile(r"https://(?=app\.example$).*"))

    assert found.stranger == Example("https://x.xxx", is_certain=False)
    assert found.accident is None


def test_a_dot_below_a_name():
    """A dot that stands for any character is an accident, even if no stranger gets in."""
    found = examine(re.compile(r"https://my.app\.github\.io"))

    assert found == (False, None, Example("https://myxapp.github.io", is_certain=True))


@pytest.mark.parametrize(
    "pattern",
    [
        r"localhost:\d+",
        r"example\.com$",
        r"https://*\.example\.com",
        r"https://app\.example/",
        r"https://app\.example:443",
        r"http://app\.example:80",
        "https://APP",
        "https://a b",
        r"\.example",
        "null",
        "",
        r"file://\w+",
        r"wss://app\.example",
    ],
)
def test_empty(pattern):
    """What can match no origin is found."""
    assert examine(re.compile(pattern)).is_empty
