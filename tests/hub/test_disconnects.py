"""What is remembered of disconnects."""

import time

from heliograph.hub.disconnects import Disconnects


def test_disconnects_are_remembered():
    """By channel, as many as there may be; what is forgotten counts as disconnected."""
    disconnects = Disconnects()
    moments = [disconnects.latest]
    for name in ("a", "b", "a"):
        disconnects.note(name)
        moments.append(disconnects.latest)

    assert [disconnects.since(n, ["a"]) for n in moments] == [True, True, True, False]
    assert [disconnects.since(n, ["x", "b"]) for n in moments] == [True, True, False, False]
    for n in range(10_002):
        disconnects.note(f"c{n}")
    assert disconnects.since(moments[-1], ["x"])
    assert not disconnects.since(disconnects.latest - 1, ["x"])
    assert len(disconnects._last) == 10_000
    disconnects.forget()
    assert disconnects.since(disconnects.latest - 1, ["x"])


def test_what_was_before_a_hub():
    """Is not known, unless it is said that it is."""
    before = time.monotonic_ns()
    disconnects = Disconnects()

    assert disconnects.since(before, ["a"])
    disconnects.know_since(before)
    assert not disconnects.since(before, ["a"])
    assert disconnects.since(before - 1, ["a"])
