"""A hub's configuration is validated as a whole."""

import dataclasses

import pytest

from heliograph import ConfigError, HubConfig
from heliograph.channels.options import RULES, ChannelOptions

_CENTURY = 100 * 366 * 86_400

BAD = [
    ("history_events", 0),
    ("history_seconds", 0),
    ("history_seconds", _CENTURY + 1),
    ("forget_seconds", 0),
    ("forget_seconds", _CENTURY + 1),
    ("retained_keys", 0),
    ("retained_keys", None),
    ("log_events", 1.5),
    ("log_bytes", "1"),
    ("heartbeat_seconds", 0),
    ("heartbeat_seconds", float("nan")),
    ("heartbeat_seconds", float("inf")),
    ("retry_ms", -1),
    ("retry_ms", True),
    ("retry_ms", 3_600_001),
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
    ("retry_after_seconds", 86_401),
    ("linger_seconds", -0.1),
    ("dead_peer_seconds", 0.5),
    ("dead_peer_seconds", 86_400.5),
    ("send_buffer_bytes", 1),
    ("send_buffer_bytes", 2**30 + 1),
    ("refuse_with_status", "no"),
    ("publish_waits", 1),
    ("open_event", 0),
    ("publish_timeout_seconds", "soon"),
    ("compression", "gzip"),
    ("compression", True),
    ("channels", ["a"]),
    ("channels", None),
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
    """One start reports all mistakes."""
    with pytest.raises(ConfigError) as caught:
        HubConfig(**dict(BAD))

    assert len(caught.value.problems) == len(dict(BAD))


def test_every_field_is_checked():
    """A new field without a rule fails here."""
    assert {field.name for field in dataclasses.fields(HubConfig)} == set(dict(BAD))


# (name, smallest value, largest value; None if there is no limit)
LIMITS = [
    ("history_events", 1, None),
    ("history_seconds", 0.001, 2_592_000.0),
    ("forget_seconds", 86_400.0, _CENTURY),
    ("retained_keys", 1, None),
    ("heartbeat_seconds", 0.001, _CENTURY),
    ("retry_ms", 0, 3_600_000),
    ("max_event_bytes", 64, 1_048_576),
    ("retry_after_seconds", 0, 86_400),
    ("linger_seconds", 0, _CENTURY),
    ("dead_peer_seconds", 1, 86_400),
    ("send_buffer_bytes", 4_096, 2**30),
]


@pytest.mark.parametrize(("name", "low", "high"), LIMITS)
def test_limits_are_values(name, low, high):
    """The limits that the documentation states are accepted."""
    for value in (low, high):
        if value is not None:
            assert getattr(HubConfig(**{name: value}), name) == value


def test_event_larger_than_lag():
    """An event that would disconnect every client is refused by configuration."""
    with pytest.raises(ConfigError, match="max_event_bytes must be at most max_lag_bytes"):
        HubConfig(max_event_bytes=2048, max_lag_bytes=1024)


def test_less_for_all_than_for_one():
    """A limit for all clients is not smaller than the limit for one."""
    with pytest.raises(ConfigError, match=r"must be at least max_lag_bytes \(2097152\)"):
        HubConfig(max_lag_bytes=2**21, max_lag_total_bytes=2**20)


# (fields, what is wrong with them together). Add a row, not a test.
FORGOTTEN_TOO_EARLY = [
    (
        {"forget_seconds": 60},
        [
            (
                "forget_seconds must be at least history_seconds (86400.0), not 60: a channel is"
                " not forgotten before its events; write forget_seconds = 86400.0 or more, or"
                " history_seconds = 60 or less"
            )
        ],
    ),
    (
        {"history_seconds": 9e6, "channels": {"a": {}, "b": {"retained_keys": 0}}},
        [
            "forget_seconds must be at least history_seconds (9000000.0), not 2592000.0:",
            "channels['b']['retained_keys'] must be at least 1, not 0",
        ],
    ),
    (
        {"history_seconds": 60, "channels": {"a": {"forget_seconds": 59}}},
        ["channels['a']['forget_seconds'] must be at least history_seconds (60), not 59:"],
    ),
    # Without valid defaults nothing is known of what a pattern does not name.
    (
        {"history_seconds": -1, "channels": {"a": {"forget_seconds": 59}}},
        ["history_seconds must be at least 0.001, not -1"],
    ),
    (
        {"retry_ms": -1, "channels": {"a": {"forget_seconds": 59}}},
        [
            "retry_ms must be between 0 and 3600000, not -1",
            "channels['a']['forget_seconds'] must be at least history_seconds (86400.0), not",
        ],
    ),
    ({"history_seconds": _CENTURY, "forget_seconds": _CENTURY}, []),
    ({"history_seconds": 60, "channels": {"a": {"forget_seconds": 60}}}, []),
    ({"channels": {"a": {"forget_seconds": 60, "history_seconds": 60}}}, []),
    ({"channels": {"a": {"forget_seconds": 9e6, "history_seconds": 9e6}}}, []),
]


@pytest.mark.parametrize(("fields", "problems"), FORGOTTEN_TOO_EARLY)
def test_forgotten_before_its_events(fields, problems):
    """No channel may be, with the options that a pattern names and those that it does not."""
    found = []
    try:
        HubConfig(**fields)
    except ConfigError as error:
        found = error.problems

    assert len(found) == len(problems)
    for problem, words in zip(found, problems, strict=True):
        assert problem.startswith(words)


OPTIONAL = [
    field.name
    for field in dataclasses.fields(HubConfig)
    if field.type.endswith("| None") or field.type == "Compression"
]


@pytest.mark.parametrize("name", OPTIONAL)
def test_none_is_a_choice(name):
    """None turns off what is optional."""
    assert getattr(HubConfig(**{name: None}), name) is None


def test_frozen():
    """A configuration that is in use cannot change."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        HubConfig().log_events = 5


def test_channels():
    """They are an immutable copy; what a pattern does not name is a field of the whole."""
    written = {"a-*": {"compression": None}, "b": {}}
    config = HubConfig(compression="blocks", channels=written)
    written["c"] = {}

    assert config.channels == {"a-*": {"compression": None}, "b": {}}
    assert hash(config) == hash(dataclasses.replace(config))
    for name, compression in [("a-1", None), ("b", "blocks"), ("c", "blocks")]:
        assert config.channel_patterns.options_of(name).compression == compression
    changed = dataclasses.replace(config, compression="shared-window")
    assert changed.channel_patterns.options_of("b").compression == "shared-window"
    assert changed.channel_patterns.options_of("a-1").compression is None


def test_mistakes_of_channels():
    """Each is one of the mistakes of the whole."""
    with pytest.raises(ConfigError) as caught:
        HubConfig(retry_ms=-1, compression="x", channels={"a": {"x": 1}, "": {}})

    assert len(caught.value.problems) == 4


def test_every_option_of_a_channel_is_a_field():
    """So it has a default that an application can set."""
    fields = {field.name: field.default for field in dataclasses.fields(HubConfig)}

    assert {name: fields[name] for name in RULES} == dataclasses.asdict(ChannelOptions())
