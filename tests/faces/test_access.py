"""Who may open a stream, and what an authorizer's verdict means."""

import pytest

from heliograph import ConfigError, HubConfig
from heliograph.faces.access import Access, authorizer_problem, may_listen


@pytest.mark.parametrize(
    ("private", "verdict", "expected"),
    [
        (True, True, True),
        (True, None, False),
        (True, False, False),
        (False, True, True),
        (False, None, True),
        (False, False, False),
    ],
)
def test_verdicts(private, verdict, expected):
    """False refuses, True lets in; nothing does too, unless privacy was asked for."""
    assert may_listen(verdict, private=private) is expected


async def forgotten():
    """A verdict that nobody awaited."""


def test_a_verdict_that_was_not_awaited():
    """The error says how to have it awaited, and no warning follows."""
    with pytest.raises(TypeError, match=r"declare it with async def"):
        may_listen(forgotten(), private=False)


class Callable:
    """Has a signature of its own."""

    def __call__(self, channels):
        """Decide."""


# (authorizer, words of the problem; None if there is none)
AUTHORIZERS = [
    (lambda channels: True, None),
    (lambda *channels: True, None),
    (lambda channels, more=1: True, None),
    (print, None),
    (max, None),
    (Callable(), None),
    (lambda: True, "too many positional arguments; write def may_listen(channels): …"),
    (forgotten, "forgotten() cannot be called as an authorizer"),
    (lambda channels, scope: True, "missing a required argument: 'scope'"),
    (lambda *, channels: True, "cannot be called as an authorizer"),
    (True, "an authorizer must be a function, not True; write def may_listen(channels): …"),
]


@pytest.mark.parametrize(("function", "words"), AUTHORIZERS)
def test_authorizers_that_cannot_be_called(function, words):
    """A mistake shows where it is written, and not at the first request."""
    problem = authorizer_problem(function, "channels")

    assert problem is None if words is None else words in problem


@pytest.mark.parametrize("verdict", [0, "", 1, "no", "yes", [], ("no", 403), forgotten])
@pytest.mark.parametrize("private", [True, False])
def test_a_verdict_that_is_none(verdict, private):
    """Something else is a mistake in the application, and lets nobody in."""
    with pytest.raises(
        TypeError, match=r"True, False or None, not .*: write return bool\("
    ):
        may_listen(verdict, private=private)


WINDOWS = [
    ({"compression": "shared-window"}, ["compression"]),
    (
        {"channels": {"a*": {"compression": "shared-window"}}},
        ["channels['a*']['compression']"],
    ),
    (
        {
            "compression": "shared-window",
            "channels": {"a": {"compression": "shared-window"}, "b": {"compression": None}},
        },
        ["compression", "channels['a']['compression']"],
    ),
]

GUARDS = [
    ({"has_authorizer": True}, "where an authorizer guards streams"),
    ({"private": True}, "if private is set"),
    ({"hook_sees_one_channel": True}, "where a before_request hook guards streams"),
]


@pytest.mark.parametrize(("options", "settings"), WINDOWS)
@pytest.mark.parametrize(("guard", "words"), GUARDS)
def test_a_shared_window_for_guarded_streams(options, settings, guard, words):
    """Each setting that asks for one is named, with the guard, the reason, and a remedy."""
    channels = HubConfig(**options).channel_patterns

    with pytest.raises(ConfigError) as caught:
        Access(channels=channels, **guard)

    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        f"{setting} must not be 'shared-window' {words}" for setting in settings
    ]
    for problem in caught.value.problems:
        assert "a length oracle" in problem
        assert "write 'blocks'" in problem
    assert not Access(channels=channels, keys=("key",)).is_guarded


@pytest.mark.parametrize(("guard", "words"), GUARDS)
def test_blocks_for_guarded_streams(guard, words):
    """They may be compressed, in another way."""
    config = HubConfig(compression="blocks", channels={"a": {"compression": "blocks"}})

    assert Access(channels=config.channel_patterns, **guard).is_guarded
