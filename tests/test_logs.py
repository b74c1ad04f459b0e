"""Log lines of our own threads, whatever the threads of the process are."""

import logging
import threading

import pytest

from heliograph.logs import Logger
from programs import run

PROGRAM = """
import sys

library = sys.argv[1]
if library == "gevent":
    from gevent import monkey
    monkey.patch_all()
elif library == "eventlet":
    import eventlet
    eventlet.monkey_patch()

import logging, threading, time
from heliograph import native
from heliograph.logs import Logger

class Handler(logging.Handler):
    # As some do that send lines over a network: other greenlets continue meanwhile.
    def emit(self, record):
        time.sleep(0.001)
        written.append((threading.get_native_id(), record))

written = []
logging.getLogger().addHandler(Handler())
log = Logger("heliograph.test")

def write():
    log.warning("a line of %s", "ours")
    log.info("not written")
    try:
        raise ValueError("a bug")
    except ValueError:
        log.exception("it failed")
    done.put(threading.get_native_id())

done = native.SimpleQueue()
native.start_thread(write, "ours")
thread = done.get(timeout=30)
while len(written) < 2:
    time.sleep(0.001)
for number, record in written:
    print(number == thread, number == threading.get_native_id())
    print(record.levelname, record.getMessage(), record.threadName, record.funcName)
    print(record.name, record.exc_info and record.exc_info[1])
"""


@pytest.mark.parametrize("library", ["neither", "gevent", "eventlet"])
def test_lines(library):
    """They are those of the thread, and handlers run where they may wait for greenlets."""
    out = run(PROGRAM, library, warnings="ignore").splitlines()

    where = "True False" if library == "neither" else "False True"
    assert out == [
        where,
        "WARNING a line of ours ours write",
        "heliograph.test None",
        where,
        "ERROR it failed ours write",
        "heliograph.test a bug",
    ]


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_lines_of_the_last_moment(library):
    """What the hub has logged is written before the process ends, and asyncio's, too."""
    out = run(
        """
        import sys
        if sys.argv[1] == "gevent":
            from gevent import monkey
            monkey.patch_all()
        else:
            import eventlet
            eventlet.monkey_patch()

        import logging, threading
        from heliograph.hub.threaded.loop import post, run
        from heliograph.logs import Logger

        logging.basicConfig(stream=sys.stdout, format="%(threadName)s %(message).30s")

        async def nothing():
            pass

        def last():
            Logger("heliograph.test").warning("the last line")
            raise ValueError("a bug")

        run(nothing(), 30)
        post(last)
        """,
        library,
        warnings="ignore",
    )

    assert "heliograph-hub the last line\n" in out
    assert "Exception in callback" in out


def test_lines_when_the_first_greenlets_have_ended():
    """Those of a native thread that used the hub first: others take over, and no call fails."""
    out = run(
        """
        from gevent import monkey
        monkey.patch_all()

        import logging, sys
        import gevent
        from gevent.threadpool import ThreadPool
        from heliograph import native
        from heliograph.hub.threaded.loop import run
        from heliograph.logs import Logger

        logging.basicConfig(stream=sys.stdout, format="%(message)s")

        async def log(text):
            Logger("heliograph.test").warning(text)
            return text

        pool = ThreadPool(1)
        print(pool.apply(run, (log("of a pool"), 30)))
        pool.kill()
        print(native._greenlets.is_main, run(log("of a greenlet"), 30), native._greenlets.is_main)
        gevent.sleep(0.01)
        print("end")
        """,
        warnings="ignore",
    )

    assert sorted(out.splitlines()) == [
        "False of a greenlet True",
        "end",
        "of a greenlet",
        "of a pool",
        "of a pool",
    ]
    assert out.endswith("end\n")


def test_where_nothing_is_replaced(caplog):
    """It is a logger like any other."""
    log = Logger("heliograph.test")

    log.error("a line", exc_info=ValueError("a bug"))
    log.debug("not written")
    logging.disable(logging.ERROR)
    log.error("not written")
    logging.disable(logging.NOTSET)

    (record,) = caplog.records
    assert (record.funcName, record.threadName) == (
        "test_where_nothing_is_replaced",
        threading.current_thread().name,
    )
    assert str(record.exc_info[1]) == "a bug"
