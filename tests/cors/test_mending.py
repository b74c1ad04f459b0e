"""What to write instead of an expression."""

import re

import pytest

from heliograph.cors.mending import (
    mended_cost,
    mended_empty,
    mended_open,
    mended_star,
    quoted,
)

OPEN = [
    ("https://api.good.example", r"https://api\.good\.example"),
    (r"https://.*example\.com", r"https://(.*\.)?example\.com"),
    (r"https://\w+example\.com", r"https://(\w+\.)?example\.com"),
    ("https://.*.app.example", r"https://.*\.app\.example"),
    (r"https://app\.example.*", r"https://app\.example"),
    (r"https://[a.]b.example", r"https://[a.]b\.example"),
    ("https://.*app.example.*", r"https://(.*\.)?app\.example"),
    (r"https://(.*\.?)example\.com", r"https://(.*\.)?example\.com"),
    (r"https://www\.?example\.com", r"https://www\.example\.com"),
    (r"http://192\.168\.1\.\d+:?.*", r"http://192\.168\.1\.\d+(:\d+)?"),
    (r"https?://localhost.*", r"https?://localhost(:\d+)?"),
    (r"https://app\.example[^/]*$", r"https://app\.example"),
    (r"http.*example\.com", None),
    ("https://.{200}.example.com", None),
    (r"https://.*", None),
    (r"https://(.+)\.com", None),
]
EMPTY = [
    (r"localhost:\d+", r"http://localhost:\d+"),
    (r"^example\.com$", r"https://example\.com$"),
    (r"https://*\.example\.com", r"https://.*\.example\.com"),
    (r"^https:\/\/app\.example\/$", r"^https:\/\/app\.example"),
    (r"https://app\.example/.*", r"https://app\.example"),
    (r"https://app\.example:443", r"https://app\.example"),
    (r"https://App\.example:443", r"https://app\.example"),
    (r"https://\D+\.App\.example", r"https://\D+\.app\.example"),
    ("$HOST", None),
    ("#", None),
]


@pytest.mark.parametrize(("pattern", "mended"), OPEN)
def test_open(pattern, mended):
    """What is too open gets literal dots, whole labels, or a fixed end."""
    assert mended_open(re.compile(pattern)) == mended


@pytest.mark.parametrize(("pattern", "mended"), EMPTY)
def test_empty(pattern, mended):
    """What matches nothing gets a scheme, or loses what no origin has."""
    assert mended_empty(re.compile(pattern)) == mended


@pytest.mark.parametrize(
    ("rule", "mended"),
    [
        (r"http://10.\d+.\d+.\d+:3000", r"http://10\.\d+\.\d+\.\d+:3000"),
        (r"https://.*-.*-.*\.example", None),
        ("(", None),
        (re.compile(b"a.b"), None),
    ],
)
def test_cost(rule, mended):
    """Literal dots often bound the cost."""
    assert mended_cost(rule) == mended


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("https?://localhost:*", r"https?://localhost(:\d+)?"),
        (r"https://*example\.com", r"https://(.*\.)?example\.com"),
        (r"https://*.\.example\.com", r"https://.*\.example\.com"),
        (r"https://app-*\.example\.com", r"https://app-.*\.example\.com"),
        ("https?://*.example.com", r"https?://.*\.example\.com"),
        ("https://(a*", None),
        ("https://*", None),
    ],
)
def test_stars(text, mended):
    """A star of a pattern becomes any text, or any port."""
    assert mended_star(text) == mended


def test_verbose():
    """An expression with comments is not changed."""
    assert mended_empty(re.compile(r"localhost # here", re.VERBOSE)) is None


@pytest.mark.parametrize(
    ("text", "shown"), [(r"a\.b", r"r'a\.b'"), ("a'b", '"a\'b"'), ("a\\", r"'a\\'")]
)
def test_quoted(text, shown):
    """An expression is shown as a program has it."""
    assert quoted(text) == shown
