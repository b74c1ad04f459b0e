"""What is called when streams have ended: once, in threads that may block, and to the end."""

import sys
import threading

from heliograph.hub.threaded import endings
from programs import until


def test_called_once_and_elsewhere():
    """Not in the thread that says so, which may be the hub's."""
    called = []
    end = endings.expect(lambda: called.append(threading.current_thread().name))

    end()
    end()
    until(lambda: called)
    endings.call_all(5)

    assert called == ["heliograph-on-close"]


def test_what_blocks_holds_up_nothing():
    """Others are called meanwhile, more than are called at the same time."""
    going_on = threading.Event()
    blocked = [endings.expect(going_on.wait) for _ in range(7)]
    for end in blocked:
        end()
    called = []
    for n in range(1000):
        endings.expect(lambda n=n: called.append(n))()

    until(lambda: len(called) == 1000)
    going_on.set()

    assert sorted(called) == [*range(1000)]


def test_more_that_block_than_are_called_at_once():
    """The others wait, and are called in their turn."""
    going_on = threading.Event()
    called = []

    def block():
        going_on.wait()
        called.append(1)

    for _ in range(30):
        endings.expect(block)()
    going_on.set()

    until(lambda: len(called) == 30)


def test_what_raises(caplog):
    """It is logged, and the others are called."""
    called = []

    # Nor does anything that is no Exception, as gevent.Timeout, use up a caller.
    for function in (lambda: 1 / 0, *[sys.exit] * 20, lambda: called.append(1)):
        endings.expect(function)()

    until(lambda: called and caplog.records)
    assert "call_on_close" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_what_is_left_at_the_end_of_the_process():
    """It is called, although its stream has not said that it has ended."""
    called = []
    for n in range(20):
        endings.expect(lambda n=n: called.append(n))

    endings.call_all(5)

    assert sorted(called) == [*range(20)]


def test_what_blocks_at_the_end_of_the_process(caplog):
    """It is given up, and the log says of how many functions that is true."""
    going_on = threading.Event()
    for _ in range(9):
        endings.expect(going_on.wait)

    endings.call_all(0.1)

    assert "9 functions of call_on_close" in caplog.text
    going_on.set()
    endings.call_all(5)
