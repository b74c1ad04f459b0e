"""A hub's configuration is validated whole."""

import dataclasses

import pytest

from heliograph import ConfigError, HubConfig

BAD = [
    ("history_events", 0),
    ("history_seconds", 0),
    ("log_events", 1.5),
    ("log_bytes", "1"),
    ("heartbeat_seconds", 0),
    ("heartbeat_seconds", float("nan")),
    ("heartbeat_seconds", float("inf")),
    ("retry_ms", -1),
    ("retry_ms", True),
    ("max_event_bytes", 63),
    ("max_lag_bytes", 0),
    ("max_lag_total_bytes", 0),
    ("max_subscribers", 0),
    ("max_subscribers_per_channel", None),
    ("max_subscribers_per_address", 0),
    ("max_channels", 0),
    ("max_channels_per_address", 0.5),
    ("max_stream_seconds", 0),
    ("retry_after_seconds", -1),
    ("linger_seconds", -0.1),
    ("dead_peer_seconds", 0.5),
    ("send_buffer_bytes", 1),
    ("publish_waits", 1),
    ("publish_timeout_seconds", "soon"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_value(name, value):
    """A bad value is named with its field and its rule."""
    with pytest.raises(ConfigError) as caught:
        HubConfig(**{name: value})

    (problem,) = caught.value.problems
    assert problem.startswith(f"{name} must be ")
    assert repr(value) in problem


def test_every_mistake_at_once():
    """Nobody has to start five times to find five mistakes."""
    with pytest.raises(ConfigError) as caught:
        HubConfig(**dict(BAD))

    assert len(caught.value.problems) == len(dict(BAD))


def test_every_field_is_checked():
    """A new field without a rule would be noticed here."""
    assert {field.name for field in dataclasses.fields(HubConfig)} == set(dict(BAD))


def test_event_larger_than_lag():
    """An event that would disconnect everyone is refused by configuration."""
    with pytest.raises(ConfigError, match="max_event_bytes must be at most max_lag_bytes"):
        HubConfig(max_event_bytes=2048, max_lag_bytes=1024)


def test_less_for_all_than_for_one():
    """The smaller limit would be the one that counts."""
    with pytest.raises(ConfigError, match=r"must be at least max_lag_bytes \(2097152\)"):
        HubConfig(max_lag_bytes=2**21, max_lag_total_bytes=2**20)


@pytest.mark.parametrize("name", ["heartbeat_seconds", "send_buffer_bytes"])
def test_none_is_a_choice(name):
    """None turns an optional thing off."""
    assert getattr(HubConfig(**{name: None}), name) is None
