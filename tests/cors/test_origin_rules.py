"""What the option ``origins`` may contain, and what is said of mistakes in it."""

import re

import pytest

from heliograph.cors.origin_rules import lets_strangers_in, parse_origins

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
    ("https://app.example:99999", "is not an origin"),
    ("file:///index.html", "'null'"),
    ("", "is not an origin"),
    ("https://*.com", "anybody may have"),
    ("https://*", "anybody may have"),
    ("http://192.168.1.*", "anybody may have"),
    ("http://localhost.*", "':*' for any port"),
    ("https://**.app.example", "two stars"),
    ("https://a*b*.app.example", "two stars"),
    ("*localhost*", "is not an origin"),
    (".example.com", "is not an origin"),
    ("https://.example.com", "is not an origin"),
    ("https://a..example", "is not an origin"),
    ("file://*", "'null'"),
    ('["https://app.example"]', "json.loads"),
    ("['https://app.example']", "json.loads"),
    ("http://[::1]:08", "is not an origin"),
    ("(", "read as a regular expression"),
    ("https://(a+)+", "exponential time"),
    (re.compile("(a+)+"), "exponential time"),
    (re.compile(b"a"), "bytes"),
    (5, "not a string"),
    (None, "not a string"),
    (b"https://app.example", "not a string"),
    (["https://app.example"], "not a string"),
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
