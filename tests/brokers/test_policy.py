"""How much of each channel is kept, according to the configuration of a hub."""

import pytest

from heliograph import HubConfig
from heliograph.brokers import Retention
from heliograph.brokers.policy import policy_of

DEFAULTS = Retention(events=10_000, seconds=86_400.0)
FEWER = {"events": 100, "seconds": 60, "forget_seconds": 120, "retained_keys": 3}

# (fields of the configuration, the retention of all channels). Add a row, not a test.
ONE_FOR_ALL = [
    ({}, DEFAULTS),
    ({"channels": {"a*": {}, "*": {"compression": "blocks"}}}, DEFAULTS),
    ({"channels": {"a*": {"history_events": 10_000}}}, DEFAULTS),
    (
        {
            "history_events": 100,
            "history_seconds": 60,
            "forget_seconds": 120,
            "retained_keys": 3,
        },
        Retention(**FEWER),
    ),
]


@pytest.mark.parametrize(("fields", "expected"), ONE_FOR_ALL)
def test_the_same_for_all_channels(fields, expected):
    """Nothing is looked up then."""
    policy = policy_of(HubConfig(**fields))

    assert policy == expected
    assert policy.of("a") is policy


def test_by_pattern():
    """What a pattern does not name is that of the configuration; Heliograph's own is, too."""
    patterns = {
        "*": {"history_events": 1},
        "job:*": {
            "history_events": 100,
            "history_seconds": 60,
            "forget_seconds": 120,
            "retained_keys": 3,
            "compression": "blocks",
        },
        "job:1": {"retained_keys": 4},
    }
    policy = policy_of(HubConfig(history_seconds=30.0, channels=patterns))

    assert policy.of("job:2") == Retention(**FEWER)
    assert policy.of("job:1") == Retention(events=10_000, seconds=30.0, retained_keys=4)
    assert policy.of("news") == Retention(events=1, seconds=30.0)
    assert policy.of("\x01heliograph.control") == Retention(events=10_000, seconds=30.0)
