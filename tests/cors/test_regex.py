"""Expressions are let in only if no text can make them take exponential time."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.cors.regex import (
    UnsafeRegexError,
    compile_bounded,
    fixed_characters,
    has_open_end,
    literal_beginning,
)

# What people write, and what looks dangerous and is not.
SAFE = [
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


def expressions():
    """Small expressions of two letters, with all that can make them ambiguous."""
    return st.recursive(
        st.sampled_from(["a", "b", "[ab]", ".", "[^a]"]),
        lambda part: st.one_of(
            st.tuples(part, part).map("".join),
            st.tuples(part, part).map(lambda two: f"(?:{two[0]}|{two[1]})"),
            st.tuples(part, st.sampled_from(["*", "+", "?", "{2}", "{2,3}", "{3,}"])).map(
                lambda two: f"(?:{two[0]}){two[1]}"
            ),
        ),
        max_leaves=7,
    )


@given(expressions(), st.text("ab", min_size=1, max_size=4))
@settings(max_examples=500, deadline=None)
def test_what_is_let_in_ends(pattern, pump):
    """However a text is pumped up, matching ends: the test would never do, otherwise."""
    try:
        compiled = compile_bounded(pattern, ignore_case=False)
    except UnsafeRegexError:
        return
    compiled.fullmatch(pump * 12 + "c")
    compiled.fullmatch("ab" * 20 + pump * 8 + "c")


@pytest.mark.parametrize(
    ("pattern", "beginning", "fixed"),
    [
        (r"^/api/v1\.0/.*", "/api/v1.0/", 10),
        (r"/ab|/ac", "/a", 2),
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
    ("pattern", "is_open"),
    [
        (r".*", True),
        (r"https://app\.example.*", True),
        (r"https://app\.[a-z]+", True),
        (r"^https://.+$", True),
        (r"(https://a\.example|.*)", True),
        (r"https://.*\.app\.example", False),
        (r"https://app\.example:\d+", False),
        (r"https://app\.example(:\d+)?", False),
        (r"https://app\.example[a-z]?", False),
    ],
)
def test_open_end(pattern, is_open):
    """Where a name may go on for ever, anybody may have such a name."""
    assert has_open_end(compile_bounded(pattern, ignore_case=False)) is is_open
