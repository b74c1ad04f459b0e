"""A hub beside gevent and eventlet, whoever uses it first and whichever loop it runs."""

import pytest

from programs import run

PROGRAM = """
import sys

library, loop, first, url = sys.argv[1:]
if loop == "asyncio":
    sys.modules["uvloop"] = None
if library == "gevent":
    from gevent import monkey, spawn
    monkey.patch_all()
    wait = lambda greenlet: greenlet.join()
else:
    import eventlet
    from eventlet import spawn
    eventlet.monkey_patch()
    wait = lambda greenlet: greenlet.wait()

import asyncio, threading
from heliograph import Event, HubConfig
from heliograph.hub import HubThread

hub = HubThread(url, HubConfig())

def publish():
    print(hub.publish(["a"], Event("x"))[0].position.offset)

class Thread(threading.Thread):
    def run(self):
        publish()

def in_a_thread():
    thread = Thread()
    thread.start()
    thread.join()

async def view():
    await asyncio.sleep(0.001)
    publish()
    await asyncio.sleep(0.001)

ways = {
    "main": publish,
    "thread": in_a_thread,
    "greenlet": lambda: wait(spawn(publish)),
    "loop": lambda: asyncio.run(view()),
}
ways[first]()
for way in ways.values():
    way()
hub.close()
"""


@pytest.mark.parametrize("first", ["main", "thread", "greenlet", "loop"])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_whoever_is_first(library, loop, first, url):
    """The main greenlet, a thread that is one, a greenlet, an event loop: all publish."""
    out = run(PROGRAM, library, loop, first, url, warnings="ignore")

    assert out.split() == ["1", "2", "3", "4", "5"]
