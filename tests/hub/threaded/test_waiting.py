"""Callers wait as what they are: threads, and greenlets of either kind."""

import threading

import pytest

from heliograph.hub.threaded.waiting import new_waiter
from programs import run

PROGRAM = """
import sys

library = sys.argv[1]
if library == "gevent":
    import gevent
    from gevent import monkey
    monkey.patch_all()
    spawn, error = gevent.spawn, gevent.Timeout
    call_in_hub = lambda function: gevent.get_hub().loop.run_callback(function)
else:
    import eventlet
    eventlet.monkey_patch()
    spawn, error = eventlet.spawn, eventlet.Timeout
    call_in_hub = lambda function: eventlet.hubs.get_hub().schedule_call_global(0, function)

import threading, time
from heliograph import native
from heliograph.hub.threaded.waiting import new_waiter

# Woken by another thread, while greenlets of this one go on: only one of them starts it.
waiter = new_waiter()
spawn(lambda: native.start_thread(waiter.wake, "waking"))
print(waiter.wait(30), "woken by a thread")

waiter = new_waiter()
waiter.wake()
print(waiter.wait(0.5), "woken before")

waiter = new_waiter()
print(waiter.wait(0.01), "too late")
waiter.wake()
print("woken afterwards")

# Somebody else's time-out passes through, whatever ours is.
waiter = new_waiter()
try:
    with error(0.01):
        waiter.wait(30)
except error:
    print("their time-out")
waiter.wake()

# The hub's own greenlet cannot be left: it blocks.
ended = []

def in_the_hub():
    waiter = new_waiter()
    native.start_thread(waiter.wake, "waking")
    ended.append(waiter.wait(30))

call_in_hub(in_the_hub)
time.sleep(0)
while not ended:
    time.sleep(0.001)
print(ended[0], "in the hub")

# A thread of the operating system has nobody beside itself.
done = native.SimpleQueue()

def in_a_thread():
    waiter = new_waiter()
    native.start_thread(waiter.wake, "waking")
    done.put(waiter.wait(30))

native.start_thread(in_a_thread, "waiting")
print(done.get(timeout=30), "in a thread")
"""


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets(library):
    """The others of the thread go on, and every kind of wake-up arrives."""
    out = run(PROGRAM, library, warnings="ignore")

    assert out.splitlines() == [
        "True woken by a thread",
        "True woken before",
        "False too late",
        "woken afterwards",
        "their time-out",
        "True in the hub",
        "True in a thread",
    ]


def test_threads():
    """A thread blocks until it is woken, or until its time is up."""
    waiter = new_waiter()
    threading.Thread(target=waiter.wake).start()

    assert waiter.wait(30)
    assert not new_waiter().wait(0)


LATE_SIGNAL = """
import os, pathlib, signal, threading
from heliograph import native
from heliograph.hub.threaded.waiting import new_waiter

class Interrupted(Exception):
    pass

def on_signal(number, frame):
    raise Interrupted

signal.signal(signal.SIGUSR1, on_signal)
waits = threading.Event()

def interrupt():
    waits.wait()
    # The main thread is in the wait when it sleeps in the kernel.
    stat = pathlib.Path(f"/proc/self/task/{os.getpid()}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "S":
        pass
    os.kill(os.getpid(), signal.SIGUSR1)

native.start_thread(interrupt, "interrupting")
# Another thread gets the signal: the wait of this one is not ended by it, as it is not by one
# that comes in the moment before.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
waiter = new_waiter()
waits.set()
try:
    waiter.wait(None)
except Interrupted:
    print("interrupted")
"""


def test_a_signal_that_does_not_end_the_wait():
    """Its handler is called soon all the same: Ctrl-C works at a channel that is silent."""
    assert run(LATE_SIGNAL) == "interrupted\n"
