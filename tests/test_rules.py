"""Which values a setting may have, and what is said of others."""

import math

import pytest

from heliograph.rules import CENTURY, Choice, Number, seconds

# (a rule, its valid values, (another value, what is wrong with it))
RULES = [
    (Choice((None, "a", "b")), [None, "a", "b"], ("c", "x must be None, 'a' or 'b', not 'c'")),
    (Choice(("left", "right")), [], ("rigth", "not 'rigth'; did you mean 'right'?")),
    (Number(2), [2, 10**20], (1, "x must be at least 2, not 1")),
    (Number(2), [], (2.0, "x must be a whole number, not 2.0")),
    (Number(0), [0], (False, "x must be a whole number, not False")),
    (Number(2), [], (None, "x must be a whole number, not None")),
    (Number(2, optional=True), [2, None], (1, "x must be at least 2, not 1")),
    (Number(2, 4), [2, 4], (5, "x must be between 2 and 4, not 5")),
    (seconds(), [0.001, 1, CENTURY], (0, "x must be at least 0.001, not 0")),
    (seconds(), [], (CENTURY + 1, "x must be at least 0.001, not 3162240001")),
    (seconds(0), [0], (math.nan, "x must be at least 0, not nan")),
    (seconds(1, 2), [1.5], (math.inf, "x must be between 1 and 2, not inf")),
    (seconds(optional=True), [None], ("1", "x must be a number of seconds, not '1'")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "valid", "other"), RULES)
def test_rules(rule, valid, other):
    """The sentence names the setting, the rule and the value."""
    value, sentence = other

    assert [rule.problem("x", each) for each in valid] == [None] * len(valid)
    assert sentence in rule.problem("x", value)
