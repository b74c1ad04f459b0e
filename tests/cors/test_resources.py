"""The most specific resource wins."""

import re

import pytest

from heliograph.cors.regex import UnsafeRegexError
from heliograph.cors.resources import (
    Resources,
    find_unambiguous,
    parse_resource,
    resolve_dots,
)


def resources(*texts):
    return Resources([(parse_resource(text), text) for text in texts])


# (resource, paths that it is for, paths that it is not for)
RESOURCES = [
    ("/api/users", ["/api/users"], ["/api/users/", "/api/users/1", "/Api/users", "/api"]),
    ("/api/*", ["/api", "/api/", "/api/x/y", "/api/\n"], ["/apiary", "/x/api/", "/Api/x"]),
    ("/*", ["/", "/x", ""], []),
    ("*", ["/", "/x", ""], []),
    ("/api/*/users", ["/api/1/users", "/api/1/2/users"], ["/api/users", "/api/1/users/2"]),
    ("/api*", ["/api", "/apiary", "/api/x"], ["/ap"]),
    ("/api/v1.0/*", ["/api/v1.0/x"], ["/api/v1x0/x"]),
    ("/a**b", ["/ab", "/axb"], ["/a"]),
    ("/a+b{1}|d", ["/a+b{1}|d"], ["/aab"]),
    ("/api/*|/auth/*", ["/api/x", "/auth/x"], ["/x"]),
    (r"/api/v\d+/", ["/api/v1/", "/api/v12/x"], ["/api/vx/", "/x/api/v1/"]),
    (r"/api/.*", ["/api/", "/api/x"], ["/api"]),
    (re.compile("/api/v1"), ["/api/v1", "/api/v1/x"], ["/x/api/v1"]),
    (re.compile("/api$", re.IGNORECASE), ["/api", "/API"], ["/api/x"]),
    ("}", ["}"], ["/"]),
]


@pytest.mark.parametrize(("text", "inside", "outside"), RESOURCES, ids=str)
def test_paths(text, inside, outside):
    """A resource is a path, a path with stars, or the beginning of one as an expression."""
    found = resources(text)

    assert [path for path in inside if found.find(path) is None] == []
    assert [path for path in outside if found.find(path) is not None] == []


# (resources, path, the one that wins), whatever the order in which they are written.
WINNERS = [
    (["/api/secret", "/[a-zA-Z0-9_/-]*.*"], "/api/secret", "/api/secret"),
    (["/api/v1/.*", "/[a-z]*/[a-z0-9]*/[a-z]*"], "/api/v1/x", "/api/v1/.*"),
    (["/*", "/api/*", "/api/v1/*"], "/api/v1/x", "/api/v1/*"),
    (["/*", "/api/*", "/api/v1/*"], "/api/x", "/api/*"),
    (["/*", "/api/*", "/api/v1/*"], "/x", "/*"),
    (["/api/secret", "/api/secret*"], "/api/secret", "/api/secret"),
    ([r"/api/\d+", r"/api/\d+/secret"], "/api/1/secret", r"/api/\d+/secret"),
    (["*", "/*"], "/x", "/*"),
    (["/*", "/(admin|billing)"], "/admin", "/(admin|billing)"),
    (["/*", "(/admin|/billing)/.*"], "/admin/x", "(/admin|/billing)/.*"),
    (["/api/*", "/api/(admin|billing)"], "/api/admin/x", "/api/(admin|billing)"),
    (["/api/*", "/(api)/admin/.*"], "/api/admin/x", "/(api)/admin/.*"),
    (["/api/*", r"/\w+/admin/.*"], "/api/admin/x", r"/\w+/admin/.*"),
    (["/api/*", "/[^/]+/admin$"], "/api/admin", "/[^/]+/admin$"),
    (["/api/v1/*", r"/api/v\d+/admin/.*"], "/api/v1/admin/x", r"/api/v\d+/admin/.*"),
    ([re.compile("/api/x"), "/api/*"], "/api/x", re.compile("/api/x")),
]


@pytest.mark.parametrize(("texts", "path", "winner"), WINNERS)
def test_specificity(texts, path, winner):
    """Neither slashes nor a longer text make an expression more specific."""
    assert resources(*texts).find(path) == winner
    assert resources(*reversed(texts)).find(path) == winner


def test_order_decides_between_equals():
    """Between equals, the first wins; rules that are added later come first."""
    first = Resources([(parse_resource("/a*"), 1), (parse_resource("/a*"), 2)])

    assert first.find("/a") == 1
    assert first.before([(parse_resource("/a*"), 0)]).find("/a") == 0
    assert first.before([(parse_resource("/b"), 0)]).find("/a") == 1


def test_long_paths():
    """No expression runs, and what one restricts does not fall to another resource."""
    found = resources("/*", "/admin/.*", "/exact")

    assert found.find("/admin/" + "x" * 2040) == "/admin/.*"
    assert found.find("/admin/" + "x" * 2042) is None
    assert found.find("/exact") == "/exact"
    assert resources("/*").find("/" * 100_000) == "/*"


def test_dangerous_expressions():
    """The cost of an expression for paths must be bounded, too."""
    with pytest.raises(UnsafeRegexError, match="exponential"):
        parse_resource("/(a+)+$")


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("/a/b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/..", "/"),
        ("/../../b", "/b"),
        ("/.", "/"),
        ("/...", "/..."),
        ("/a/.b", "/a/.b"),
        ("/a//../b", "/a/b"),
        ("/a/../../b/./c/..", "/b/"),
        ("/", "/"),
    ],
)
def test_dots(path, resolved):
    """Dot segments are removed as RFC 3986 section 5.2.4 says."""
    assert resolve_dots(path) == resolved


# (resources, path, the one that applies whoever resolves the dots)
DOTS = [
    (["/api/*"], "/api/x", "/api/*"),
    (["/api/*"], "/x", None),
    (["/api/*"], "/api/.", "/api/*"),
    (["/api/*"], "/api/x/../y", "/api/*"),
    (["/api/*"], "/api/../x", None),
    (["/api/*"], "/x/../api/y", None),
    (["/api/*", "/*"], "/api/../x", None),
    (["/api/*", "/*"], "/x/../api/y", None),
    (["/api/*", "/*"], "/x/../y", "/*"),
]


@pytest.mark.parametrize(("texts", "path", "applies"), DOTS)
def test_ambiguous_paths(texts, path, applies):
    """A path that is of another resource once its dots are resolved is of none."""
    assert find_unambiguous(resources(*texts).find, path) == applies
