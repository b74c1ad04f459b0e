"""Expressions are accepted only if their cost is bounded for every text."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heliograph.cors.ambiguity import check_cost
from heliograph.cors.automaton import UnsafeRegexError, automaton_of


def check(pattern, flags=0):
    check_cost(automaton_of(re.compile(pattern, flags)))


# Expressions that people write, and some that only look dangerous.
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
    # Look-arounds: before a loop, in one that has none of its own to add, behind one.
    r"https://(?!evil)[a-z-]+\.example\.com",
    r"https://(?!.*evil)[a-z-]+\.example\.com",
    r"https://(?!(?:www|api)\.)[^.]+\.example\.com(?!:8\d+)",
    r"https://[a-z0-9-]+(?<!-)(?<!\.dev)\.example\.com",
    r"(?=.{1,253}$)(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)+example\.com",
    r"(?=.*[a-z])(?=.*\d)(?=.*-)[a-z\d-]{8,}",
    r"(?:(?!\.\.).)*",
    r"(?:(?!.*--)[a-z-])*",
    r"(?=.*-.*x)(?!.*-.*y).*-.*z",
    r"[a-z]+\.(?!.*-.*x)",
    r"(?:(?=(?!ab)[a-z]{3})[a-z])*",
    r"(?:(?<=(?=.*x)a)b)*",
    r"(?:(?=(?>.*)x)a)*",
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
    # Each way that reaches a look-around pays its cost again. The first of
    # these takes 36 seconds for 285 hyphens: the fifth power of their number.
    pytest.param(
        r"(?:(?!(?:(?!(?:(?!.*-.*X).)*Y).)*Z).)*!",
        "too many ways",
        id="look-in-look-in-loops",
    ),
    pytest.param(r"(?:(?!.*-.*X).)*Z", "too many ways", id="look-in-a-loop"),
    pytest.param(r"(?:a|(?=.*-.*X)b)*Z", "too many ways", id="look-in-a-branch-in-a-loop"),
    pytest.param(r"(?:(?!(?:(?!.*X).)*Y).)*Z", "too many ways", id="loop-in-look-in-loop"),
    pytest.param(r".*-.*(?=.*X)", "too many ways", id="look-after-loops"),
    pytest.param(r".*-(?!.*-.*X)", "too many ways", id="loops-in-a-look-after-a-loop"),
    pytest.param(r"(?>.*-.*)(?=.*X)", "too many ways", id="after-an-atomic-group"),
    pytest.param(r".*(?>(?=.*-.*X).)", "too many ways", id="in-an-atomic-group"),
    pytest.param(r"(?:(?!.*-.*X).)*+Z", "too many ways", id="in-a-possessive-loop"),
    pytest.param(r"(?:(?!.*-.*X).)*?Z", "too many ways", id="in-a-lazy-loop"),
    pytest.param(r"(?:(?!.*-.*X).){0,500}Z", "too many ways", id="in-a-counted-loop"),
    pytest.param(r"(?:(?!.*-.*X).){20}Z", "too many ways", id="in-as-many-copies"),
    pytest.param(r"(?:(?!.{9,99}-.{9,99}X).)*Z", "too many ways", id="counted-in-a-look"),
    pytest.param(r"(?:(?<=(?!.*-.*X)a).)*Z", "too many ways", id="in-a-look-behind"),
    pytest.param(r"(?:(?=(a+)+X).)*Z", "exponential", id="exponential-in-look-in-loop"),
    pytest.param("(?=a?b)" * 32 + ".*", "overlap too often", id="looks-in-a-row"),
    pytest.param(
        "a?" * 5 + "(?=" + "a?" * 5 + "b)", "overlap too often", id="ways-and-looks"
    ),
    pytest.param("(?<=" + "(?:ab|cd)" * 6 + ")", "overlap too often", id="ways-behind"),
    pytest.param(r"(a)(?=\1)", "cannot be checked", id="back-reference-in-a-look"),
    pytest.param(r"(a)?(?=(?(1)b|c))", "cannot be checked", id="condition-in-a-look"),
    pytest.param(
        "(?=" + "a" * 300 + ")" + "a" * 300, "more than 500", id="long-with-looks"
    ),
    pytest.param("a" * 501, "more than 500", id="long"),
]


@pytest.mark.parametrize("pattern", SAFE)
def test_safe(pattern):
    """An expression whose cost is bounded is accepted, also without regard to case."""
    check(pattern, re.ASCII)
    check(pattern, re.ASCII | re.IGNORECASE)


@pytest.mark.parametrize(("pattern", "reason"), DANGEROUS)
def test_dangerous(pattern, reason):
    """An expression whose cost is not bounded, or unknown, is refused with the reason."""
    with pytest.raises(UnsafeRegexError, match=reason):
        check(pattern)


# An expression as a tree, the same as a text, and an oracle that shares nothing with the
# code: by the recursive definition, it counts the ways to match and the characters that are
# read on them, like a matcher that tries all of them.


def letter(characters):
    return st.just(("letter", characters))


def made_of(repeats, *others):
    return st.recursive(
        st.one_of(letter("a"), letter("b"), letter("ab")),
        lambda tree: st.one_of(
            st.tuples(st.just("then"), tree, tree),
            st.tuples(st.just("either"), tree, tree),
            st.tuples(st.just("repeat"), tree, st.sampled_from(repeats)),
            *(st.tuples(st.just(kind), tree) for kind in others),
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
        case (sign, body):
            return f"(?{sign}{written(body)})"


class Trying:
    """An oracle that tries all ways to match a text."""

    def __init__(self, text):
        self.text = text
        self.known = {}

    def all(self, parsed, begin):
        """Return the ends of matches with their ways, and the number of characters read."""
        key = id(parsed), begin
        if key not in self.known:
            reached, steps = {begin: 1}, 0
            for kind, value in parsed:
                reached, more = self.after(reached, str(kind), value)
                steps += more
            self.known[key] = reached, steps
        return self.known[key]

    def after(self, reached, kind, value):
        ends, steps = [], 0
        for begin, count in reached.items():
            found, more = self.item(kind, value, begin)
            ends += [(end, count * ways) for end, ways in found.items()]
            steps += count * more
        return added(ends), steps

    def item(self, kind, value, begin):
        match kind:
            case "LITERAL":
                found = self.read({chr(value)}, begin)
            case "IN":
                found = self.read({chr(code) for _, code in value}, begin)
            case "SUBPATTERN":
                found = self.all(value[3], begin)
            case "ATOMIC_GROUP":
                found = self.all(value, begin)
            case "BRANCH":
                tried = [self.all(one, begin) for one in value[1]]
                ends = added(pair for ends, _ in tried for pair in ends.items())
                found = ends, sum(steps for _, steps in tried)
            case "ASSERT" | "ASSERT_NOT":
                # Always passed: that is the worst case.
                direction, body = value
                start = begin - (body.getwidth()[0] if direction < 0 else 0)
                found = {begin: 1}, self.all(body, start)[1] if start >= 0 else 0
            case "MAX_REPEAT" | "POSSESSIVE_REPEAT":
                found = self.repeat(*value, begin)
        return found

    def read(self, wanted, begin):
        is_there = self.text[begin : begin + 1] in wanted
        return ({begin + 1: 1} if is_there else {}), 1

    def repeat(self, least, most, body, begin):
        reached, ends, steps = {begin: 1}, [(begin, 1)] if least == 0 else [], 0
        for turn in range(1, min(int(most), len(self.text) + least + 1) + 1):
            after, more = self.after(reached, "SUBPATTERN", (None, 0, 0, body))
            steps += more
            reached = after
            if turn >= least:
                ends += reached.items()
            if not reached:
                break
        return added(ends), steps


def added(pairs):
    sums = {}
    for end, count in pairs:
        sums[end] = sums.get(end, 0) + count
    return sums


def tried(pattern, text):
    # As re has parsed it: it takes what alternatives share out of them.
    return Trying(text).all(re._parser.parse(pattern), 0)


def is_accepted(pattern):
    try:
        check(pattern)
    except (UnsafeRegexError, re.error):
        # A look-behind of no fixed width is not an expression.
        return False
    return True


A, B, AB = ("letter", "a"), ("letter", "b"), ("letter", "ab")
MANY = ("repeat", AB, (0, 99))


@pytest.mark.exhaustive
@pytest.mark.timeout(120)
@given(
    made_of([(0, 99), (1, 99), (0, 1), (2, 2), (3, 3), (2, 3), (12, 12)]),
    st.text("ab", min_size=1, max_size=3),
)
@example(("repeat", ("either", A, ("then", A, A)), (1, 99)), "a")
@example(("repeat", ("either", ("then", A, B), ("then", AB, B)), (12, 12)), "ab")
@example(("then", MANY, ("then", ("repeat", A, (0, 99)), ("repeat", A, (0, 99)))), "a")
@settings(max_examples=400, deadline=None)
def test_what_is_accepted_has_few_ways(tree, pump):
    """Whatever part of a text is repeated, the ways grow at most with the square of its length."""
    pattern = written(tree)
    text = pump * (48 // len(pump))

    if is_accepted(pattern):
        ends, _ = tried(pattern, text)
        assert sum(ends.values()) <= 32 * len(text) ** 2


def steps(pattern, length, pump, beginning=""):
    _, count = tried(pattern, beginning + pump * (length // len(pump)))
    return count


def grows_too_fast(pattern, pump, beginning=""):
    """Return whether twice the length takes much more than four times the steps."""
    short, longer, longest = (steps(pattern, n, pump, beginning) for n in (24, 48, 96))
    return longest > 96**2 and longest - longer > 6 * (longer - short)


@pytest.mark.exhaustive
@pytest.mark.timeout(120)
@given(
    made_of([(0, 99), (1, 99), (0, 1), (2, 2)], "=", "!", "<=", "<!", ">"),
    st.text("ab", min_size=1, max_size=3),
    st.text("ab", max_size=2),
)
@example(
    ("repeat", ("then", ("!", ("then", MANY, ("then", A, MANY))), AB), (0, 99)), "a", ""
)
@example(("then", MANY, ("then", A, ("then", MANY, ("=", MANY)))), "a", "")
@example(("then", (">", ("then", MANY, ("then", A, MANY))), ("=", MANY)), "ab", "")
@settings(max_examples=400, deadline=None)
def test_what_is_accepted_takes_few_steps(tree, pump, beginning):
    """Whatever part of a text is repeated, the steps grow at most with the square, look-arounds included."""
    pattern = written(tree)

    if is_accepted(pattern):
        assert not grows_too_fast(pattern, pump, beginning)


@pytest.mark.parametrize("pattern", [r"(?:(?![ab]*a[ab]*b)a)*", r"[ab]*a[ab]*(?=[ab]*b)"])
def test_what_grows_too_fast_is_found(pattern):
    """The test above would find an expression that the code accepts by mistake."""
    assert grows_too_fast(pattern, "a")
    assert not is_accepted(pattern)


def test_the_oracle():
    """The oracle counts what can be counted by hand."""
    tree = ("repeat", ("either", A, ("then", AB, B)), (0, 99))

    assert written(tree) == "(?:(?:[a]|[ab][b])){0,}"
    assert tried("(?:aa|a)*", "aaaa")[0] == {0: 1, 1: 1, 2: 2, 3: 3, 4: 5}
    assert tried("[ab]?(b|c|bc){2}", "abbc")[0] == {3: 1, 4: 1}
    # Reads a, a and the end; in the second, from each of three places, the rest and the end.
    assert tried("a*", "aa") == ({0: 1, 1: 1, 2: 1}, 3)
    assert tried("(?:(?!a*)a)*", "aa") == ({0: 1, 1: 1, 2: 1}, 3 + (3 + 2 + 1))
    assert tried("aa(?<=aa)", "aa") == ({2: 1}, 2 + 2)
