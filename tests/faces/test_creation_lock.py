"""A fork waits until nobody holds the lock."""

import subprocess
import sys
import textwrap

from heliograph.faces.creation_lock import the_only
from servers import unmeasured


def test_child_does_not_inherit_it_held():
    """The child can create what its parent was creating in another thread."""
    program = """
        import os, threading
        from heliograph.faces.creation_lock import creation_lock
        held, forking = threading.Event(), threading.Event()
        # What is registered last runs first (os.register_at_fork).
        os.register_at_fork(before=forking.set)
        def create():
            with creation_lock:
                held.set()
                forking.wait()
        thread = threading.Thread(target=create)
        thread.start()
        held.wait()
        child = os.fork()
        if not child:
            os._exit(not creation_lock.acquire(blocking=False))
        thread.join()
        print(os.waitpid(child, 0)[1], creation_lock.acquire(blocking=False))
    """
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            textwrap.dedent(program),
        ],
        capture_output=True,
        text=True,
        timeout=50,
        env=unmeasured(),
        check=False,
    )

    assert (done.stdout, done.stderr) == ("0 True\n", "")


def test_one_object_for_a_signal_handler_that_interrupts_its_creation():
    """Whoever comes second finds what the first has made."""
    objects = {}

    def create(interrupted=True):
        if interrupted:
            found.append(the_only(list, objects, "name", lambda: create(False)))
        return []

    found = []
    found.append(the_only(list, objects, "name", create))

    assert found[0] is found[1] is objects["name"]
