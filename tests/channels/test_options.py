"""Options of channels: which pattern counts for a name, and what is refused."""

import copy
import dataclasses
import math
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph import ConfigError
from heliograph.channels.options import (
    COMPRESSIONS,
    RULES,
    ChannelOptions,
    ChannelPatterns,
)

BLOCKS = {"compression": "blocks"}
WINDOW = {"compression": "shared-window"}


def patterns_of(patterns, default=None):
    return ChannelPatterns(patterns, ChannelOptions(compression=default))


# (patterns with their compression, a name, the compression of its channel)
LOOK_UPS = [
    ({}, "a", "default"),
    ({"a": "blocks"}, "a", "blocks"),
    ({"a": None}, "a", None),
    ({"a": "blocks"}, "A", "default"),
    ({"a": "blocks"}, "ab", "default"),
    ({"*": "blocks"}, "a", "blocks"),
    ({"a*": "blocks"}, "a", "blocks"),
    ({"a*": "blocks"}, "ba", "default"),
    ({"*a": "blocks"}, "ba", "blocks"),
    ({"*a": "blocks"}, "ab", "default"),
    ({"a*a": "blocks"}, "a", "default"),
    ({"a*a": "blocks"}, "aa", "blocks"),
    ({"ab*ba": "blocks"}, "aba", "default"),
    ({"*a*b*": "blocks"}, "xaxbx", "blocks"),
    ({"*a*b*": "blocks"}, "ba", "default"),
    ({"*ab*b*": "blocks"}, "abx", "default"),
    ({"a*bc*c": "blocks"}, "abc", "default"),
    ({"a*bc*c": "blocks"}, "abbcc", "blocks"),
    ({"a.b": "blocks"}, "axb", "default"),
    ({"[ab]?": "blocks"}, "[ab]?", "blocks"),
    ({"[ab]*": "blocks"}, "ax", "default"),
    ({"é*": "blocks"}, "été", "blocks"),
    ({"a b*": "blocks"}, "a b\u2028c", "blocks"),
    # An exact name before all patterns, whatever their length.
    ({"ab": "blocks", "ab*": None, "*": "shared-window"}, "ab", "blocks"),
    # Then the longest pattern, in any order.
    ({"a*": "blocks", "ab*": None, "*": "shared-window"}, "abc", None),
    ({"*": "shared-window", "ab*": None, "a*": "blocks"}, "abc", None),
    ({"*": "shared-window", "ab*": None, "a*": "blocks"}, "ac", "blocks"),
    ({"*": "shared-window", "ab*": None, "a*": "blocks"}, "c", "shared-window"),
    ({"*-a": "blocks", "b*": None}, "b-a", "blocks"),
    # A channel can be named like a pattern, which matches it then.
    ({"a*": "blocks"}, "a*", "blocks"),
]


@pytest.mark.parametrize(("patterns", "name", "expected"), LOOK_UPS)
def test_the_pattern_that_counts(patterns, name, expected):
    """An exact name, else the longest pattern that matches, else the defaults."""
    written = {pattern: {"compression": value} for pattern, value in patterns.items()}

    options = patterns_of(written, "default").options_of(name)

    assert options.compression == expected


def test_options_that_a_pattern_does_not_name():
    """They have their defaults, and not those of a shorter pattern."""
    patterns = patterns_of({"*": BLOCKS, "a*": {}}, "shared-window")

    assert patterns.options_of("ab") == ChannelOptions(compression="shared-window")

    written = {"*": {"history_events": 5}, "job:*": {"retained_keys": 7, **BLOCKS}}
    defaults = ChannelOptions(history_seconds=3600, forget_seconds=7200)
    patterns = ChannelPatterns(written, defaults)
    of_jobs = dataclasses.replace(defaults, retained_keys=7, compression="blocks")
    of_others = dataclasses.replace(defaults, history_events=5)
    assert patterns.options_of("job:1") == of_jobs
    assert patterns.options_of("news") == of_others
    assert patterns.all_options == {defaults, of_jobs, of_others}


def test_channels_of_heliograph_itself():
    """No pattern matches them, so what users write does not change what they keep."""
    patterns = patterns_of({"*": {"history_events": 1}, "*control": {"retained_keys": 1}})

    assert patterns.options_of("heliograph.control").retained_keys == 1
    assert patterns.options_of("\x01heliograph.control") == ChannelOptions()


PATTERNS = st.text("ab*", min_size=1, max_size=7).map(
    lambda text: re.sub(r"\*+", "*", text)
)


def as_regex(pattern):
    return ".*".join(re.escape(part) for part in pattern.split("*"))


# Without Heliograph's own, which begin with a control character.
NAMES = st.text("ab*\n", min_size=1, max_size=12).filter(lambda name: name[0] != "\n")


@given(pattern=PATTERNS, name=NAMES)
def test_patterns_match_as_expressions_do(pattern, name):
    """A star is any text, also none, and also a line end."""
    options = patterns_of({pattern: BLOCKS}).options_of(name)

    is_matched = re.fullmatch(as_regex(pattern), name, re.DOTALL) is not None
    if "*" not in pattern:
        is_matched = name == pattern
    assert options.compression == ("blocks" if is_matched else None)


def have_a_common_name(first, second):
    """An oracle: pattern against pattern, one character after the other."""
    if first.startswith("*"):
        return have_a_common_name(first[1:], second) or (
            second != "" and have_a_common_name(first, second[1:])
        )
    if second.startswith("*"):
        return have_a_common_name(second, first)
    return first[:1] == second[:1] and (
        first == "" or have_a_common_name(first[1:], second[1:])
    )


@given(first=PATTERNS, second=PATTERNS)
def test_patterns_that_overlap(first, second):
    """Patterns of one length are refused if a name exists that both match; it is named."""
    both_count = "*" in first and "*" in second and len(first) == len(second)
    if first == second or not both_count or not have_a_common_name(first, second):
        patterns_of({first: BLOCKS, second: WINDOW})
        return

    with pytest.raises(ConfigError) as caught:
        patterns_of({first: BLOCKS, second: WINDOW})

    (problem,) = caught.value.problems
    assert problem.startswith(f"channels[{first!r}] and channels[{second!r}] both match")
    (example,) = re.findall(r"both match '(.*?)'", problem)
    for pattern in (first, second):
        assert re.fullmatch(as_regex(pattern), example)


MISTAKES = [
    (["a"], "channels must be a dict of name patterns and their options, not ['a']: write"),
    ("a", "channels must be a dict of name patterns and their options, not 'a': write"),
    (None, "channels must be a dict of name patterns and their options, not None: write"),
    ({"": {}}, "channels['']: a pattern is the name of a channel with * for any text: must not"),
    ({5: {}}, "channels[5]: a pattern is the name of a channel with * for any text: must be str"),
    ({"a\n*": {}}, r"channels['a\n*']: a pattern is the name of a channel"),
    ({"x" * 255 + "*": {}}, "must be at most 255 bytes of UTF-8"),
    ({"a**": {}}, "channels['a**']: ** matches nothing that * does not: write * once"),
    (
        {"a": "blocks"},
        "channels['a'] must be a dict of options, not 'blocks': write {'compression': 'blocks'}",
    ),
    ({"a": None}, "channels['a'] must be a dict of options, not None"),
    (
        {"a": {"compresion": "blocks"}},
        "channels['a']['compresion'] is no option; did you mean 'compression'?",
    ),
    (
        {"a": {5: 1}},
        ("channels['a'][5] is no option; a channel has only 'history_events', 'history_seconds',"
        " 'forget_seconds', 'retained_keys', 'compression'"),
    ),
    (
        {"a": {"history_second": 3}},
        "channels['a']['history_second'] is no option; did you mean 'history_seconds'?",
    ),
    ({"a": {"forget": 3}}, "channels['a']['forget'] is no option; did you mean 'forget_seconds'?"),
    ({"a": {"heartbeat_ms": 3}}, "is no option; a channel has only 'history_events'"),
    ({"a*": {"history_events": 0}}, "channels['a*']['history_events'] must be at least 1, not 0"),
    ({"a": {"history_events": None}}, "['history_events'] must be a whole number, not None"),
    ({"a": {"history_seconds": 0}}, "['history_seconds'] must be at least 0.001, not 0"),
    ({"a": {"history_seconds": "1h"}}, "['history_seconds'] must be a number of seconds, not '1h'"),
    ({"a": {"forget_seconds": math.nan}}, "['forget_seconds'] must be at least 0.001, not nan"),
    ({"a": {"forget_seconds": math.inf}}, "['forget_seconds'] must be at least 0.001, not inf"),
    ({"a": {"retained_keys": 1.5}}, "['retained_keys'] must be a whole number, not 1.5"),
    ({"a": {"retained_keys": True}}, "['retained_keys'] must be a whole number, not True"),
    (
        {"job:*": {"forget_seconds": 60}},
        ("channels['job:*']['forget_seconds'] must be at least history_seconds (86400.0), not 60:"
        " a channel is not forgotten before its events; write"
        " channels['job:*']['forget_seconds'] = 86400.0 or more, or"
        " channels['job:*']['history_seconds'] = 60 or less"),
    ),
    (
        {"job:*": {"history_seconds": 9_000_000}},
        ("forget_seconds must be at least channels['job:*']['history_seconds'] (9000000), not"
        " 2592000.0: a channel is not forgotten before its events; write"
        " channels['job:*']['forget_seconds'] = 9000000 or more, or"),
    ),
    (
        {"a": {"history_seconds": 61, "forget_seconds": 60}},
        ("channels['a']['forget_seconds'] must be at least channels['a']['history_seconds'] (61),"
        " not 60:"),
    ),
    (
        {"a": {"compression": "shared_window"}},
        "must be None, 'blocks' or 'shared-window', not 'shared_window'; did you mean 'shared-",
    ),
    ({"a": {"compression": "block"}}, "did you mean 'blocks'?"),
    ({"a": {"compression": "gzip"}}, "or 'shared-window', not 'gzip'"),
    ({"a": {"compression": False}}, "must be None, 'blocks' or 'shared-window', not False"),
    ({"a": {"compression": []}}, "must be None, 'blocks' or 'shared-window', not []"),
    (
        {"a-*": BLOCKS, "a": {}, "*-b": WINDOW},
        "channels['a-*'] and channels['*-b'] both match 'a--b' and have the same length (3)",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("patterns", "words"), MISTAKES)
def test_mistakes(patterns, words):
    """The error names the entry, the rule, and what to write."""
    with pytest.raises(ConfigError) as caught:
        patterns_of(patterns)

    (problem,) = caught.value.problems
    assert words in problem


def test_all_mistakes_at_once():
    """One start reports all of them."""
    with pytest.raises(ConfigError) as caught:
        patterns_of({"": 5, "a*": {"b": 1, "c": 2}, "*a": BLOCKS, "b*": {}})

    assert len(caught.value.problems) == 6
    with pytest.raises(ConfigError) as caught:
        patterns_of({"a": {"forget_seconds": 1}, "b": {"forget_seconds": 2}})
    assert len(caught.value.problems) == 2


def test_hostile_names():
    """A name of many parts that nearly match costs no more than its length."""
    patterns = patterns_of({"a*" * 100 + "b": BLOCKS})

    assert patterns.options_of("a" * 255) == ChannelOptions()


def test_a_value():
    """It is equal, hashed, shown and copied like what was written, and does not change."""
    written = {"a": {**BLOCKS}, "b*": {}}
    patterns = patterns_of(written)
    kept = copy.deepcopy(written)
    written["a"]["compression"] = "changed"
    patterns["a"]["compression"] = "changed"

    assert patterns == kept
    assert repr(patterns) == repr(kept)
    assert len(patterns) == 2
    for other in (
        patterns_of(patterns),
        patterns_of({"b*": {}, "a": BLOCKS}),
        copy.deepcopy(patterns),
        pickle.loads(pickle.dumps(patterns)),
    ):
        assert (other, hash(other)) == (patterns, hash(patterns))
        assert other.options_of("a").compression == "blocks"
    assert patterns != patterns_of({"a": WINDOW, "b*": {}})


@pytest.mark.parametrize(
    ("patterns", "default", "windows"),
    [
        ({}, None, ()),
        ({"a": BLOCKS}, "blocks", ()),
        ({}, "shared-window", ("compression",)),
        ({"a*": WINDOW, "b": {}}, None, ("channels['a*']['compression']",)),
        ({"a": WINDOW}, "shared-window", ("compression", "channels['a']['compression']")),
    ],
)
def test_windows(patterns, default, windows):
    """Each setting that asks for a shared window is known by its name."""
    assert patterns_of(patterns, default).windows == windows


def test_every_option_has_a_rule():
    """Its default is valid, and so are the values that are listed."""
    assert {field.name for field in dataclasses.fields(ChannelOptions)} == {*RULES}
    for name, default in dataclasses.asdict(ChannelOptions()).items():
        assert RULES[name].problem(name, default) is None
    for value in COMPRESSIONS:
        assert RULES["compression"].problem("compression", value) is None
