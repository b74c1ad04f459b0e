"""What the option ``origins`` may contain, and what is said of mistakes in it."""

import re

import pytest

from heliograph.cors.origin_rules import parse_origins

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
    ("https//app.example", "write 'https://app.example'"),
    ("https:app.example", "write 'https://app.example'"),
    ('"https://app.example"', "quotation marks in it; write 'https://app.example'"),
    ("'https://app.example'", "quotation marks in it; write 'https://app.example'"),
    ("ws://app.example", "write 'http://app.example'"),
    ("wss://app.example/x", "write 'https://app.example'"),
    ("ftp://app.example", "write 'https://app.example'"),
    ("https://*.app.example:443", "write 'https://*.app.example'"),
    ("http://*.app.example:80", "write 'http://*.app.example'"),
    ("app.example", "has no scheme; write 'https://app.example'"),
    ("localhost:3000", "has no scheme; write 'http://localhost:3000'"),
    ("127.0.0.1:5500", "has no scheme; write 'http://127.0.0.1:5500'"),
    ("192.168.1.5:8080", "has no scheme; write 'http://192.168.1.5:8080'"),
    ("[::1]:3000", "has no scheme; write 'http://[::1]:3000'"),
    ("nas.local", "has no scheme; write 'http://nas.local'"),
    ("*.app.example", "has no scheme; write 'https://*.app.example'"),
    ("https://a.example, https://b.example", '["https://a.example", "https://b.example"]'),
    ("https://a.example/,https://b.example/", '["https://a.example", "https://b.example"]'),
    ("https://a.example;https://b.example", '["https://a.example", "https://b.example"]'),
    ("https://a.example,", 'a list of origins: ["https://a.example"]'),
    (
        "localhost:3000,https://*.b.example",
        '["http://localhost:3000", "https://*.b.example"]',
    ),
    ("https://a.example, nobody knows!", "write several as a list"),
    ("https://a.example https://b.example", '["https://a.example", "https://b.example"]'),
    ("https://b\u00fccher.example:3000/", "'https://xn--bcher-kva.example:3000'"),
    ("https://stra\u00dfe.example", "as 'https://xn--"),
    ("https://app.example:99999", "not between 1 and 65535"),
    ("file:///index.html", "'file://'"),
    ("", "is empty"),
    (" ", "is empty"),
    ("https://*.com", "anybody may have"),
    ("https://*", "anybody may have"),
    ("http://192.168.*", "four numbers"),
    ("192.168.*", "four numbers"),
    ("http://300.1.1.1", "four numbers"),
    ("http://1.2.3.4.5", "four numbers"),
    ("http://127.1", "write 'http://127.0.0.1'"),
    ("http://0x7f.0.0.1:80", "write 'http://127.0.0.1'"),
    ("http://010.0.0.1", "write 'http://8.0.0.1'"),
    ("http://[2001:DB8::1]:3000", "write 'http://[2001:db8::1]:3000'"),
    ("http://[0:0:0:0:0:0:0:1]", "write 'http://[::1]'"),
    ("http://[2001:0db8::1]", "write 'http://[2001:db8::1]'"),
    ("http://[::ffff:127.0.0.1]", "write 'http://[::ffff:7f00:1]'"),
    ("http://[::ffff:127.0.0.1]:*", "write 'http://[::ffff:7f00:1]:*'"),
    ("http://[1::2::3]", "is not an origin"),
    ("http://localhost.*", "':*' for any port"),
    ("https://**.app.example", "two stars"),
    ("https://a*b*.app.example", "two stars"),
    ("*localhost*", "is not an origin"),
    (".example.com", "write 'https://*.example.com' for all names below it"),
    ("https://.example.com", "write 'https://*.example.com'"),
    ("https://a..example", "is not an origin"),
    ("file://*", "'null'"),
    ('["https://app.example"]', 'write the list itself: ["https://app.example"]'),
    ("['https://app.example']", 'write the list itself: ["https://app.example"]'),
    (
        "[https://a.example, https://b.example]",
        '["https://a.example", "https://b.example"]',
    ),
    (
        '["https://a.example",\n"https://b.example"]',
        '["https://a.example", "https://b.example"]',
    ),
    ('["nobody!", "x y"]', "json.loads"),
    ("$CORS_ORIGINS", "a variable that was not replaced"),
    ("https://${HOST}", "a variable that was not replaced"),
    ("https://{tenant}.app.example", "a variable that was not replaced"),
    ("{{ origin }}", "a variable that was not replaced"),
    ('"null"', "quotation marks in it; write 'null'"),
    ('"*"', "quotation marks in it; write '*'"),
    ("'self'", "quotation marks in it; write an origin"),
    (
        "\u201chttps://app.example\u201d",
        "quotation marks in it; write 'https://app.example'",
    ),
    (r"/^https:\/\/app\.example$/i", r"write r'^https:\/\/app\.example$'"),
    ("self", "'http://self' if it is a host"),
    ("3000", "such as 'https://app.example'"),
    ("10.0.0.0/8", "write 'http://10.*.*.*:*'"),
    ("http://192.168.0.0/16", "write 'http://192.168.*.*:*'"),
    ("[]", "an empty list in one text"),
    ("r'http://localhost:3000'", "write what is in it: http://localhost:3000"),
    (
        "https://app.example\u200b",
        "an invisible character in it; write 'https://app.example'",
    ),
    ("<all_urls>", "write '*'"),
    ("https://<your-domain>", "a variable that was not replaced"),
    ("https://undefined", "a value that is not set"),
    ("htps://app.example", "write 'https://app.example'"),
    ("htps://*.app.example", "write 'https://*.app.example'"),
    ("https://https://app.example", "write 'https://app.example'"),
    ("blob:https://app.example", "write 'https://app.example'"),
    ("ORIGIN=https://app.example", "write 'https://app.example'"),
    ("https://app.example # here", "write 'https://app.example'"),
    ("- https://app.example", "write 'https://app.example'"),
    ("https://app.example?x=1", "write 'https://app.example'"),
    ("//app.example", "write 'https://app.example'"),
    ("http://localhost:3000-3010", "write 'http://localhost:*' for any port"),
    ("http://localhost:300*", "write 'http://localhost:*' for any port"),
    ("http://localhost:", "the port '', which is not a number"),
    ("http://localhost:abc", "the port 'abc', which is not a number"),
    ("http://::1", "write 'http://[::1]'"),
    ("http://192.168.0.1-255", "write 'http://192.168.0.*:*'"),
    ("http://localhost:{3000,5173}", "write r'http://localhost:(3000|5173)'"),
    (r"https://{a,b}\.example", r"write r'https://(a|b)\.example'"),
    (r"http(s)://app\.example", r"write r'https?://app\.example'"),
    (r"\.app\.example$", r"write r'https://.*\.app\.example$'"),
    ("wss://*.app.example", "write 'https://*.app.example'"),
    ("*, null", '["*", "null"]'),
    ("https://a.example and https://b.example", "write several as a list"),
    (r"http://[2001:db8::1](:\d+)?", r"write r'http://\[2001:db8::1\](:\d+)?'"),
    (
        re.compile(r"https?://(localhost|[::1]):\d+"),
        r"write r'https?://(localhost|\[::1\]):\d+'",
    ),
    ("http://[2001:db8::*]", r"write r'http://\[2001:db8::.*\]'"),
    ("http://localhost:[3000,3001]", "write r'http://localhost:(3000|3001)'"),
    ("http://localhost:[*]", r"write r'http://localhost(:\d+)?'"),
    (
        "https?://localhost:*",
        r"':*' repeats one character; write r'https?://localhost(:\d+)?'",
    ),
    (
        r"https://*example\.com",
        r"'/*' repeats one character; write r'https://(.*\.)?example\.com'",
    ),
    ("https://(a*", "'a*' repeats one character; write '.*' for any text"),
    (r"null|https://app\.example", "write 'null' as a rule of its own"),
    ("^null$", "write 'null'"),
    (r"http://localhost:3000|localhost:5173", "write r'http://localhost:5173' for it"),
    (r"https://app\.example|#", "has the alternative '#', which matches no origin"),
    (r"http://10.\d+.\d+.\d+:3000", r"write r'http://10\.\d+\.\d+\.\d+:3000'"),
    ("https://[a#", "not a valid regular expression"),
    ("http://[::1]:08", "write 'http://[::1]:8'"),
    ("(", "read as a regular expression"),
    (r"localhost:\d+", r"write r'http://localhost:\d+'"),
    (r"example\.com$", r"write r'https://example\.com$'"),
    (r"https://*\.example\.com", r"write r'https://.*\.example\.com'"),
    (r"https://app\.example/", r"write r'https://app\.example'"),
    (r"https://app\.example:443", r"write r'https://app\.example'"),
    (re.compile(r"https://App\.example"), r"write r'https://app\.example'"),
    (r"a\.example|b\.example", r"write r'https://(?:a\.example|b\.example)'"),
    (r"[A-Z]+#", r"for example r'"),
    ("https://(a+)+", "exponential time"),
    (re.compile("(a+)+"), "exponential time"),
    (re.compile(b"a"), "is an expression, but it matches bytes"),
    (5, "not a string"),
    (None, "a variable of the environment"),
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
    "option",
    [None, 5, b"https://app.example", [], (), set(), {"https://a.example": 1}],
    ids=repr,
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
        "http://192.168.1.*:3000",
        ["http://192.168.1.7:3000"],
        ["http://192.168.1.evil:3000", "http://192.168.1.7", "http://192.168.1.7.8:3000"],
        id="numbers-of-an-address",
    ),
    pytest.param(
        "chrome-extension://*",
        ["chrome-extension://abcdefghijklmnop"],
        ["moz-extension://abcdefghijklmnop", "https://a.example"],
        id="programs",
    ),
    pytest.param(
        ["file://", "app://.", "capacitor://localhost"],
        ["file://", "app://.", "capacitor://localhost"],
        ["app://", "app://x", "null", "file://x"],
        id="programs-by-name",
    ),
    pytest.param(
        r"https*://(app|api)\.example",
        ["https://app.example", "http://api.example"],
        ["https://evil.example"],
        id="an-s-that-may-be-repeated",
    ),
    pytest.param(
        r"(https://[a-z]{1,3}\.app\.example)",
        ["https://abc.app.example"],
        ["https://abcd.app.example"],
        id="a-comma-in-a-bound",
    ),
    pytest.param(
        r"(app|file)://\.?",
        ["app://.", "file://", "app://"],
        ["app://x"],
        id="expressions-see-programs",
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
        re.compile(r"https://(APP|b)\.example"),
        ["https://b.example"],
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
    ("function", "is_taken"),
    [
        (lambda origin: True, False),
        (lambda: True, False),
        (lambda *_: True, True),
        (max, True),
    ],
    ids=["one", "none", "any", "builtin"],
)
def test_arguments_of_functions(function, is_taken):
    """A function takes the origin and the request; what cannot be known is taken."""
    problems = []
    origins = parse_origins(function, problems)

    assert bool(origins.functions) is is_taken
    assert ["must take two arguments" in problem for problem in problems] == (
        [] if is_taken else [True]
    )
