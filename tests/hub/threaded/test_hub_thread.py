"""The hub for synchronous programs."""

import asyncio
import contextlib
import gc
import itertools
import signal
import socket
import sqlite3
import sys
import threading
import weakref

import pytest

from heliograph import (
    BrokerUnavailableError,
    Event,
    EventTooLargeError,
    HubClosedError,
    HubConfig,
    TooManySubscribersError,
)
from heliograph.hub import Admission, HubThread
from heliograph.hub.threaded import hub_thread, loop
from heliograph.hub.timings import Timings
from servers import until

# One stream may have more channels, so no slot is certain before the loop was asked.
NEAR_A_CAP = HubConfig(max_channels=63)


def test_a_slot_that_is_certain(url):
    """Nobody waits for the loop: it admits the client when it comes to that."""
    hub = HubThread(url, HubConfig())
    # The descriptors of the process are counted now and then, by the loop.
    hub.release(hub.admit(Admission(("a",))))
    busy, done = threading.Event(), threading.Event()

    def block():
        busy.set()
        done.wait(10)

    loop.process.current.loop.call_soon_threadsafe(block)
    busy.wait()
    ticket = hub.admit(Admission(("a",), address="192.0.2.1"))
    done.set()

    assert (ticket.at_address, ticket.in_process) == (1, 1)
    assert hub.statistics().subscribers == 1
    hub.release(ticket)
    assert hub.statistics().subscribers == 0
    hub.close()
    hub.release(ticket)


# What may not be exceeded, and by how many streams it is reached. Add a row, not a test.
CAPS = {
    "all": (HubConfig(max_subscribers=40), 40),
    "channel": (HubConfig(max_subscribers_per_channel=40), 40),
    "address": (HubConfig(max_subscribers_per_address=40), 40),
    "channels": (HubConfig(max_channels=400), 400),
    "channels of an address": (HubConfig(max_channels_per_address=400), 400),
}


@pytest.mark.parametrize("cap", CAPS)
def test_caps_hold_whoever_comes_at_once(cap, request):
    """As many as may are admitted, and no more, by threads that wait for the loop or do not."""
    # One that waits may overtake one that does not, so that each thread may hold a ticket of
    # a client that the loop has refused. Often, if threads take turns often.
    interval = sys.getswitchinterval()
    request.addfinalizer(lambda: sys.setswitchinterval(interval))
    sys.setswitchinterval(1e-6)
    config, limit = CAPS[cap]
    has_own_channel = cap.startswith("channels")
    hub = HubThread("memory:", config)
    numbers, tickets, refused = itertools.count(), [], []

    def ask():
        for _ in range(limit // 4):
            channel = f"c{next(numbers)}" if has_own_channel else "a"
            try:
                tickets.append(hub.admit(Admission((channel,), address="192.0.2.1")))
            except TooManySubscribersError as error:
                refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    statistics = hub.statistics()
    assert statistics.subscribers == statistics.refused == limit
    assert len(tickets) + len(refused) == 2 * limit
    assert limit <= len({ticket.number for ticket in tickets}) == len(tickets)
    assert len(tickets) < limit + len(threads)
    for ticket in tickets:
        hub.release(ticket)
    assert hub.statistics().subscribers == 0
    hub.close()


def test_an_answer_that_comes_too_late(url):
    """Whoever gave up waiting for a slot does not hold one."""
    hub = HubThread(url, NEAR_A_CAP, timings=Timings(admit_seconds=0.1))
    hub.publish(["a"], Event("x"))
    busy, done = threading.Event(), threading.Event()

    def block():
        busy.set()
        done.wait(10)

    loop.process.current.loop.call_soon_threadsafe(block)
    busy.wait()
    with pytest.raises(HubClosedError, match="does not answer"):
        hub.admit(Admission(("a",)))
    done.set()

    assert hub.statistics().subscribers == 0
    hub.close()


class Interrupted(BaseException):
    """What ends a wait that is none of ours, as Ctrl+C and gevent's time-out do."""


def test_an_answer_that_nobody_waits_for(url):
    """A caller that is interrupted while it waits for a slot does not hold one."""
    hub = HubThread(url, NEAR_A_CAP)
    hub.publish(["a"], Event("x"))
    busy, done = threading.Event(), threading.Event()

    def block():
        busy.set()
        done.wait(10)

    def interrupt(*_):
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    loop.process.current.loop.call_soon_threadsafe(block)
    busy.wait()
    threading.Timer(
        0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1)
    ).start()
    with pytest.raises(Interrupted):
        hub.admit(Admission(("a",)))
    signal.signal(signal.SIGUSR1, before)
    done.set()

    assert hub.statistics().subscribers == 0
    hub.close()


def test_a_slot_that_is_certain_and_never_told_of(url, monkeypatch):
    """A caller that is interrupted in this very moment does not hold one."""
    hub = HubThread(url, HubConfig())
    hub.release(hub.admit(Admission(("a",))))

    def post(function, *args):
        loop.post(function, *args)
        monkeypatch.undo()
        raise Interrupted

    monkeypatch.setattr(hub_thread, "post", post)
    with pytest.raises(Interrupted):
        hub.admit(Admission(("a",)))

    assert hub.statistics().subscribers == 0
    hub.close()


def test_closing_while_storage_is_locked(tmp_path, monkeypatch):
    """Whoever waits for it is told by name, and it is closed in the end."""
    monkeypatch.setattr(hub_thread, "CLOSE_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path}/log"
    hub = HubThread(url, HubConfig())
    hub.publish(["a"], Event("x"))
    before = threading.active_count()
    with contextlib.closing(
        sqlite3.connect(tmp_path / "log", isolation_level=None)
    ) as holder:
        holder.execute("BEGIN IMMEDIATE")
        publishing = threading.Thread(target=hub.publish, args=(["a"], Event("y")))
        publishing.start()
        broker = hub._hub._broker
        until(lambda: broker._appends._storing is not None)

        with pytest.raises(BrokerUnavailableError, match=r"0\.05 seconds after"):
            hub.close()

    publishing.join()
    until(lambda: threading.active_count() <= before - 2)
    assert hub.publish(["a"], Event("z"))[0].position.offset == 3
    hub.close()


def test_closing_while_it_opens(tmp_path):
    """What is being opened is closed, and what waited for it ends."""
    hub = HubThread(f"sqlite:///{tmp_path}/missing/log", HubConfig())
    ended = []

    def publish():
        with pytest.raises((HubClosedError, BrokerUnavailableError)):
            hub.publish(["a"], Event("x"))
        ended.append(True)

    publishing = threading.Thread(target=publish)
    publishing.start()
    until(lambda: hub._opening is not None)

    hub.close()

    publishing.join()
    assert ended
    assert (hub._hub, hub._opening) == (None, None)


def test_closing_while_storage_does_not_answer():
    """It ends at once, and so does whoever waits, without a word of asyncio."""
    messages = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub = HubThread(f"redis://127.0.0.1:{silent.getsockname()[1]}", HubConfig())
        raised = []

        def publish():
            try:
                hub.publish(["a"], Event("x"))
            except HubClosedError as error:
                raised.append(str(error))

        publishing = threading.Thread(target=publish)
        publishing.start()
        connection, _ = silent.accept()
        loop.run(_handle_failures(lambda _, context: messages.append(context)), 10)

        hub.close()

        publishing.join(10)
        connection.close()
    gc.collect()
    loop.run(_handle_failures(None), 10)
    assert raised == ["it was closed while it was being opened"]
    assert (hub._hub, hub._opening) == (None, None)
    assert messages == []


async def _handle_failures(handler):
    asyncio.get_running_loop().set_exception_handler(handler)


def test_release_after_close(hub):
    """Giving back what is gone opens nothing."""
    ticket = hub.admit(Admission(("a",)))
    hub.close()

    hub.release(ticket)

    assert hub._hub is None


def test_many_threads_start_one_loop(url):
    """Whoever comes first starts it; the others use it."""
    hub = HubThread(url, HubConfig())
    offsets, barrier = [], threading.Barrier(16)

    def publish():
        barrier.wait()
        offsets.append(hub.publish(["a"], Event("x"))[0].position.offset)

    threads = [threading.Thread(target=publish) for _ in range(16)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert sorted(offsets) == list(range(1, 17))
    assert sum(t.name == "heliograph-hub" for t in threading.enumerate()) == 1
    hub.close()


def test_close_and_use_again(hub):
    """Closing ends what is open; the next use opens it anew."""
    hub.publish(["a"], Event("x"))
    hub.close()
    hub.close()

    assert hub.publish(["a"], Event("x"))[0].position.offset == 2


def test_a_dropped_hub_is_closed(url):
    """An application that is gone leaves no stream and no thread of a broker."""
    before = threading.active_count()
    hub = HubThread(url, HubConfig())
    hub.publish(["a"], Event("x"))
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(10)
        hub.adopt(hub.admit(Admission(("a",))), ours, b"")

        del hub
        gc.collect()

        while theirs.recv(9999):
            pass
    until(lambda: threading.active_count() <= before + 1)


def test_when_left_of_a_closed_hub(hub):
    """The stream has ended with its hub, so the function is called."""
    ticket = hub.admit(Admission(("a",)))
    hub.close()
    called = []

    hub.when_left(ticket, lambda _: called.append(threading.current_thread()))

    until(lambda: called)
    assert called != [threading.current_thread()]


def test_from_its_own_thread(hub):
    """It would wait for itself; it says so."""
    hub.publish(["a"], Event("x"))
    running = loop.process.current.loop

    async def publish():
        return hub.publish(["a"], Event("x"))

    with pytest.raises(RuntimeError, match="thread of the hub"):
        asyncio.run_coroutine_threadsafe(publish(), running).result(10)


def test_publish_that_takes_too_long(tmp_path):
    """It fails by name after the configured time."""
    url = f"sqlite:///{tmp_path}/log"
    first = HubThread(url, HubConfig())
    first.publish(["a"], Event("x"))
    first.close()
    hub = HubThread(url, HubConfig(publish_timeout_seconds=0.2))
    with contextlib.closing(
        sqlite3.connect(tmp_path / "log", isolation_level=None)
    ) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerUnavailableError, match=r"no answer within 0\.2 seconds"):
            hub.publish(["a"], Event("x"))

    hub.close()


@pytest.mark.parametrize("kind", ["memory:", "sqlite"])
def test_a_publish_that_has_failed_before_it_began(kind, url):
    """The event is not there: whoever tries again does not have it twice, nor a warning."""
    hub = HubThread(
        url if kind == "sqlite" else kind, HubConfig(publish_timeout_seconds=0.5)
    )
    hub.publish(["b"], Event("x"))
    with busy_loop(), pytest.raises(BrokerUnavailableError, match="no answer within"):
        # In memory only a channel's first event needs the loop.
        hub.publish(["a"], Event("1"))
    (entry,) = hub.publish(["a"], Event("1"))
    gc.collect()

    assert entry.position.offset == 1
    hub.close()


@contextlib.contextmanager
def busy_loop():
    """The loop has begun something that blocks it when this begins, and ends with it."""
    busy, done = threading.Event(), threading.Event()

    def block():
        busy.set()
        done.wait(10)

    loop.post(block)
    busy.wait()
    try:
        yield
    finally:
        done.set()


def test_a_publish_that_waits_for_nobody():
    """In memory an event has its position before the loop has stored it, and is counted."""
    hub = HubThread("memory:", HubConfig())
    hub.publish(["a"], Event("1"))
    with contextlib.closing(hub.subscribe(("a",))) as subscription:
        with busy_loop():
            published = [hub.publish(["a"], Event(str(n)))[0] for n in (2, 3)]
            with pytest.raises(EventTooLargeError):
                hub.publish(["a"], Event("x" * 10_000_000))
        assert [entry.position.offset for entry in published] == [2, 3]
        received = [next(subscription).data for _ in range(2)]
    assert received == ["2", "3"]
    assert hub.statistics().published == 3
    hub.close()


@pytest.mark.parametrize("kind", ["memory:", "sqlite"])
def test_an_error_keeps_nothing(kind, url):
    """What a view has is freed when it has handled the error, without a collection."""
    hub = HubThread(url if kind == "sqlite" else kind, HubConfig(max_event_bytes=1000))
    hub.publish(["a"], Event("x"))

    def view():
        held = threading.Event()
        with contextlib.suppress(EventTooLargeError):
            hub.publish(["a"], Event("x" * 2000))
        return weakref.ref(held)

    gc.disable()
    try:
        assert view()() is None
    finally:
        gc.enable()
    hub.close()


@pytest.mark.timeout(60)  # it waits for a Redis that does not answer
def test_a_password_is_not_shown(monkeypatch):
    """The URL in an error is without it."""
    import socket as sockets

    with sockets.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hub = HubThread(
            f"redis://user:secret@127.0.0.1:{port}/0",
            HubConfig(publish_timeout_seconds=0.2),
        )
        with pytest.raises(BrokerUnavailableError) as caught:
            hub.publish(["a"], Event("x"))
        assert "secret" not in str(caught.value)
        assert f"127.0.0.1:{port}" in str(caught.value)
        hub.close()


def test_no_position_while_the_broker_is_unavailable(tmp_path):
    """The server's thread is not held for long, nor by a hub that is closed meanwhile."""
    hub = HubThread(f"sqlite:///{tmp_path}/missing/log", HubConfig(heartbeat_seconds=0.05))
    ticket = hub.admit(Admission(("a",)))

    hub.locate(ticket)
    stream = hub.pull(ticket, None)
    assert next(stream).startswith(b":\nretry: ")
    beats = next(stream)
    assert beats
    assert beats.replace(b":\n", b"") == b""

    other = hub.admit(Admission(("b",)))
    closing = threading.Timer(0.1, hub.close)
    closing.start()
    hub.locate(other)
    closing.join()
    assert b"id:" not in b"".join(stream)


def test_adopt_after_close(hub):
    """A client that the hub no longer serves sees the end, and no other hub is opened."""
    ticket = hub.admit(Admission(("a",)))
    hub.close()
    client, server = socket.socketpair()
    with client:
        hub.adopt(ticket, server, b"head")
        client.settimeout(10)
        while client.recv(99):
            pass
    assert hub._hub is None


def test_release(hub):
    """A client that is not going to be served gives its slot back."""
    ticket = hub.admit(Admission(("a",)))
    assert hub.statistics().subscribers == 1

    hub.release(ticket)

    assert hub.statistics().subscribers == 0


# What may be interrupted. Add a row, not a test.
CALLS = {
    "publish": lambda hub: hub.publish(["a"], Event("x")),
    "disconnect": lambda hub: hub.disconnect("b"),
    "statistics": lambda hub: hub.statistics(),
    "admit": lambda hub: hub.admit(Admission(("a",))),
    "open": lambda hub: hub.publish(["a"], Event("x")),
    "close": lambda hub: hub.close(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_publish_that_interrupts_another_call(call):
    """At each of its steps, as a signal handler may: neither waits for the other."""
    config = HubConfig(publish_timeout_seconds=10, history_events=1)
    step = left = 0
    while left <= 0:
        hub = HubThread("memory:", config)
        if call != "open":
            hub.publish(["a"], Event("x"))
        step = left = step + 1

        def interrupt(*_, hub=hub):
            nonlocal left
            left -= 1
            if not left:
                sys.setprofile(None)
                hub.publish(["a"], Event("x"))

        sys.setprofile(interrupt)
        try:
            CALLS[call](hub)
        finally:
            sys.setprofile(None)
        hub.close()
    assert step > 10
