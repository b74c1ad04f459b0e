"""Delays: the server's own exactly, growing ones while attempts fail, those of Retry-After."""

import pytest

from heliograph import ConfigError
from heliograph.client import Reconnect
from heliograph.client.reconnect import retry_after_seconds

NOW = 1_800_000_000  # Fri, 15 Jan 2027 08:00:00 GMT

# (policy, reconnection time of the server, failures, chance, delay). Add a row, not a test.
DELAYS = [
    pytest.param(Reconnect(), 1.5, 0, 0.9, 1.5, id="the-server's-exactly"),
    pytest.param(Reconnect(), None, 0, 0.5, 3.0, id="the-default"),
    pytest.param(Reconnect(), None, 0, 0.0, 1.5, id="the-default-has-jitter"),
    pytest.param(Reconnect(), 1.0, 1, 0.5, 1.0, id="first-failure"),
    pytest.param(Reconnect(), 1.0, 4, 0.5, 8.0, id="grows"),
    pytest.param(Reconnect(), 1.0, 4, 1.0, 12.0, id="with-jitter"),
    pytest.param(Reconnect(), 1.0, 10_000, 0.5, 60.0, id="is-capped"),
    pytest.param(Reconnect(), 600.0, 10_000, 0.5, 600.0, id="but-not-below-the-server's"),
    pytest.param(Reconnect(), 0.0, 9, 0.5, 0.0, id="zero-stays-zero"),
    pytest.param(Reconnect(first_seconds=0.5, jitter=0), None, 2, 1.0, 1.0, id="set"),
    pytest.param(Reconnect.STRICT, None, 9, 0.0, 3.0, id="strict"),
    pytest.param(Reconnect.STRICT, 2.0, 9, 1.0, 2.0, id="strict-with-the-server's"),
]


@pytest.mark.parametrize(("policy", "named", "failures", "chance", "delay"), DELAYS)
def test_delay(policy, named, failures, chance, delay):
    """The delay before the next attempt."""
    seconds = policy.delay_seconds(named_seconds=named, failures=failures, chance=chance)

    assert seconds == pytest.approx(delay)


RETRY_AFTERS = [
    (None, None),
    ("0", 0),
    (" 120 ", 120),
    ("1.5", None),
    ("-1", None),
    ("soon", None),
    ("9" * 5000, None),
    ("Fri, 15 Jan 2027 08:02:00 GMT", 120),
    ("Friday, 15-Jan-27 08:02:00 GMT", 120),
    ("Fri Jan 15 08:02:00 2027", 120),
    ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
    ("Fri, 15 Jan 2027 08:02:00 -0000", 120),
]


@pytest.mark.parametrize(("value", "expected"), RETRY_AFTERS)
def test_retry_after(value, expected):
    """A number of seconds or a date, in each of its three forms; what is neither is ignored."""
    assert retry_after_seconds(value, NOW) == expected


def test_every_mistake_is_named():
    """All values that are out of range are in one error."""
    with pytest.raises(ConfigError) as caught:
        Reconnect(first_seconds=-1, longest_seconds="60", jitter=2, attempts=0)

    assert [problem.split()[1] for problem in caught.value.problems] == [
        "first_seconds", "longest_seconds", "jitter", "attempts",
    ]  # fmt: skip
