"""Names of methods and headers: what may be listed, and what a preflight may ask for."""

import re

import pytest

from heliograph.cors.names import parse_allow_headers, parse_methods, parse_names


def parse_exposed(option, problems):
    return parse_names("expose_headers", option, problems)


# (function, what was written, words of the problem). Add a row, not a test.
MISTAKES = [
    (parse_methods, "post", ["methods: 'post'", "write 'POST'"]),
    (
        parse_methods,
        "GET, POST",
        ["methods: 'GET, POST' is several", "write ['GET', 'POST']"],
    ),
    (parse_methods, "GET,POST", ["write ['GET', 'POST']"]),
    (parse_methods, ["GET POST"], ["methods: 'GET POST'", "write ['GET', 'POST']"]),
    (parse_methods, " GET ", ["methods: ' GET ' is a name with", "write 'GET'"]),
    (parse_methods, 3, ["methods: 3 is neither", "write a list, such as ['GET', 'POST']"]),
    (parse_methods, True, ["methods: True is neither"]),
    (parse_methods, ["P(ST"], ["methods: 'P(ST'"]),
    (parse_methods, [""], ["methods: ''"]),
    (parse_methods, ["G*T"], ["methods: 'G*T'"]),
    (parse_methods, [5], ["methods: 5 is not a string"]),
    (parse_methods, None, ["methods: None", "a list"]),
    (parse_methods, b"GET", ["methods: b'GET'", "write 'GET'"]),
    (parse_allow_headers, ["X Y"], ["allow_headers: 'X Y'", "write ['X', 'Y']"]),
    (parse_allow_headers, "X-A,X-B", ["allow_headers: 'X-A,X-B'", "write ['X-A', 'X-B']"]),
    (parse_allow_headers, "X-A:", ["allow_headers: 'X-A:' has a colon; write 'X-A'"]),
    (parse_allow_headers, ["X-A: 1"], ["allow_headers: 'X-A: 1' has a colon; write 'X-A'"]),
    (parse_allow_headers, [""], ["allow_headers: '' is not a token"]),
    (parse_allow_headers, ["X-\u00e4"], ["allow_headers: 'X-\u00e4'"]),
    (parse_allow_headers, ["(x+)+"], ["allow_headers: '(x+)+'", "exponential"]),
    (
        parse_allow_headers,
        [r"X-A: \w+"],
        [r"allow_headers: 'X-A: \\w+'", "matches no name", "X-Company"],
    ),
    (
        parse_allow_headers,
        [re.compile(r"\s*")],
        ["allow_headers: re.compile", "matches no name"],
    ),
    (parse_allow_headers, ["("], ["allow_headers: '('"]),
    (parse_allow_headers, [5], ["allow_headers: 5 is not a string"]),
    (parse_allow_headers, None, ["allow_headers: None", "such as ['Content-Type']"]),
    (parse_exposed, False, ["expose_headers: False", "such as ['X-Total']"]),
    (parse_exposed, "X-A, X-B", ["expose_headers: 'X-A, X-B'", "write ['X-A', 'X-B']"]),
    (parse_exposed, ["X-A\r\n"], ["expose_headers: 'X-A\\r\\n'"]),
]


@pytest.mark.parametrize(("parse", "option", "words"), MISTAKES)
def test_mistakes(parse, option, words):
    """Each mistake names the option, the value and what to write instead."""
    problems = []
    parse(option, problems)

    (problem,) = problems
    assert [word for word in words if word not in problem] == []


@pytest.mark.parametrize(
    ("parse", "option", "names"),
    [
        (parse_methods, "PUT", ("PUT",)),
        (parse_methods, ["PUT", "GET", "PUT"], ("PUT", "GET")),
        (parse_methods, {"PUT", "GET", "A"}, ("A", "GET", "PUT")),
        (parse_methods, ["*", "PURGE", "x-own"], ("*", "PURGE", "x-own")),
        (parse_methods, [], ()),
        (parse_exposed, "*", ("*",)),
        (parse_exposed, iter(["X-A", "x-a"]), ("X-A", "x-a")),
    ],
)
def test_names(parse, option, names):
    """Names keep their order, sets are sorted, and no name comes twice."""
    problems = []

    assert parse(option, problems) == names
    assert problems == []


# (rules, names in lower case that they allow, names that they do not)
RULES = [
    ("X-A", ["x-a"], ["x-ab", "x", ""]),
    ("*", ["x-a", "content-type"], ["authorization", "*"]),
    ([r"(?!x-secret).*", "*"], ["x-a"], ["*"]),
    (["*", "Authorization"], ["x-a", "authorization"], []),
    (
        [],
        ["last-event-id", "cache-control", "accept"],
        ["x-a", "last-event", "last-event-id2"],
    ),
    ("X-Co-*", ["x-co-1", "x-co-"], ["x-co", "y-x-co-1"]),
    (["X-*-Id", "x-b"], ["x-a-id", "x-b"], ["x-a"]),
    (r"x-\w", ["x-a"], ["x-ab", "ax-a"]),
    (re.compile("X-[AB]"), ["x-a", "x-b", "last-event-id"], ["x-c", "x-ab"]),
    ("auth.*", ["authorization"], ["x-auth"]),
]


@pytest.mark.parametrize(("option", "allowed", "refused"), RULES, ids=str)
def test_header_rules(option, allowed, refused):
    """A rule matches a whole name without regard to case; "*" excludes Authorization."""
    problems = []
    rules = parse_allow_headers(option, problems)

    assert problems == []
    assert [name for name in allowed if not rules.allow(name)] == []
    assert [name for name in refused if rules.allow(name)] == []
