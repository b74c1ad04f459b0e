"""The rule by which all brokers say where reading begins."""

import pytest

from heliograph.brokers import resolve
from heliograph.channels.position import Position

HEAD = Position("now", 10)

# (after, offset of the oldest entry, until where a former epoch is the same, the offset after
# which entries begin, why it is another one). Add a row, not a test.
RULES = [
    pytest.param(None, 4, None, 3, None, id="the-oldest"),
    pytest.param(None, 11, None, 10, None, id="no-entries"),
    pytest.param(Position("now", 7), 4, None, 7, None, id="held"),
    pytest.param(Position("now", 3), 4, None, 3, None, id="just-before-the-oldest"),
    pytest.param(Position("now", 2), 4, None, 3, "trimmed", id="trimmed"),
    pytest.param(Position("now", 10), 4, None, 10, None, id="the-head"),
    pytest.param(Position("now", 11), 4, None, 10, "unknown", id="past-the-head"),
    pytest.param(Position("then", 7), 4, None, 3, "epoch", id="another-epoch"),
    pytest.param(Position("then", 7), 4, 8, 7, None, id="the-same-in-a-former-epoch"),
    pytest.param(Position("then", 9), 4, 8, 8, "epoch", id="lost-in-a-former-epoch"),
    pytest.param(Position("then", 9), 4, 1, 3, "epoch", id="lost-and-trimmed"),
    pytest.param(Position("then", 2), 4, 8, 3, "trimmed", id="trimmed-in-a-former-epoch"),
]


@pytest.mark.parametrize(("after", "oldest", "same_until", "begins", "gap"), RULES)
def test_where_reading_begins(after, oldest, same_until, begins, gap):
    """And why it is not where it was asked for."""
    assert resolve(after, HEAD, oldest, same_until) == (begins, gap)
