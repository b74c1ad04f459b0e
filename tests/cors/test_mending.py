"""What to write instead of an expression."""

import re

import pytest

from heliograph.cors.mending import mended_empty, mended_open, quoted

OPEN = [
    ("https://api.good.example", r"https://api\.good\.example"),
    (r"https://.*example\.com", r"https://(.*\.)?example\.com"),
    (r"https://\w+example\.com", r"https://(\w+\.)?example\.com"),
    ("https://.*.app.example", r"https://.*\.app\.example"),
    (r"https://app\.example.*", r"https://app\.example"),
    (r"https://[a.]b.example", r"https://[a.]b\.example"),
    ("https://.*app.example.*", r"https://(.*\.)?app\.example"),
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
    (r"App\.example:443/", r"https://app\.example"),
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


def test_verbose():
    """An expression with comments is not changed."""
    assert mended_empty(re.compile(r"localhost # here", re.VERBOSE)) is None


@pytest.mark.parametrize(
    ("text", "shown"), [(r"a\.b", r"r'a\.b'"), ("a'b", '"a\'b"'), ("a\\", r"'a\\'")]
)
def test_quoted(text, shown):
    """An expression is shown as a program has it."""
    assert quoted(text) == shown
