"""The thread that ends the read of another, when that is interrupted."""

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from heliograph.client import watch as module
from heliograph.client.watch import Watch


class Interrupted(BaseException):
    """What Ctrl-C raises, at any step of the main thread."""


def is_ours(frame):
    return frame is not None and frame.f_code.co_filename == module.__file__


def interrupted_at(step, function):
    """
    Call a function, and raise at a step of it; return whether it has so many.

    Steps are where Python looks for signals, at the beginning of functions in Python and after
    calls: those of our module, and of what it calls itself, but for the start of a thread.
    """
    steps = itertools.count(1)

    def look(frame, event, argument):
        is_called = is_ours(frame.f_back) and frame.f_code.co_name != "start"
        if event == "c_call" or not (is_ours(frame) or is_called):
            return
        if next(steps) == step:
            raise Interrupted

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        function()
    except Interrupted:
        return True
    finally:
        sys.setprofile(before)
    return False


def is_free(lock):
    if not lock.acquire(timeout=5):
        return False
    lock.release()
    return True


@pytest.mark.timeout(60)
def test_an_interrupt_at_any_step(monkeypatch):
    """Whoever closes it afterwards does not wait for ever, and its lock is free."""
    monkeypatch.setattr(module, "_JOIN_SECONDS", 0.05)
    for step in itertools.count(1):
        watch = Watch()
        is_within = interrupted_at(step, lambda watch=watch: watch.expect(30.0))
        watch.close()
        watch.join()

        with ThreadPoolExecutor() as executor:
            assert executor.submit(is_free, watch._lock).result(), f"step {step}"
        if not is_within:
            break
    assert step > 5
    assert not watch._thread.is_alive()
