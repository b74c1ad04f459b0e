"""A resource that no path matches is refused, with what to write instead."""

import re

import pytest

from heliograph.cors.resource_texts import UnmatchableError, overlap
from heliograph.cors.resources import parse_resource

# (resource, words of the message)
MISTAKES = [
    ("api/*", "does not begin with a slash; write '/api/*'"),
    ("users", "does not begin with a slash; write '/users'"),
    ("https://api.example/api/*", "is a URL, and a resource is a path; write '/api/*'"),
    ("https://api.example", "is a URL, and a resource is a path; write '/*'"),
    (
        "HTTPS://api.example:8000/a/<id>?x=1",
        "is a URL, and a resource is a path; write '/a/",
    ),
    (r"https?://.*\.example/api/", "is a URL, and a resource is a path; write '/api/'"),
    (re.compile("^http://api/x"), "is a URL, and a resource is a path; write '/x'"),
    ("/api/<id>", "has a variable of a route, which has no meaning here; write '/api/*'"),
    ("/api/<int:id>/edit", "write '/api/*/edit'"),
    ("/<any(a, b):kind>/x", "write '/[^/]+/x'"),
    ("/api/{id}", "write '/api/*'"),
    ("/api/{path:path}", "write '/api/*'"),
    ("/api/:id/edit", "write '/api/*/edit'"),
    (r"/api/<id>/v\d+", r"write '/api/[^/]+/v\\d+'"),
    ("/api/*?x=1", "has a query, which is not part of a path; write '/api/*'"),
    ("/api/users?id=1&x=2", "write '/api/users'"),
    (r"/api/\w+\?x=", r"write '/api/\\w+'"),
    ("/app#/users", "has a fragment, which browsers do not send; write '/app'"),
    (
        "/caf%C3%A9",
        "is percent-encoded, and paths are compared after decoding; write '/café'",
    ),
    ("/a%2Fb/.*", "write '/a/b/.*'"),
    ("", "is empty; write '/*'"),
    (" /api/* ", "begins or ends with white space; write '/api/*'"),
    ("/api/*\n", "write '/api/*'"),
    (" api/<id>", "begins or ends with white space; write '/api/*'"),
    ("/a/*, /b/*", "is several paths in one text; write ['/a/*', '/b/*']"),
    ("/a;/b", "write ['/a', '/b']"),
    ("/a/* /b/*", "write ['/a/*', '/b/*']"),
    (r"(?i)api/v\d", "cannot match the slash with which each path begins"),
    (r"/api\v1", "with a control character; write '/api/v1'"),
    (r"\api\new", "with a control character; write '/api/new'"),
    (
        r"api/v\d+",
        r"cannot match the slash with which each path begins; write '/api/v\\d+'",
    ),
    (r"^api/", "begins; write '^/api/'"),
    (re.compile("api"), "begins; write '^/api'"),
    (r"\.json$", r"begins; write '/.*\\.json$'"),
    ("./api/*", "begins with a dot, and paths begin with a slash; write '/api/*'"),
    ("./api/.*", "begins with a dot, and paths begin with a slash; write '/api/.*'"),
    ("../api", "begins with dots, and paths begin with a slash; write '/api'"),
    ("../../api/*", "begins with dots, and paths begin with a slash; write '/api/*'"),
    (
        "localhost:5000/api/*",
        "begins with a host, and a resource is a path; write '/api/*'",
    ),
    ("localhost:5000", "begins with a host, and a resource is a path; write '/*'"),
    ("127.0.0.1:5000/api/.*", "begins with a host, and a resource is a path; write '/api/"),
    (
        "GET /api/*",
        "begins with a method, which belongs in the option methods; write '/api/*'",
    ),
    ("GET, POST /api/<id>", "in the option methods; write '/api/*'"),
    (
        '{"/api/*": {"origins": "*"}}',
        "is a list or a dict in one text; write {'/api/*': {'origins': '*'}}",
    ),
    ('{"api/*": {}}', "write {'/api/*': {}}"),
    ('["/a/*", "b"]', "is a list or a dict in one text; write ['/a/*', '/b']"),
    ("['/a/*']", "write ['/a/*']"),
    ('["/a/*", x]', "write ['/api/*']"),
    ("a/*, /b/<id>", "is several paths in one text; write ['/a/*', '/b/*']"),
    ("https://api.example/(", "is a URL, and a resource is a path; write a path, such as"),
    (re.compile("(api|auth)/"), "begins; write '/(api|auth)/'"),
    (r"\w+/x", r"begins; write '/\\w+/x'"),
    (r"[^/]+/x", "begins; write"),
    (r"(?:api)?users/\d", "begins; write"),
    ("a/.*|b/.*", "write a slash at the beginning of each alternative, or a list"),
    ("/a/*|b/*", "write a slash at the beginning of each alternative, or a list"),
]


@pytest.mark.parametrize(("text", "words"), MISTAKES, ids=str)
def test_mistakes(text, words):
    """The message says what is wrong and what to write."""
    with pytest.raises(UnmatchableError) as caught:
        parse_resource(text)

    assert words in str(caught.value)


ALLOWED = [
    "/", "*", "/*", "*.json", "}", "/service path", "/a,b", "/a:b/c", "/users?", "/100%",
    "/a{2}", r"/(?P<id>\d+)", r"/(?=api)", r"/api(?!/x)\w", r"(/a|/b)/.*", r"(api)?/x",
    r"^/api$", r"\A/x", r".*/x", r"[/x]a", r"[^x]api", r"(?s:.)x", r"/?api/", r"(?>/a)x",
    r"(|/api)/x", r"\S+/x", r"/a|/b|^/c$", r"/api\\new", r"/\bx", "/api/(a|b)", "/*|/a/*",
    re.compile("/a  # the beginning of a path", re.VERBOSE), re.compile(r"^(?:/a|/b)"),
]  # fmt: skip


@pytest.mark.parametrize("text", ALLOWED, ids=str)
def test_what_a_path_may_match(text):
    """Whatever may match a path is allowed."""
    parse_resource(text)


@pytest.mark.parametrize("text", [text for text, _ in MISTAKES], ids=str)
def test_what_is_offered(text):
    """Whatever a message says to write can be written."""
    with pytest.raises(UnmatchableError) as caught:
        parse_resource(text)

    instead = caught.value.instead
    for path in [instead] if isinstance(instead, str) else instead or ():
        if not caught.value.advice:
            parse_resource(path)


@pytest.mark.parametrize(
    ("one", "other", "do"),
    [
        ("", "", True),
        ("/a", "/a", True),
        ("/a", "/b", False),
        ("/a", "/ab", False),
        ("/a*", "/a", True),
        ("*", "", True),
        ("*", "*", True),
        ("/a*", "/b*", False),
        ("*/x", "/a/*", True),
        ("*/x", "/a", False),
        ("/*/b", "/a/*", True),
        ("/*/b/*", "/x/c/*", True),
        ("/*/b", "/a/c", False),
        ("/a*b", "/a", False),
        ("*a*", "bbb", False),
        ("*a*", "bab", True),
    ],
)
def test_overlap(one, other, do):
    """Two patterns have a text in common or none, whichever comes first."""
    assert overlap(one, other) is do
    assert overlap(other, one) is do
