"""Ctrl-C ends waits and nothing else."""

import contextlib
import signal

import pytest

from heliograph.cli.interrupts import Interrupts


def press():
    signal.raise_signal(signal.SIGINT)


def test_in_a_wait():
    """It is raised at once."""
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt), interrupts.waiting():
        press()
        pytest.fail("the wait has to be over")


def test_outside_of_a_wait():
    """It is raised at the beginning of the next one."""
    with Interrupts() as interrupts:
        with interrupts.waiting():
            pass
        press()
        with pytest.raises(KeyboardInterrupt), interrupts.waiting():
            pytest.fail("the wait must not begin")


def test_twice():
    """The second one is raised wherever it comes."""
    with Interrupts():
        press()
        with pytest.raises(KeyboardInterrupt):
            press()


def test_before_a_coroutine_runs(recwarn):
    """Nobody is told that it never will: that would be lines on stderr that mean nothing."""

    async def coroutine():
        pass

    def run(_):
        press()

    with (
        Interrupts() as interrupts,
        contextlib.suppress(KeyboardInterrupt),
        interrupts.waiting(),
    ):
        run(coroutine())

    assert recwarn.list == []


def test_afterwards():
    """What handled it before does so again."""
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_ignored():
    """A process that a shell runs in the background stays deaf to it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts, interrupts.waiting():
            press()
    finally:
        signal.signal(signal.SIGINT, before)
