"""What an authorizer's verdict means."""

import pytest

from heliograph.faces.access import may_listen


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


@pytest.mark.parametrize("verdict", [0, "", 1, "no", "yes", [], forgotten])
@pytest.mark.parametrize("private", [True, False])
def test_a_verdict_that_is_none(verdict, private):
    """Something else is a mistake in the application, and lets nobody in."""
    with pytest.raises(TypeError, match="True, False or None, not"):
        may_listen(verdict, private=private)
