"""The operating system's threads, beside what gevent and eventlet make of them."""

import json
import queue
import select
import selectors
import threading

import pytest

from heliograph import native
from programs import run

NAMES = [
    ("_thread", "start_new_thread"),
    ("os", "read"),
    ("select", "epoll"),
    ("select", "poll"),
    ("selectors", "DefaultSelector"),
    ("socket", "getaddrinfo"),
    ("socket", "socket"),
    ("time", "sleep"),
]

PROGRAM = """
import json, sys

library, when = sys.argv[1:]
if when == "after":
    from heliograph import native
if library == "gevent":
    from gevent import monkey
    monkey.patch_all()
elif library == "eventlet":
    import eventlet
    eventlet.monkey_patch()

import threading, _thread
from heliograph import native

# A greenlet of this thread would wait for itself here.
started, ended = native.SimpleQueue(), native.SimpleQueue()

def function():
    ended.put(native.thread_name() + started.get())

native.start_thread(function, "ours")
started.put("!")
print(ended.get(timeout=30))
for module, name in json.loads({names!r}):
    found = native.original(module, name)
    print(type(found).__name__, found.__module__, found.__name__)
with native.original("selectors", "DefaultSelector")() as selector:
    print(type(selector).__name__)
"""


def described(module, name):
    found = getattr(__import__(module), name)
    return f"{type(found).__name__} {found.__module__} {found.__name__}"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("library", ["neither", "gevent", "eventlet"])
def test_native(library, when):
    """A thread is one, and the names are those of the standard library."""
    program = PROGRAM.replace("{names!r}", repr(json.dumps(NAMES)))
    out = run(program, library, when, warnings="ignore").splitlines()

    assert out == [
        "ours!",
        *[described(module, name) for module, name in NAMES],
        selectors.DefaultSelector.__name__,
    ]


def test_what_nothing_replaces():
    """The lock may be taken twice by its thread, and the queue waits for another one."""
    lock = native.RLock()
    waiting = native.SimpleQueue()

    with lock, lock:
        threading.Thread(target=waiting.put, args=[1]).start()
        assert waiting.get(timeout=30) == 1
    with pytest.raises(queue.Empty):
        waiting.get(timeout=0)


def test_what_a_platform_lacks():
    """It is said, as by the module itself."""
    assert not hasattr(select, "nothing")

    with pytest.raises(AttributeError, match="nothing"):
        native.original("select", "nothing")


SHARED_LOCKS = """
from gevent import monkey
monkey.patch_all()

from pathlib import Path
from heliograph import native
from heliograph.brokers import registry
from heliograph.brokers.sqlite.restored import HighestSeq

# Two threads of the operating system share each: a lock of gevent would never be got.
for lock in (HighestSeq(Path("x"))._lock, registry._importing):
    print(isinstance(lock, native.RLock))
"""


def test_locks_that_threads_of_ours_share():
    """They are the operating system's, although gevent has replaced those of threading."""
    assert run(SHARED_LOCKS, warnings="ignore").splitlines() == ["True", "True"]
