"""Expressions are let in only if no text can make them take exponential time."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heliograph.cors.regex import (
    Ending,
    Stars,
    UnsafeRegexError,
    compile_bounded,
    fixed_characters,
    host_endings,
    literal_beginning,
)

# What people write, and what looks dangerous and is not.
SAFE = [
    r"https://.*-.*\.example\.com",
    r"^https?://(localhost|127\.0\.0\.1|192\.168\.\d+\.\d+)(:\d+)?$",
    r"https://deploy-preview-\d+--[a-z0-9-]+\.netlify\.app",
    r"https://[a-z0-9]+(-[a-z0-9]+)*\.vercel\.app",
    r"moz-extension://[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    r"https?://(www\.)?(dev\.|stage\.)?(a|b)\.com(:\d+)?",
    r"https://(?:.+\.)?example\.com",
    r"/api/v\d+/(users|groups)/.*",
    r"a{0}b",
    r"http?://\w*\.?example\.com:?\d*/?.*",
    r".*.example.com",
    r"https://([a-z0-9-]+\.)*example\.com",
    r"^https://(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+example\.com(?::\d+)?$",
    r"(\d{1,3}\.){3}\d{1,3}",
    r"https://((dev|stage)\.)?example\.com",
    r"(?!https://evil)https://.*",
    r"(?<=x)y|(?i:z)",
    r"https://[^.]+\.example\.com",
    r"(?:a|ab)*c",
    r"((a|b)(c|d))*e",
    r"(\d{4})*-",
    r"(?>a+)b",
    r"a++b",
    r"[^\W\d]\S\D+",
    r"(ä|ö)*",
]

DANGEROUS = [
    pytest.param(r"(a+)+$", "exponential", id="loop-in-loop"),
    pytest.param(r"https://(a+)+\.example\.com", "exponential", id="in-a-host"),
    pytest.param(r"(\w+-?)*x", "exponential", id="optional-separator"),
    pytest.param(r"([a-z0-9.-]+\.)*com", "exponential", id="separator-in-the-class"),
    pytest.param(r"(a|aa)+$", "exponential", id="alternatives"),
    pytest.param(r"(ab|a|b)*c", "exponential", id="alternatives-that-add-up"),
    pytest.param(r"(a+){20}", "exponential", id="many-times"),
    pytest.param(r"(ba*a*)*", "exponential", id="two-loops-in-a-loop"),
    pytest.param(r"(?=(a+)+$)x", "exponential", id="in-a-lookahead"),
    pytest.param(r"(?:\d{4}-|\w{3}\d-)*x", "exponential", id="counted-in-a-loop"),
    pytest.param(r"(?:[0-9a-f]{2}|[a-z]\d){32}", "exponential", id="counted"),
    pytest.param(r"(?:ab|[ab]b){60}", "exponential", id="counted-alternatives"),
    pytest.param("a?" * 28 + "b", "overlap too often", id="optional-in-a-row"),
    pytest.param(r".*-.*-.*x", "too many ways", id="three-loops"),
    pytest.param(r"\w*\d*\w*x", "too many ways", id="loops-of-other-classes"),
    pytest.param(
        r"([a-z]+\.?)?([a-z]+\.?)?([a-z]+\.?)?x", "too many ways", id="optional-loops"
    ),
    pytest.param("(?:x" + "a?" * 150 + ")*", "too many alternatives", id="many-edges"),
    pytest.param("(?:" + "[a-z]?" * 60 + "x)*", "too complicated", id="complicated"),
    pytest.param(r"(?i)(a|A)*(x|X+x)+", "exponential", id="case"),
    pytest.param(r"(ä+)+", "exponential", id="beyond-ascii"),
    pytest.param(r"(.*)*b", "may be empty", id="empty-loop"),
    pytest.param(r"(a?){30}a{30}", "may be empty", id="optional-many-times"),
    pytest.param(r"((a*)?b)*c", "may be empty", id="optional-loop"),
    pytest.param(r"(ab|ab)*c", "may both be empty", id="same-twice"),
    pytest.param(r"(a)\1", "cannot be checked", id="back-reference"),
    pytest.param(r"(a)?(?(1)b|c)", "cannot be checked", id="condition"),
    pytest.param("a" * 501, "more than 500", id="long"),
    pytest.param("(", "no regular expression", id="none"),
    pytest.param(re.compile(b"a"), "bytes", id="bytes"),
]


@pytest.mark.parametrize("pattern", SAFE)
def test_safe(pattern):
    """What cannot take long is compiled, with its flags."""
    compiled = compile_bounded(re.compile(pattern, re.ASCII), ignore_case=True)

    assert compiled.pattern == pattern
    assert compiled.flags & re.ASCII
    assert compiled.flags & re.IGNORECASE


@pytest.mark.parametrize(("pattern", "reason"), DANGEROUS)
def test_dangerous(pattern, reason):
    """What could, or cannot be checked, is refused with the reason."""
    with pytest.raises(UnsafeRegexError, match=reason):
        compile_bounded(pattern, ignore_case=False)


# An expression as a tree, an expression as a text, and an oracle that shares nothing with
# the code: the ways to match are counted one by one, by their recursive definition.


def letter(characters):
    return st.just(("letter", characters))


trees = st.recursive(
    st.one_of(letter("a"), letter("b"), letter("ab")),
    lambda tree: st.one_of(
        st.tuples(st.just("then"), tree, tree),
        st.tuples(st.just("either"), tree, tree),
        st.tuples(
            st.just("repeat"),
            tree,
            st.sampled_from([(0, 99), (1, 99), (0, 1), (2, 2), (3, 3), (2, 3), (12, 12)]),
        ),
    ),
    max_leaves=6,
)


def written(tree):
    match tree:
        case ("letter", characters):
            return f"[{characters}]"
        case ("then", one, other):
            return f"{written(one)}{written(other)}"
        case ("either", one, other):
            return f"(?:{written(one)}|{written(other)})"
        case ("repeat", body, (least, 99)):
            return f"(?:{written(body)}){{{least},}}"
        case ("repeat", body, (least, most)):
            return f"(?:{written(body)}){{{least},{most}}}"


def ways(parsed, text, begin):
    """Where a match may end, and in how many ways it comes there."""
    reached = {begin: 1}
    for kind, value in parsed:
        reached = added(
            (end, count * more)
            for middle, count in reached.items()
            for end, more in ways_of_item(str(kind), value, text, middle).items()
        )
    return reached


def ways_of_item(kind, value, text, begin):
    match kind:
        case "LITERAL":
            return {begin + 1: 1} if text[begin : begin + 1] == chr(value) else {}
        case "IN":
            wanted = {chr(code) for _, code in value}
            return {begin + 1: 1} if text[begin : begin + 1] in wanted else {}
        case "SUBPATTERN":
            return ways(value[3], text, begin)
        case "BRANCH":
            return added(
                pair for one in value[1] for pair in ways(one, text, begin).items()
            )
        case "MAX_REPEAT":
            least, most, body = value
            reached, ends = {begin: 1}, {begin: 1} if least == 0 else {}
            for turn in range(1, min(int(most), len(text) + least) + 1):
                reached = added(
                    (end, count * more)
                    for middle, count in reached.items()
                    for end, more in ways(body, text, middle).items()
                )
                if turn >= least:
                    ends = added([*ends.items(), *reached.items()])
                if not reached:
                    break
            return ends


def added(pairs):
    sums = {}
    for end, count in pairs:
        sums[end] = sums.get(end, 0) + count
    return sums


A, B, AB = ("letter", "a"), ("letter", "b"), ("letter", "ab")


@given(trees, st.text("ab", min_size=1, max_size=3))
@example(("repeat", ("either", A, ("then", A, A)), (1, 99)), "a")
@example(("repeat", ("either", ("then", A, B), ("then", AB, B)), (12, 12)), "ab")
@example(
    (
        "then",
        ("repeat", AB, (0, 99)),
        ("then", ("repeat", A, (0, 99)), ("repeat", A, (0, 99))),
    ),
    "a",
)
@settings(max_examples=400, deadline=None)
def test_what_is_let_in_has_few_ways(tree, pump):
    """However a text is pumped up: the ways are at most some times the square of its length."""
    try:
        compile_bounded(written(tree), ignore_case=False)
    except UnsafeRegexError:
        return
    text = pump * (48 // len(pump))
    # As re has parsed it: it takes what alternatives share out of them.
    parsed = re._parser.parse(written(tree))

    assert sum(ways(parsed, text, 0).values()) <= 32 * len(text) ** 2


def test_the_oracle():
    """It counts what can be counted by hand."""
    tree = ("repeat", ("either", A, ("then", AB, B)), (0, 99))

    assert written(tree) == "(?:(?:[a]|[ab][b])){0,}"
    assert ways(re._parser.parse("(?:aa|a)*"), "aaaa", 0) == {0: 1, 1: 1, 2: 2, 3: 3, 4: 5}
    assert ways(re._parser.parse("[ab]?(b|c|bc){2}"), "abbc", 0) == {3: 1, 4: 1}


@pytest.mark.parametrize(
    ("pattern", "beginning", "fixed"),
    [
        (r"^/api/v1\.0/.*", "/api/v1.0/", 10),
        (r"/ab|/ac", "/a", 2),
        (r"(/admin|/billing)/.*", "", 7),
        (r"/(?>ab)(cd){2}(x|yz)?[q]", "/", 8),
        (r"/ab*", "/a", 2),
        (r"/x\d/yz", "/x", 5),
        (r".*", "", 0),
    ],
)
def test_what_is_fixed(pattern, beginning, fixed):
    """How specific an expression is can be told at sight."""
    compiled = compile_bounded(pattern, ignore_case=False)

    assert (literal_beginning(compiled), fixed_characters(compiled)) == (beginning, fixed)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r".*", {""}),
        (r"https://app\.example", {"=https://app.example"}),
        (r"https://APP\.example$", {"=https://app.example"}),
        (r"https://.*\.app\.example", {".app.example"}),
        (r"https://(\w+\.)?app\.example(:\d+)?", {"=https://app.example", ".app.example"}),
        (r"https?://[^/]+:8080", {""}),
        (r"http://localhost:.*", {"=http://localhost"}),
        (r"https://app\.example(:.*)?", {"=https://app.example"}),
        (r"https://app\.example:?\d*/?.*", {""}),
        (r"https://(a|b)\.x\.(com|org)", {".x.com", ".x.org"}),
        (r"(https://a\.example|.*\.b\.example)", {"=https://a.example", ".b.example"}),
        (r"https://app\.example(\.\w\w)*", {""}),
        (r"https://.*.example\.com", {"example.com"}),
        (r"(?>https://)(?=a)app\.example", {"=https://app.example"}),
        (r"(ab|cd|ef)(ab|cd|ef)(ab|cd|ef)(ab|cd|ef)", None),
    ],
)
def test_endings(pattern, found):
    """What hosts end in, without the port; ``=`` marks what is all of it."""
    endings = host_endings(compile_bounded(pattern, ignore_case=False))

    assert endings == (
        None if found is None else {Ending(text.lstrip("="), "=" in text) for text in found}
    )


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("*", ["", "x"], []),
        ("a*", ["a", "ab"], ["", "ba"]),
        ("*a", ["a", "ba"], ["", "ab"]),
        ("a*a", ["aa", "aba"], ["a", ""]),
        ("a*b*c", ["abc", "axbxc", "abbcc"], ["ac", "acb", "bac"]),
        ("ab*bc", ["abbc", "abxbc"], ["abc"]),
        ("a**b", ["ab", "axb"], ["a", "b"]),
        ("*a*b*", ["ab", "xaxbx"], ["ba"]),
        ("a.*", ["a.", "a.x"], ["ab"]),
    ],
)
def test_stars(text, yes, no):
    """Each star is any text, and matching does not go back."""
    stars = Stars(text)

    assert [one for one in yes if not stars.match(one)] == []
    assert [one for one in no if stars.match(one)] == []


def test_stars_are_linear():
    """A megabyte of what nearly matches, which would take an expression for ever."""
    assert not Stars("/*/*/*/*/*/edit").match("/" * 1_000_000)
