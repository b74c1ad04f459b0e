"""Regular expressions are examined when they are compiled."""

import re

import pytest

from heliograph.cors.regex import (
    Stars,
    UnsafeRegexError,
    compile_bounded,
    fixed_characters,
    literal_beginning,
)

# Many examples are tried.
pytestmark = pytest.mark.timeout(120)


def test_flags():
    """An expression that is accepted keeps its flags."""
    compiled = compile_bounded(re.compile(r"\w+", re.ASCII), ignore_case=True)

    assert compiled.pattern == r"\w+"
    assert compiled.flags & re.ASCII
    assert compiled.flags & re.IGNORECASE
    assert not compile_bounded(r"\w+", ignore_case=False).flags & re.IGNORECASE


MISTAKES = [
    pytest.param("(", "not a valid regular expression", id="invalid"),
    pytest.param("a{99999999999}", "not a valid regular expression", id="overflow"),
    pytest.param("(" * 5000 + ")" * 5000, "not a valid regular expression", id="deep"),
    pytest.param(re.compile(b"a"), "bytes", id="bytes"),
    pytest.param("(a+)+$", "exponential", id="not-bounded"),
]


@pytest.mark.parametrize(("pattern", "reason"), MISTAKES)
def test_mistakes(pattern, reason):
    """An expression that is invalid or not bounded is refused with the reason."""
    with pytest.raises(UnsafeRegexError, match=reason):
        compile_bounded(pattern, ignore_case=False)


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
    """The literal characters of an expression show how specific it is."""
    compiled = compile_bounded(pattern, ignore_case=False)

    assert (literal_beginning(compiled), fixed_characters(compiled)) == (beginning, fixed)


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
    """Each star matches any text."""
    stars = Stars(text)

    assert [one for one in yes if not stars.match(one)] == []
    assert [one for one in no if stars.match(one)] == []


def test_stars_are_linear():
    """A megabyte that nearly matches takes linear time; an expression would never end."""
    assert not Stars("/*/*/*/*/*/edit").match("/" * 1_000_000)
